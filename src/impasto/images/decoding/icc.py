"""ICC profiles (ICC.1:2022) for color spaces that a file names or describes without embedding a profile."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impasto.images.bands import Array

MAX_PROFILE = 2**26
"""Bytes of an embedded profile that are accepted, 64 MB; profiles of printers have up to about 4 MB."""

# The Bradford transform to cone responses, and the white point of the profile connection space (ICC.1 annex E, 7.2.16)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50 = np.array([0.9642, 1.0, 0.8249])
# sRGB's curve as a parametric curve of type 3, ((a x + b)^g from d on, c x before): g, a, b, c, d (IEC 61966-2-1)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
MIN_GAMMA, MAX_GAMMA = 0.1, 10.0


@dataclass(frozen=True)
class Primaries:
    """CIE 1931 chromaticities x, y of white and of the primaries of an RGB color space."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Primaries":
        """From x and y of white, red, green and blue, in this order."""
        white, red, green, blue = (tuple(numbers[index : index + 2]) for index in range(0, 8, 2))
        return cls(white, red, green, blue)  # type: ignore[arg-type]


def matrix_profile(name: str, primaries: Primaries, gamma: float | None) -> bytes | None:
    """A display profile called `name`: light = sample^gamma, or by sRGB's curve if None; None if it is invalid."""
    colorants = _colorants(primaries)
    if colorants is None or not (gamma is None or MIN_GAMMA <= gamma <= MAX_GAMMA):
        return None
    kind, parameters = (3, _SRGB_CURVE) if gamma is None else (0, (gamma,))
    curve = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(parameters)
    tags = {b"desc": _text(name), b"cprt": _text("public domain"), b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50)}
    for letter, colorant in zip(b"rgb", colorants.T, strict=True):
        tags |= {bytes([letter]) + b"XYZ": b"XYZ " + bytes(4) + _fixed(colorant), bytes([letter]) + b"TRC": curve}
    table, values, start = b"", b"", 132 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    head = struct.pack(">I4x4s4s4s4s12x4s28x", start + len(values), b"\x04\x20\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _fixed(_D50)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + values


def _colorants(primaries: Primaries) -> Array | None:
    """(3, 3): the XYZ of full red, green and blue as columns, adapted to D50; None if they span no color space."""
    points = np.array([primaries.red, primaries.green, primaries.blue, primaries.white])
    if not (np.isfinite(points).all() and (points[:, 1] > 0.001).all() and (points[:, 0] >= 0).all()):
        return None
    xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(1)) / points[:, 1]])
    corners, white = xyz[:, :3], xyz[:, 3]
    if abs(np.linalg.det(corners)) < 1e-3:
        return None
    matrix = corners * np.linalg.solve(corners, white)  # so scaled that the three add up to white
    cones = _BRADFORD @ white
    if (cones <= 0.01).any():
        return None
    adapted: Array = np.linalg.solve(_BRADFORD, (_BRADFORD @ _D50 / cones)[:, None] * (_BRADFORD @ matrix))
    return adapted


def _fixed(values: Sequence[float] | Array) -> bytes:
    """s15Fixed16 numbers."""
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in np.clip(values, -32768, 32767)))


def _text(text: str) -> bytes:
    """A multi-localized string with one entry, in English."""
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded
