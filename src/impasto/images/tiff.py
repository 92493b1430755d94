"""Writes TIFF (Adobe TIFF 6.0) and BigTIFF files, streamed in strips.

Pillow writes no compressed BigTIFF and no Exif directory into a compressed TIFF. tifffile refuses the Exif directory,
too, and streams only strips that the caller has compressed.

Layout of the file: header, strips, the values that do not fit into an entry, the Exif directory, the image directory,
whose offset is then written into the header. Little-endian; BigTIFF differs in the width of offsets and counts.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import BinaryIO

from impasto.images.bands import Array, band_height
from impasto.images.metadata import EXIF_IFD, USER_COMMENT, encode_comment


class Tag(IntEnum):
    """TIFF 6.0 tags, by their names in the specification."""

    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC_INTERPRETATION = 262
    STRIP_OFFSETS = 273
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    PLANAR_CONFIGURATION = 284
    PREDICTOR = 317
    EXTRA_SAMPLES = 338


_DEFLATE, _RGB, _INTERLEAVED, _HORIZONTAL_DIFFERENCING, _UNASSOCIATED_ALPHA = 8, 2, 1, 2, 2

_MAX_CLASSIC = 4_000_000_000
"""Bytes of samples up to which a classic TIFF is written: 32-bit offsets end at 4.29e9, and deflate expands noise."""

_FIELD_TYPES = {"B": 7, "H": 3, "I": 4, "Q": 16}  # format character of `struct` -> UNDEFINED, SHORT, LONG, LONG8

_Tags = Mapping[int, tuple[str, Sequence[int]]]  # tag -> (format character, values)


def write_tiff(
    file: BinaryIO, bands: Iterable[Array], shape: tuple[int, int, int], depth: int, comment: str | None
) -> None:
    """Write an RGB or RGBA image of `shape` (H, W, 3 or 4), deflated, with `comment` (ASCII) as EXIF user comment.

    Args:
        file: seekable.
        bands: the samples from the top down, (rows, W, 3 or 4), uint8 or uint16 as `depth` says, one band per strip.
        depth: bits per channel, 8 or 16.
    """
    height, width, channels = shape
    big = height * width * channels * depth // 8 > _MAX_CLASSIC
    offset = "Q" if big else "I"
    # byte order, version 42 or 43, for BigTIFF the size of offsets and a zero, and room for the directory's offset
    file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0))
    offsets, sizes = zip(*[_append(file, _compress(band)) for band in bands], strict=True)
    tags: dict[int, tuple[str, Sequence[int]]] = {
        Tag.IMAGE_WIDTH: ("I", [width]),
        Tag.IMAGE_LENGTH: ("I", [height]),
        Tag.BITS_PER_SAMPLE: ("H", [depth] * channels),
        Tag.COMPRESSION: ("H", [_DEFLATE]),
        Tag.PHOTOMETRIC_INTERPRETATION: ("H", [_RGB]),
        Tag.STRIP_OFFSETS: (offset, offsets),
        Tag.SAMPLES_PER_PIXEL: ("H", [channels]),
        Tag.ROWS_PER_STRIP: ("I", [band_height(height, width)]),
        Tag.STRIP_BYTE_COUNTS: (offset, sizes),
        Tag.PLANAR_CONFIGURATION: ("H", [_INTERLEAVED]),
        Tag.PREDICTOR: ("H", [_HORIZONTAL_DIFFERENCING]),
    }
    if channels == 4:
        tags[Tag.EXTRA_SAMPLES] = ("H", [_UNASSOCIATED_ALPHA])  # colors are not premultiplied
    if comment is not None:
        exif = _append_directory(file, {USER_COMMENT: ("B", encode_comment(comment))}, offset)
        tags[EXIF_IFD] = (offset, [exif])
    start = _append_directory(file, tags, offset)
    file.seek(8 if big else 4)
    file.write(struct.pack("<" + offset, start))


def _compress(band: Array) -> bytes:
    """A strip: the horizontal differences of the samples, modulo 2^8 or 2^16, deflated."""
    differences = band.copy()
    differences[:, 1:] -= band[:, :-1]
    return zlib.compress(differences.astype(differences.dtype.newbyteorder("<"), copy=False))


def _append_directory(file: BinaryIO, tags: _Tags, offset: str) -> int:
    """Append an image file directory and return its offset.

    An entry is tag, type, count, and the values or, if they are longer than an offset, their offset. Entries are sorted
    by tag. The offset of the next directory, 0, ends the chain.
    """
    entries = []
    for tag, (letter, values) in sorted(tags.items()):
        data = struct.pack(f"<{len(values)}{letter}", *values)
        if len(data) > struct.calcsize("<" + offset):
            data = struct.pack("<" + offset, _append(file, data)[0])
        head = struct.pack("<HH" + offset, tag, _FIELD_TYPES[letter], len(values))
        entries.append(head + data.ljust(struct.calcsize("<" + offset), b"\0"))
    count = struct.pack("<Q" if offset == "Q" else "<H", len(entries))
    return _append(file, count + b"".join(entries) + struct.pack("<" + offset, 0))[0]


def _append(file: BinaryIO, data: bytes) -> tuple[int, int]:
    """Append `data` at an even offset, as TIFF demands; return the offset and the length in bytes."""
    file.write(b"\0" * (file.tell() % 2))
    start = file.tell()
    file.write(data)
    return start, len(data)
