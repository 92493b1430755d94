"""A picture's tensors into a file: its levels are made and written a band of rows at a time."""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from impasto import files
from impasto.errors import OutputError, SaveError, printable
from impasto.images.quantize import Rounding
from impasto.images.reader import EXIF_IFD, USER_COMMENT
from impasto.images.samples import Array, band_height, bands

KEYWORD = "impasto"  # of the recipe among the texts of a PNG
CHARSET = b"ASCII\0\0\0"  # EXIF: the first eight bytes of a user comment say how the others are encoded
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}

DEEP = {"PNG", "TIFF"}
"""Formats that hold 16 bits a channel."""

_LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels a side; JPEG could count to 65535, its library stops before
_TIFF_ENDS = 4_000_000_000  # bytes of samples; places of 4 bytes end at 4.29e9, and noise grows when it is deflated
_TYPES = {
    "B": 7,
    "H": 3,
    "I": 4,
    "Q": 16,
}  # letters of `struct` as types of TIFF: bytes, and numbers of 16, 32, 64 bits

Tags = Mapping[int, tuple[str, Sequence[int]]]  # tag of TIFF -> (letter in `_TYPES`, values)


def write(
    path: Path, tensor: Tensor, alpha: Tensor | None, rounding: Rounding, *, recipe: str | None, quality: int
) -> None:
    """Write (3, H, W) and (1, H, W) or no alpha, float in [0, 1], to `path` in the format of its suffix.

    `recipe` is ASCII. Beside the tensors it takes a few MB for a TIFF or 16 bits a channel, elsewhere Pillow's 4 bytes
    a pixel; a WebP is also encoded in memory as a whole.

    Raises:
        OutputError: too large for the format.
        SaveError: it could not be encoded or written; nothing is left behind.
    """
    kind = FORMATS[path.suffix.lower()]
    height, width = tensor.shape[1:]
    if max(width, height) > _LONGEST.get(kind, 2**31 - 1):
        size = f"{width} x {height} pixels"
        raise OutputError(
            f"{printable(path)}: {size} are too many, {kind} ends at {_LONGEST[kind]} a side; save it as .png"
        )
    options = _options(kind, quality, recipe)
    if len(options.get("exif", b"")) > 65_533 and kind == "JPEG":
        raise OutputError(
            f"{printable(path)}: the recipe is longer than the 65533 bytes that JPEG allows; save it as .png"
        )
    levels = _levels(tensor, alpha, rounding, on_white=kind == "JPEG")
    shape = (height, width, 3 if alpha is None or kind == "JPEG" else 4)
    try:
        with files.replacing(path) as file:
            if kind == "TIFF":
                _write_tiff(file, levels, shape, rounding.depth, recipe)
            elif rounding.depth == 16:
                _write_deep_png(file, levels, shape, recipe)
            else:
                _image(levels, shape).save(file, kind, **options)
    except ValueError as error:  # Pillow's word for an encoder that failed
        raise SaveError(f"{printable(path)}: could not be made ({error}); nothing was saved") from error


def laid_on(matte: Tensor, tensor: Tensor, alpha: Tensor) -> Tensor:
    """`tensor` (3, H, W) where `alpha` (1, H, W) is one, and `matte`, of any shape that spreads to it, where zero."""
    return torch.lerp(matte.expand_as(tensor), tensor, alpha.expand_as(tensor)).clamp_(0, 1)


def _levels(tensor: Tensor, alpha: Tensor | None, rounding: Rounding, *, on_white: bool) -> Iterator[Array]:
    """(rows, W, 3 or 4) uint8 or uint16, band by band from the top down; alpha is never dithered."""
    for rows in bands(*tensor.shape[1:]):
        colors = tensor[:, rows]
        if alpha is not None and on_white:
            colors = laid_on(torch.ones_like(colors), colors, alpha[:, rows])
        planes = [*rounding.levels(colors.cpu().numpy(), rows.start)]
        if alpha is not None and not on_white:
            planes += [*Rounding(rounding.depth).levels(alpha[:, rows].cpu().numpy())]
        yield np.stack(planes, axis=2)


def _image(levels: Iterator[Array], shape: tuple[int, int, int]) -> Image.Image:
    height, width, channels = shape
    image = Image.new({3: "RGB", 4: "RGBA"}[channels], (width, height))
    for rows, band in zip(bands(height, width), levels, strict=True):
        image.paste(Image.fromarray(band), (0, rows.start))
    return image


def _options(kind: str, quality: int, recipe: str | None) -> dict[str, Any]:
    """What Pillow is asked for."""
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},
        "WEBP": {"quality": quality, "lossless": quality == 100, "exact": True},
    }
    chosen = options.get(kind, {})
    if recipe is not None and kind == "PNG":
        chosen["pnginfo"] = PngInfo()
        chosen["pnginfo"].add_itxt(KEYWORD, recipe)
    elif recipe is not None and kind in options:
        exif = Image.Exif()
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = CHARSET + recipe.encode("ascii")
        chosen["exif"] = exif.tobytes()
    return chosen


def _write_deep_png(file: BinaryIO, levels: Iterator[Array], shape: tuple[int, int, int], recipe: str | None) -> None:
    """A PNG of 16 bits a channel (ISO/IEC 15948), which Pillow does not write."""
    height, width, channels = shape
    file.write(b"\x89PNG\r\n\x1a\n")
    kind = {3: 2, 4: 6}[channels]  # color, or color and alpha
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    if recipe is not None:
        _write_chunk(file, b"iTXt", KEYWORD.encode("ascii") + bytes(5) + recipe.encode("ascii"))
    deflate = zlib.compressobj()
    for band in levels:
        _write_chunk(file, b"IDAT", deflate.compress(_filtered(band)))
    _write_chunk(file, b"IDAT", deflate.flush())
    _write_chunk(file, b"IEND", b"")


def _filtered(band: Array) -> bytes:
    """The rows as PNG's filter 1 has them: each byte as its step from that of the pixel before."""
    height, _, channels = band.shape
    samples = band.astype(">u2").view(np.uint8).reshape(height, -1)
    rows = np.ones((height, 1 + samples.shape[1]), np.uint8)  # each begins with the number of its filter
    rows[:, 1:] = samples
    rows[:, 1 + 2 * channels :] -= samples[:, : -2 * channels]
    return rows.tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, body: bytes) -> None:
    file.write(struct.pack(">I", len(body)) + kind)
    file.write(body)
    file.write(struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))


def _write_tiff(
    file: BinaryIO, levels: Iterator[Array], shape: tuple[int, int, int], depth: int, recipe: str | None
) -> None:
    """A TIFF, deflated, its directory behind the samples; a BigTIFF, with places of 8 bytes, where 4 could not do.

    By hand, because Pillow writes no compressed BigTIFF, and no EXIF comment into a compressed TIFF.
    """
    height, width, channels = shape
    big = height * width * channels * depth // 8 > _TIFF_ENDS
    place = "Q" if big else "I"
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
    strips = [_append(file, _deflated(band)) for band in levels]
    places, sizes = zip(*strips, strict=True)
    tags: dict[int, tuple[str, Sequence[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [depth] * channels),  # bits a sample
        259: ("H", [8]),  # compression: deflate
        262: ("H", [2]),  # RGB
        273: (place, places),
        277: ("H", [channels]),
        278: ("I", [band_height(height, width)]),
        279: (place, sizes),
        284: ("H", [1]),  # the channels of a pixel stand together
        317: ("H", [2]),  # each sample as its step from the last
    }
    if channels == 4:
        tags[338] = ("H", [2])  # the fourth is alpha, and the colors are not multiplied by it
    if recipe is not None:
        comment = CHARSET + recipe.encode("ascii")
        tags[EXIF_IFD] = (place, [_append_directory(file, {USER_COMMENT: ("B", comment)}, place)])
    start = _append_directory(file, tags, place)
    file.seek(8 if big else 4)
    file.write(struct.pack("<" + place, start))


def _deflated(band: Array) -> bytes:
    steps = band.copy()
    steps[:, 1:] -= band[:, :-1]
    return zlib.compress(steps.astype(steps.dtype.newbyteorder("<"), copy=False))


def _append_directory(file: BinaryIO, tags: Tags, place: str) -> int:
    """Where a directory of `tags` now begins. An entry: tag, type, count, and the values, or their place if longer."""
    entries = []
    for tag, (letter, values) in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{letter}", *values)
        if len(data) > struct.calcsize("<" + place):
            data = struct.pack("<" + place, _append(file, data)[0])
        head = struct.pack("<HH" + place, tag, _TYPES[letter], len(values))
        entries.append(head + data.ljust(struct.calcsize("<" + place), b"\0"))
    count = struct.pack("<Q" if place == "Q" else "<H", len(entries))
    return _append(file, count + b"".join(entries) + struct.pack("<" + place, 0))[0]


def _append(file: BinaryIO, data: bytes) -> tuple[int, int]:
    """Where `data` now begins, which TIFF wants to be even, and its length in bytes."""
    file.write(b"\0" * (file.tell() % 2))
    start = file.tell()
    file.write(data)
    return start, len(data)
