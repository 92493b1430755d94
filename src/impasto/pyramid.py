"""The size of a run, and the resizing of pictures to it."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def frame(height: int, width: int, size: int, resampling: str = "antialiased") -> tuple[int, int]:
    """Height and width in pixels of a picture scaled to a long edge of `size`; "tensorflow" truncates, in float32."""
    if resampling == "tensorflow":
        scale = torch.tensor(size, dtype=torch.float32) / max(height, width)
        return int(height * scale), int(width * scale)
    return round(height * size / max(height, width)), round(width * size / max(height, width))


def resize(images: Tensor, height: int, width: int, resampling: str = "antialiased") -> Tensor:
    """(N, C, H, W) float32 in [0, 1], on the CPU -> (N, C, height, width) in [0, 1].

    "antialiased": Lanczos, in full depth. A softer filter would hand on a softer painting: its Gram matrices differ by
    a tenth. "tensorflow": `tf.image.resize`'s default, bilinear with half-pixel centres, which skips pixels when it
    shrinks.
    """
    if images.shape[2:] == (height, width):
        return images
    if resampling == "tensorflow":
        return F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    resized = images.new_empty(*images.shape[:2], height, width)
    for plane, to in zip(images.flatten(0, 1), resized.flatten(0, 1), strict=True):
        to.copy_(_lanczos(plane, height, width))
    return resized.clamp_(0, 1)  # Lanczos overshoots beside hard edges


def enlarge(values: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) of any range -> (N, C, height, width), bilinear: no value lies outside of those that went in."""
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False)


def _lanczos(plane: Tensor, height: int, width: int) -> Tensor:
    """(H, W) -> (height, width)."""
    image = Image.fromarray(plane.numpy())  # of float32: mode F, no rounding to 8 bits
    return torch.from_numpy(np.array(image.resize((width, height), Image.Resampling.LANCZOS)))
