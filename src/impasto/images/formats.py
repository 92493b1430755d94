"""Output formats: which suffixes are written, and what each format can hold."""

import os
from pathlib import Path

from impasto.errors import OutputError, printable

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
"""Output suffix -> Pillow's name of the format."""

FORMATS_16BIT = {"PNG", "TIFF"}
"""Formats that hold 16 bits per channel."""

# Pixels per side. JPEG's 16-bit fields hold 65535, but libjpeg stops at 65500 (JPEG_MAX_DIMENSION); WebP has 14 bits.
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383}


def check_suffix(path: str | os.PathLike[str], depth: int = 8) -> None:
    """Validate that the suffix of `path` names a format that holds `depth` bits per channel.

    Raises:
        OutputError: it does not; the message lists the suffixes that do.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix names no known format; end it in {', '.join(FORMATS)}")
    if depth > 8 and FORMATS[suffix] not in FORMATS_16BIT:
        able = ", ".join(each for each, file_format in FORMATS.items() if file_format in FORMATS_16BIT)
        raise OutputError(
            f"{printable(path)}: {FORMATS[suffix]} holds 8 bits per channel, not {depth}; end it in {able}"
        )


def check_format(file_format: str, depth: int) -> None:
    """Validate that `file_format`, one of the values of `FORMATS`, holds `depth` bits per channel.

    Raises:
        OutputError: it is not known, or does not.
    """
    known = sorted(FORMATS_16BIT if depth > 8 else {*FORMATS.values()})
    if file_format not in known:
        raise OutputError(f"format: got {file_format!r} for {depth} bits per channel; give {' or '.join(known)}")


def check_size(file_format: str, width: int, height: int) -> None:
    """Validate that `file_format` can hold an image of `width` x `height` pixels.

    Raises:
        OutputError: it is too large.
    """
    limit = _MAX_SIDE.get(file_format, 2**31 - 1)
    if max(width, height) > limit:
        size = f"{width} x {height} pixels"
        raise OutputError(f"{size} are too many, {file_format} holds {limit} per side; save it as .png")
