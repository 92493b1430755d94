"""The size of a run, and the resizing of pictures to it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def scaled_size(height: int, width: int, size: int, resampling: str = "antialiased") -> tuple[int, int]:
    """Height and width in pixels of a picture scaled to a long edge of `size`; "tensorflow" truncates, in float32."""
    if resampling == "tensorflow":
        scale = torch.tensor(size, dtype=torch.float32) / max(height, width)
        return int(height * scale), int(width * scale)
    return round(height * size / max(height, width)), round(width * size / max(height, width))


def resize(images: Tensor, height: int, width: int, resampling: str = "antialiased") -> Tensor:
    """(N, C, H, W) float32 in [0, 1], on the CPU -> (N, C, height, width) in [0, 1].

    "antialiased": Lanczos, in full depth. A softer filter would hand on a softer painting: its Gram matrices differ by
    a tenth. "tensorflow": `tf.image.resize`'s default, bilinear with half-pixel centers, which skips pixels when it
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


def rotate(images: Tensor, degrees: float) -> Tensor:
    """(N, C, H, W) float32 in [0, 1], on the CPU -> turned anticlockwise, (N, C, h, w): the largest upright part of it.

    Pixels keep their size. Quarter turns lose nothing.
    """
    if degrees % 90 == 0:
        return torch.rot90(images, round(degrees / 90), (2, 3))
    height, width = _inside(images.shape[2], images.shape[3], math.radians(degrees))
    turned = [_turned(plane, degrees, height, width) for plane in images.flatten(0, 1)]
    return torch.stack(turned).view(*images.shape[:2], height, width).clamp_(0, 1)


def _inside(height: int, width: int, angle: float) -> tuple[int, int]:
    """Height and width of the largest upright rectangle in one that is turned by `angle`."""
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    short, long = sorted((height, width))
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:
        # two corners touch the long sides, the others lie on the line between their middles
        sides = 0.5 * short / sine, 0.5 * short / cosine
        wide, high = sides if width >= height else sides[::-1]
    else:
        doubled = cosine**2 - sine**2
        wide, high = (width * cosine - height * sine) / doubled, (height * cosine - width * sine) / doubled
    return max(int(high), 1), max(int(wide), 1)


def _turned(plane: Tensor, degrees: float, height: int, width: int) -> Tensor:
    """(H, W) -> the midst of it, turned, (height, width)."""
    image = Image.fromarray(plane.numpy()).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return torch.from_numpy(np.array(image.crop((left, top, left + width, top + height))))


def _lanczos(plane: Tensor, height: int, width: int) -> Tensor:
    """(H, W) -> (height, width)."""
    image = Image.fromarray(plane.numpy())  # of float32: mode F, no rounding to 8 bits
    return torch.from_numpy(np.array(image.resize((width, height), Image.Resampling.LANCZOS)))
