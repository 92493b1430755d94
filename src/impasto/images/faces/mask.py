"""The mask that covers the features of a face: eyes, nose and mouth."""

from collections.abc import Iterable

import torch
from torch import Tensor

from impasto.images.faces.detector import Face

MARGIN = 0.45
"""The ellipse reaches this far beyond the landmarks, as a share of the distance from the eyes to the mouth: brows, the
outer corners of the eyes, the lower lip."""
FEATHER = 0.5
"""Width of the soft edge, as a share of the ellipse's radius."""


def face_mask(faces: Iterable[Face], height: int, width: int) -> Tensor:
    """(1, 1, H, W) in [0, 1]: 1 over the features of each face, with a soft edge outside of them."""
    mask = torch.zeros(height, width)
    for face in faces:
        torch.maximum(mask, _ellipse(face, height, width), out=mask)
    return mask[None, None]


def _ellipse(face: Face, height: int, width: int) -> Tensor:
    """(H, W): 1 inside an ellipse around the landmarks whose axes are those of the face, then a fall to 0."""
    points = torch.tensor(face.landmarks) * torch.tensor([width, height])
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    length = float((mouth - eyes).norm().clamp_min(1e-3))
    down = (mouth - eyes) / length
    axes = torch.stack([torch.stack([down[1], -down[0]]), down])  # across the face, and along it
    low, high = (points @ axes.T).aminmax(dim=0)
    center, radii = (low + high) / 2, (high - low) / 2 + MARGIN * length
    y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    across, along = (axis[0] * x + axis[1] * y for axis in axes)
    distance = (((across - center[0]) / radii[0]).square() + ((along - center[1]) / radii[1]).square()).sqrt()
    fall: Tensor = ((1 + FEATHER - distance) / FEATHER).clamp(0, 1)
    return fall * fall * (3 - 2 * fall)  # smoothstep
