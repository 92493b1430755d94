"""Resizing and rotation of images."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def scaled_size(height: int, width: int, size: int, resampling: str = "antialiased") -> tuple[int, int]:
    """Height and width in pixels for a long edge of `size` and the same aspect ratio.

    "antialiased" rounds; "tensorflow" truncates products in float32, as TensorFlow's style transfer tutorial does.
    """
    if resampling == "tensorflow":
        scale = torch.tensor(size, dtype=torch.float32) / max(height, width)
        return int(height * scale), int(width * scale)
    return round(height * size / max(height, width)), round(width * size / max(height, width))


def resize(images: Tensor, height: int, width: int, resampling: str = "antialiased") -> Tensor:
    """(N, C, H, W) float32 in [0, 1], on the CPU -> (N, C, height, width) in [0, 1].

    "antialiased": Lanczos, a=3, in float32. A softer filter lowers the Gram matrices of the style image by a tenth, and
    the output becomes softer. "tensorflow": the default of `tf.image.resize`, bilinear with half-pixel centers and
    without antialiasing.
    """
    if images.shape[2:] == (height, width):
        return images
    if resampling == "tensorflow":
        return F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
    resized = images.new_empty(*images.shape[:2], height, width)
    for source, target in zip(images.flatten(0, 1), resized.flatten(0, 1), strict=True):
        target.copy_(_lanczos(source, height, width))
    return resized.clamp_(0, 1)  # Lanczos overshoots at hard edges


def enlarge(values: Tensor, height: int, width: int) -> Tensor:
    """(N, C, H, W) of any range -> (N, C, height, width), bilinear, which does not overshoot."""
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False)


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotate (N, C, H, W) float32 in [0, 1], on the CPU, counterclockwise and crop: (N, C, h, w) in [0, 1].

    The crop is the largest axis-aligned rectangle inside the rotated image. Pixels keep their size; multiples of 90
    degrees are exact.
    """
    if degrees % 90 == 0:
        return torch.rot90(images, round(degrees / 90), (2, 3))
    height, width = _inscribed_size(images.shape[2], images.shape[3], math.radians(degrees))
    rotated = [_rotate_and_crop(plane, degrees, height, width) for plane in images.flatten(0, 1)]
    return torch.stack(rotated).view(*images.shape[:2], height, width).clamp_(0, 1)


def _inscribed_size(height: int, width: int, angle: float) -> tuple[int, int]:
    """Height and width of the largest axis-aligned rectangle in a `height` x `width` rectangle rotated by `angle`."""
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    short, long = sorted((height, width))
    if short <= 2 * sine * cosine * long or abs(sine - cosine) < 1e-9:
        # two corners touch the long sides, the others lie on the center line between them
        sides = 0.5 * short / sine, 0.5 * short / cosine
        wide, high = sides if width >= height else sides[::-1]
    else:
        # all four corners touch a side: w cos + h sin = width and w sin + h cos = height; the determinant is cos 2a
        determinant = cosine**2 - sine**2
        wide, high = (width * cosine - height * sine) / determinant, (height * cosine - width * sine) / determinant
    return max(int(high), 1), max(int(wide), 1)


def _rotate_and_crop(plane: Tensor, degrees: float, height: int, width: int) -> Tensor:
    """(H, W) -> the center (height, width) of the rotated plane, bicubic."""
    image = Image.fromarray(plane.numpy()).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return torch.from_numpy(np.array(image.crop((left, top, left + width, top + height))))


def _lanczos(plane: Tensor, height: int, width: int) -> Tensor:
    """(H, W) float32 -> (height, width). Pillow's mode F: antialiased, and not rounded to 8 bits."""
    image = Image.fromarray(plane.numpy())
    return torch.from_numpy(np.array(image.resize((width, height), Image.Resampling.LANCZOS)))
