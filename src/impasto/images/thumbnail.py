"""Pictures made small, in 8 bits a channel: for the frames of a timelapse and the cells of a sheet."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.images.picture import Picture
from impasto.images.samples import Array
from impasto.images.writer import laid_on


def fit_within(width: int, height: int, edge: int) -> tuple[int, int]:
    """Width and height in pixels, of the same shape, with a long edge of `edge` or less; never larger, never 0."""
    shrink = min(1, edge / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def thumbnail(picture: Picture, width: int, height: int) -> Image.Image:
    """The picture in mode RGB at `width` x `height` pixels, larger or smaller; on white where there is alpha."""
    image = Image.fromarray(levels(picture))
    return image.resize((width, height), Image.Resampling.LANCZOS)  # the same size is a copy


def levels(picture: Picture) -> Array:
    """(H, W, 3) uint8; on white where there is alpha."""
    return np.stack([_rounded(plane) for plane in _opaque(picture)], axis=2)


def _opaque(picture: Picture) -> Tensor:
    if picture.alpha is None:
        return picture.tensor
    return laid_on(torch.ones(3, 1, 1), picture.tensor, picture.alpha)


def _rounded(plane: Tensor) -> Array:
    rounded: Array = np.rint(plane.numpy() * np.float32(255)).astype(np.uint8)
    return rounded
