"""Writes PNG files with 16 bits per channel (ISO/IEC 15948), which Pillow does not, streamed in bands of rows."""

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from impasto.images.bands import Array
from impasto.images.metadata import KEYWORD

_COLOR_TYPES = {3: 2, 4: 6}  # channels -> truecolor, truecolor with alpha
_SUB = 1  # filter type: each byte minus the byte of the same channel in the pixel to the left


def write_png16(file: BinaryIO, bands: Iterable[Array], shape: tuple[int, int, int], text: str | None) -> None:
    """Write an RGB or RGBA image of `shape` (H, W, 3 or 4), with `text` (ASCII) in an iTXt chunk.

    `bands` are the samples from the top down, (rows, W, 3 or 4) uint16.
    """
    height, width, channels = shape
    file.write(b"\x89PNG\r\n\x1a\n")
    # bit depth, color type, then the only compression, filter method and no interlacing
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPES[channels], 0, 0, 0))
    if text is not None:
        # after the keyword: its terminator, two bytes for "not compressed", an empty language and translated keyword
        _write_chunk(file, b"iTXt", KEYWORD.encode("ascii") + bytes(5) + text.encode("ascii"))
    deflate = zlib.compressobj()  # the IDAT chunks together are one zlib stream
    for band in bands:
        _write_chunk(file, b"IDAT", deflate.compress(_filter(band)))
    _write_chunk(file, b"IDAT", deflate.flush())
    _write_chunk(file, b"IEND", b"")


def _filter(band: Array) -> bytes:
    """The rows as big-endian bytes, filtered by "Sub" modulo 256; each begins with its filter type."""
    height, _, channels = band.shape
    samples = band.astype(">u2").view(np.uint8).reshape(height, -1)
    rows = np.full((height, 1 + samples.shape[1]), _SUB, np.uint8)
    rows[:, 1:] = samples
    rows[:, 1 + 2 * channels :] -= samples[:, : -2 * channels]
    return rows.tobytes()


def _write_chunk(file: BinaryIO, kind: bytes, body: bytes) -> None:
    """Length of the body, type, body, and the CRC of type and body."""
    file.write(struct.pack(">I", len(body)) + kind)
    file.write(body)
    file.write(struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))
