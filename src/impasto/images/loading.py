"""Reads image files as `Picture`, and the recipes in them."""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.arguments import path_of_image
from impasto.errors import RecipeError, printable
from impasto.images.bands import Array
from impasto.images.decoding import reader
from impasto.images.decoding.reader import Limits
from impasto.images.picture import Picture
from impasto.images.recipe import Recipe, from_json
from impasto.memory import memory_left
from impasto.torch_state import isolated

MAX_PIXELS = 150_000_000


@isolated
def load(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, memory: int | None = None) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file: upright, in sRGB, at the bit depth of the file.

    `notes` say what was converted or ignored: further frames of an animation, a color profile, damaged metadata.

    Args:
        max_pixels: the number of pixels that the image may have.
        memory: bytes that the process may take; by default most of what is available. Reading takes about 20 per pixel.

    Raises:
        PictureError: a file that does not exist, is no image, has too many pixels, or is damaged.
    """
    path, limits = path_of_image(path, "image"), Limits(max_pixels, memory_left(memory))
    # passed on without a name, so that the bytes are freed before the tensor is allocated
    decoded = reader.decode(reader.read_bytes(path, limits), name=printable(path), limits=limits)
    return _picture(decoded, path.name)


@isolated
def load_bytes(data: bytes, *, name: str, max_pixels: int = MAX_PIXELS, memory: int | None = None) -> Picture:
    """Decode the contents of an image file, as `load` does; `name` is that of the picture, also in error messages."""
    return _picture(reader.decode(data, name=printable(name), limits=Limits(max_pixels, memory_left(memory))), name)


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The recipe in a file that `Picture.save` wrote. Untrusted: only known to be a JSON object of limited size.

    Raises:
        RecipeError: no recipe, or one that is damaged or too large.
        PictureError: not an image file.
    """
    path = path_of_image(path, "image")
    text = reader.embedded_text(reader.read_bytes(path, Limits(MAX_PIXELS, None)), name=printable(path))
    if text is None:
        raise RecipeError(f"{printable(path)}: holds no recipe; give an image that impasto saved")
    return from_json(text, printable(path))


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a file that `Picture.save` wrote, validated.

    Raises:
        RecipeError: no recipe, or one that is damaged or of another version.
        PictureError: not an image file.
    """
    return Recipe.parse(read_recipe(path), printable(path))


def _picture(decoded: reader.Decoded, name: str) -> Picture:
    alpha = None if decoded.alpha is None else _to_tensor(decoded.alpha[..., None])
    return Picture(_to_tensor(decoded.color), alpha, printable(name), decoded.sha256, decoded.notes)


def _to_tensor(samples: Array) -> Tensor:
    """(H, W, C) uint8, uint16 or float32 -> (C, H, W) float32 in [0, 1], without a temporary copy."""
    height, width, channels = samples.shape
    tensor = torch.empty(channels, height, width, dtype=torch.float32)
    np.copyto(tensor.numpy(), np.moveaxis(samples, 2, 0))
    return tensor if samples.dtype == np.float32 else tensor.div_(np.iinfo(samples.dtype).max)
