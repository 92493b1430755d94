"""The size of a run, and the resizing of pictures to it."""

import torch
import torch.nn.functional as F
from torch import Tensor


def frame(height: int, width: int, size: int, resampling: str = "antialiased") -> tuple[int, int]:
    """Height and width in pixels of a picture scaled to a long edge of `size`; "tensorflow" truncates, in float32."""
    if resampling == "tensorflow":
        scale = torch.tensor(size, dtype=torch.float32) / max(height, width)
        return int(height * scale), int(width * scale)
    return round(height * size / max(height, width)), round(width * size / max(height, width))


def resize(images: Tensor, height: int, width: int, resampling: str = "antialiased") -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, height, width) in [0, 1].

    "antialiased": bicubic, each output pixel the average of what it covers. "tensorflow": `tf.image.resize`'s default,
    bilinear with half-pixel centres, which skips pixels when it shrinks.
    """
    if images.shape[2:] == (height, width):
        return images
    if resampling == "tensorflow":
        return F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    # bicubic overshoots beside hard edges
    return F.interpolate(images, (height, width), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
