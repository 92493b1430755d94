"""Encodes image tensors into files, quantized and (TIFF, 16-bit PNG) written a band of rows at a time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from impasto import files
from impasto.errors import OutputError, SaveError, prefix_errors, printable
from impasto.images.alpha import composite
from impasto.images.bands import Array, row_bands
from impasto.images.formats import check_size
from impasto.images.metadata import KEYWORD, exif_with_comment
from impasto.images.png16 import write_png16
from impasto.images.quantize import Quantization
from impasto.images.tiff import write_tiff

_MAX_JPEG_EXIF = 65_533  # bytes: a JPEG segment has a 16-bit length, which counts its own two bytes


def write(
    file: BinaryIO,
    tensor: Tensor,
    alpha: Tensor | None,
    *,
    file_format: str,
    quantization: Quantization,
    quality: int,
    recipe: str | None,
) -> None:
    """Encode (3, H, W) and alpha (1, H, W) or None, float32 in [0, 1], to `file`, seekable for a TIFF.

    `recipe` is ASCII. Beside the tensors this takes a few MB of memory for a TIFF or 16 bits per channel, otherwise
    Pillow's 4 bytes per pixel; a WebP is also encoded in memory as a whole.

    Raises:
        OutputError: image or recipe are too large for the format.
        SaveError: the encoder failed.
    """
    height, width = tensor.shape[1:]
    check_size(file_format, width, height)
    opaque = alpha is None or file_format == "JPEG"
    bands = quantized_bands(tensor, alpha, quantization, on_white=file_format == "JPEG")
    shape = (height, width, 3 if opaque else 4)
    with _encoder_errors():
        if file_format == "TIFF":
            write_tiff(file, bands, shape, quantization.depth, recipe)
        elif quantization.depth == 16:
            write_png16(file, bands, shape, recipe)
        else:
            options = pillow_options(file_format, quality) | _recipe_options(file_format, recipe)
            to_pillow(bands, shape).save(file, file_format, **options)


def save_image(image: Image.Image, path: Path, file_format: str, *, overwrite: bool = True, **options: Any) -> None:
    """Save an image of Pillow to `path`, completely or not at all.

    Raises:
        OutputError: there is a file of that name, and `overwrite` is false.
        SaveError: the encoder failed, or the file could not be written.
    """
    with files.replacing(path, overwrite=overwrite) as file, prefix_errors(printable(path)), _encoder_errors():
        image.save(file, file_format, **options)


def pillow_options(file_format: str, quality: int) -> dict[str, Any]:
    """The arguments of Pillow's `save` for a format and a quality from 1 to 100."""
    if file_format == "JPEG":
        return {"quality": quality, "subsampling": "4:4:4"}  # chroma at full resolution
    if file_format == "WEBP":
        return {"quality": quality, "lossless": quality == 100, "exact": True}  # exact: keep colors under alpha 0
    return {}


def _recipe_options(file_format: str, recipe: str | None) -> dict[str, Any]:
    """The arguments of Pillow's `save` that embed the recipe."""
    if recipe is None:
        return {}
    if file_format == "PNG":
        info = PngInfo()
        info.add_itxt(KEYWORD, recipe)
        return {"pnginfo": info}
    exif = exif_with_comment(recipe)
    if file_format == "JPEG" and len(exif) > _MAX_JPEG_EXIF:
        raise OutputError(f"the recipe is longer than the {_MAX_JPEG_EXIF} bytes that JPEG allows; save it as .png")
    return {"exif": exif}


@contextlib.contextmanager
def _encoder_errors() -> Iterator[None]:
    """Translate the ValueError by which Pillow reports that an encoder failed."""
    try:
        yield
    except ValueError as error:
        raise SaveError(f"could not be encoded ({error}); nothing was saved") from error


def quantized_bands(
    tensor: Tensor, alpha: Tensor | None, quantization: Quantization, *, on_white: bool = False
) -> Iterator[Array]:
    """(rows, W, 3 or 4) uint8 or uint16, band by band from the top down; alpha is never dithered."""
    for rows in row_bands(*tensor.shape[1:]):
        colors = tensor[:, rows]
        if alpha is not None and on_white:
            colors = composite(torch.ones_like(colors), colors, alpha[:, rows])
        planes = [*quantization.quantize(colors.cpu().numpy(), rows.start)]
        if alpha is not None and not on_white:
            planes += [*Quantization(quantization.depth).quantize(alpha[:, rows].cpu().numpy())]
        yield np.stack(planes, axis=2)


def to_pillow(bands: Iterator[Array], shape: tuple[int, int, int]) -> Image.Image:
    """The bands of an image of `shape` (H, W, 3 or 4), uint8, as an image of Pillow."""
    height, width, channels = shape
    image = Image.new({3: "RGB", 4: "RGBA"}[channels], (width, height))
    for rows, band in zip(row_bands(height, width), bands, strict=True):
        image.paste(Image.fromarray(band), (0, rows.start))
    return image
