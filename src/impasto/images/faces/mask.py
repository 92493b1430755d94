"""The mask that covers the features of a face: eyes, nose and mouth."""

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images.faces.detector import Face

MARGIN = 0.1
"""The ellipse reaches this far beyond the landmarks, as a share of the distance from the eyes to the mouth.

With its soft edge it covers eyes and lips, and leaves forehead, cheeks and chin to the strokes.
"""
WHOLE_FACE = 0.45
"""The margin of an ellipse that covers brows, cheeks and chin as well."""
FEATHER = 0.5
"""Width of the soft edge, as a share of the ellipse's radius."""


def face_mask(
    faces: Sequence[Face], height: int, width: int, amounts: Sequence[float] = (), margin: float = MARGIN
) -> Tensor:
    """(1, 1, H, W): 1 over the features of each face, or its amount; soft edges, 0 elsewhere."""
    mask = torch.zeros(height, width)
    for face, amount in zip(faces, amounts or [1.0] * len(faces), strict=True):
        axes, center, radii = _ellipse(face, height, width, margin)
        x, y = (center @ axes).tolist()
        reach = (1 + FEATHER) * float(radii.max())
        rows, columns = _around(y, reach, height), _around(x, reach, width)
        here = mask[rows, columns]
        torch.maximum(here, amount * _soft(axes, center, radii, rows, columns), out=here)
    return mask[None, None]


def _ellipse(face: Face, height: int, width: int, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """An ellipse around the landmarks: axes (2, 2), across and along the face; on them the center and radii (2,)."""
    points = torch.tensor(face.landmarks) * torch.tensor([width, height])
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    length = float((mouth - eyes).norm().clamp_min(1e-3))
    down = (mouth - eyes) / length
    axes = torch.stack([torch.stack([down[1], -down[0]]), down])
    low, high = (points @ axes.T).aminmax(dim=0)
    return axes, (low + high) / 2, (high - low) / 2 + margin * length


def _around(center: float, reach: float, size: int) -> slice:
    """The pixels within `reach` of a coordinate."""
    start, stop = (min(max(int(edge), 0), size) for edge in (center - reach, center + reach + 1))
    return slice(start, stop)


def _soft(axes: Tensor, center: Tensor, radii: Tensor, rows: slice, columns: slice) -> Tensor:
    """(h, w) in [0, 1]: 1 inside the ellipse, then a fall to 0."""
    y, x = torch.arange(rows.start, rows.stop)[:, None] + 0.5, torch.arange(columns.start, columns.stop) + 0.5
    across, along = (axis[0] * x + axis[1] * y for axis in axes)
    distance = (((across - center[0]) / radii[0]).square() + ((along - center[1]) / radii[1]).square()).sqrt()
    fall: Tensor = ((1 + FEATHER - distance) / FEATHER).clamp(0, 1)
    return fall * fall * (3 - 2 * fall)  # smoothstep
