"""TIFF files (TIFF 6.0 and its extensions): refuses camera raw files, thumbnails and unknown compressions."""

import io
from functools import partial
from typing import Any

from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

from impasto.errors import PictureError, printable
from impasto.images.decoding import jpeg
from impasto.images.decoding.container import Container
from impasto.images.decoding.quiet import no_warnings

COMPRESSION = 259
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC, _MAKE = 254, 255, 262, 271
_WIDTH, _HEIGHT, _SUB_IFDS, _DNG_VERSION = 256, 257, 330, 50706
_STRIPS, _TILES = (273, 279), (324, 325)
"""The tags with the offsets, and with the lengths in bytes."""
_JPEG, _JPEG_TABLES = 7, 347
_REDUCED_RESOLUTION = 1  # bit 0 of NewSubfileType
_REDUCED_RESOLUTION_OLD = 2  # SubfileType
_COLOR_FILTER_ARRAY, _LINEAR_RAW = 32803, 34892  # PhotometricInterpretation (TIFF/EP, DNG)
_COMPRESSIONS = {
    32766: "NeXT RLE",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG (DNG)",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_JPEG_2000_APERIO = range(33003, 33006)
OPTIONAL_COMPRESSIONS = {34676: "SGI LogLuv", 34677: "SGI LogLuv", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
"""Compressions that Pillow knows, but its libtiff may have been built without."""


def examine(data: bytes, notes: list[str]) -> Container:
    """Validate the first image directory of a TIFF file.

    Raises:
        PictureError: a camera raw file, a first image that is a thumbnail, or an unknown compression.
    """
    tags = _first_directory(data)
    make = tags.get(_MAKE)
    reduced = _integer(tags, _NEW_SUBFILE_TYPE) & _REDUCED_RESOLUTION
    reduced = reduced or _integer(tags, _SUBFILE_TYPE) == _REDUCED_RESOLUTION_OLD
    if (
        data[8:10] == b"CR"  # Canon's CR2
        or _DNG_VERSION in tags
        or _integer(tags, _PHOTOMETRIC) in {_COLOR_FILTER_ARRAY, _LINEAR_RAW}
        or (reduced and make and _SUB_IFDS in tags)
    ):
        camera = f" ({printable(make.strip())[:40]})" if isinstance(make, str) and make.strip() else ""
        raise raw_error(camera)
    if reduced:
        size = f"{_integer(tags, _WIDTH)} x {_integer(tags, _HEIGHT)} pixels"
        raise PictureError(f"has a thumbnail of {size} as its first image; save the full image alone")
    compression = _integer(tags, COMPRESSION)
    if compression and compression not in COMPRESSION_INFO:
        raise unsupported_compression(compression)
    if compression == _JPEG:
        return Container(data, check=partial(_check_jpeg, data, tags, notes))
    return Container(data)


def _check_jpeg(data: bytes, tags: dict[int, Any], notes: list[str]) -> None:
    """Refuse damaged strips or tiles, each a JPEG stream; their tables may be in a tag (TIFF Technical Note 2)."""
    tables = tags.get(_JPEG_TABLES, b"")
    offsets, lengths = _STRIPS if _STRIPS[0] in tags else _TILES
    for start, length in zip(_integers(tags, offsets), _integers(tags, lengths), strict=False):
        stream = data[start : start + length]
        if isinstance(tables, bytes) and len(tables) > 4:
            stream = tables[:-2] + stream[2:]  # without the end marker of the tables and the start marker of the strip
        jpeg.check_complete(stream, notes)


def raw_error(camera: str = "") -> PictureError:
    """The error for a camera raw file."""
    return PictureError(
        f"is a camera raw file{camera}, which is not supported; export it as TIFF, PNG or JPEG with a raw converter"
    )


def unsupported_compression(compression: int) -> PictureError:
    """The error for a TIFF whose compression cannot be decoded."""
    names = _COMPRESSIONS | OPTIONAL_COMPRESSIONS | dict.fromkeys(_JPEG_2000_APERIO, "JPEG 2000")
    name = names.get(compression, f"method {compression}")
    return PictureError(f"is a TIFF compressed with {name}, which is not supported; save it with LZW or deflate")


def _first_directory(data: bytes) -> dict[int, Any]:
    """The tags of the first image directory; empty if it cannot be read."""
    tags: dict[int, Any] = {}
    with no_warnings():
        try:
            directory = ImageFileDirectory_v2(data[: 16 if data[2:3] == b"+" or data[3:4] == b"+" else 8])
            file = io.BytesIO(data)
            file.seek(directory.next)
            directory.load(file)
            for tag in directory:
                tags[tag] = directory[tag]
        except Exception:  # Pillow's parser may raise anything; it will say so when it opens the file
            return tags
    return tags


def _integer(tags: dict[int, Any], tag: int) -> int:
    """The (first) value of a tag; 0 if there is none, or in another format."""
    return next(iter(_integers(tags, tag)), 0)


def _integers(tags: dict[int, Any], tag: int) -> tuple[int, ...]:
    """The values of a tag; none if there is none, or in another format."""
    value = tags.get(tag, ())
    values = value if isinstance(value, tuple) else (value,)
    return values if all(isinstance(each, int) for each in values) else ()
