"""8-bit and reduced copies of a picture, for the frames of a timelapse and the cells of a contact sheet."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.images.alpha import composite
from impasto.images.bands import Array
from impasto.images.picture import Picture


def fit_within(width: int, height: int, edge: int) -> tuple[int, int]:
    """Width and height in pixels of the same aspect ratio with a long edge of at most `edge`; never enlarged."""
    factor = min(1, edge / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def thumbnail(picture: Picture, width: int, height: int) -> Image.Image:
    """The picture resized to `width` x `height` pixels, in Pillow's mode RGB; alpha is composited on white."""
    image = Image.fromarray(to_uint8(picture))
    return image.resize((width, height), Image.Resampling.LANCZOS)  # a plain copy if the size is the same


def to_uint8(picture: Picture) -> Array:
    """(H, W, 3) uint8, RGB order; alpha is composited on white."""
    return np.stack([_quantize(plane) for plane in _on_white(picture)], axis=2)


def _on_white(picture: Picture) -> Tensor:
    if picture.alpha is None:
        return picture.tensor
    return composite(torch.ones(3, 1, 1), picture.tensor, picture.alpha)


def _quantize(plane: Tensor) -> Array:
    quantized: Array = np.rint(plane.numpy() * np.float32(255)).astype(np.uint8)
    return quantized
