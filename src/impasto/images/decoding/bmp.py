"""BMP files: the color space in headers of version 4 and 5 (Windows GDI, BITMAPV4HEADER and BITMAPV5HEADER)."""

import struct

from impasto.images.decoding.container import Container
from impasto.images.decoding.icc import Primaries, matrix_profile

_HEADER = 14
"""Bytes of the file header, after which the bitmap header begins."""
_V4, _V5 = 108, 124
_CALIBRATED, _EMBEDDED, _LINKED = 0, 0x4D424544, 0x4C494E4B  # LCS_CALIBRATED_RGB, "MBED", "LINK"


def examine(data: bytes, notes: list[str]) -> Container:
    """Read the color space of a BMP file; one that cannot be used is added to `notes`."""
    size = int.from_bytes(data[_HEADER : _HEADER + 4], "little")
    header = data[_HEADER : _HEADER + size]
    if size not in {_V4, _V5} or len(header) < size:
        return Container(data)
    space = int.from_bytes(header[56:60], "little")
    if space == _CALIBRATED:
        return Container(data, profile=_calibrated(header, notes))
    if space == _EMBEDDED and size == _V5:
        start, length = struct.unpack_from("<II", header, 112)
        return Container(data, profile=data[_HEADER + start : _HEADER + start + length])
    if space == _LINKED:
        notes.append("its color profile is in another file: assumed sRGB")
    return Container(data)


def _calibrated(header: bytes, notes: list[str]) -> bytes:
    """The profile for the XYZ of red, green and blue, fixed point with 30 bits, and the exponents with 16."""
    xyz = [value / 2**30 for value in struct.unpack_from("<9i", header, 60)]
    gammas = [value / 2**16 for value in struct.unpack_from("<3I", header, 96)]
    if not any(xyz):  # as most programs write it that mean sRGB
        return b""
    white = [sum(xyz[index::3]) for index in range(3)]
    colors = [white, xyz[0:3], xyz[3:6], xyz[6:9]]
    if max(gammas) - min(gammas) > 0.01 or any(sum(color) <= 0 for color in colors):
        notes.append("its color space is not supported: assumed sRGB")
        return b""
    points = [value / sum(color) for color in colors for value in color[:2]]
    return matrix_profile("the color space of the file (BMP)", Primaries.of(points), gammas[0] or None) or b""
