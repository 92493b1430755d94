"""sRGB, linear light and Oklab: colors of any picture, (3, ...) float tensors, pixel by pixel."""

import torch
from torch import Tensor

_LMS = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float64,
)
_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float64,
)
_SLACK = 2e-6
"""How far beyond [0, 1] linear light may be by the rounding of its conversion alone: less than a 100th of a level."""
_HALVINGS = 16
"""After which the chroma that fits is known to a 65536th of what was asked for."""


def linear(srgb: Tensor) -> Tensor:
    """sRGB to linear light, both in [0, 1] (IEC 61966-2-1); below 0 the line near black goes on."""
    curve = ((srgb.clamp_min(0) + 0.055) / 1.055).pow(2.4)
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)


def encoded(light: Tensor) -> Tensor:
    """Linear light to sRGB, both in [0, 1] (IEC 61966-2-1); the inverse of `linear`."""
    curve = 1.055 * light.clamp_min(0).pow(1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)


def from_linear(light: Tensor) -> Tensor:
    """(3, ...) linear light in the order RGB -> (3, ...) Oklab: lightness in [0, 1], a and b within about 0.4 of 0.

    B. Ottosson, A perceptual color space for image processing, 2020, with the matrices of 2021. Light may lie outside
    of [0, 1]: a color beyond sRGB.
    """
    lms = weighed(_LMS, light)
    return weighed(_LAB, lms.sign() * lms.abs().pow(1 / 3))


def to_linear(lab: Tensor) -> Tensor:
    """(3, ...) Oklab -> (3, ...) linear light, outside of [0, 1] where sRGB has no such color."""
    return weighed(torch.linalg.inv(_LMS), weighed(torch.linalg.inv(_LAB), lab).pow(3))


def from_srgb(srgb: Tensor) -> Tensor:
    """(3, ...) sRGB in [0, 1] -> (3, ...) Oklab."""
    return from_linear(linear(srgb))


def to_srgb(lab: Tensor) -> Tensor:
    """(3, ...) Oklab -> (3, ...) sRGB in [0, 1].

    A color that sRGB has not keeps its lightness and hue and gets as much chroma as there is. To clip the channels
    would turn a bright blue into cyan, and darken it.
    """
    lab = torch.cat([lab[:1].clamp(0, 1), lab[1:]])
    light = to_linear(lab)
    beyond = ~_is_srgb(light)
    if beyond.any():
        light[:, beyond] = to_linear(_paler(lab[:, beyond]))
    return encoded(light.clamp_(0, 1)).clamp_(0, 1)


def brought_in(srgb: Tensor) -> Tensor:
    """(3, ...) sRGB, beyond [0, 1] where sRGB has no such color -> in [0, 1], as `to_srgb` does; others stay."""
    beyond = (srgb.amin(0) < 0) | (srgb.amax(0) > 1)
    found = srgb.clamp(0, 1)
    found[:, beyond] = to_srgb(from_srgb(srgb[:, beyond]))
    return found


def weighed(matrix: Tensor, colors: Tensor) -> Tensor:
    """(3, 3) times each of (3, ...) colors, in their precision."""
    sums: Tensor = torch.tensordot(matrix.to(colors), colors, dims=1)
    return sums


def _is_srgb(light: Tensor) -> Tensor:
    return (light.amin(0) >= -_SLACK) & (light.amax(0) <= 1 + _SLACK)


def _paler(lab: Tensor) -> Tensor:
    """(3, N) Oklab -> (3, N) with the most chroma that sRGB has at this lightness and hue, found by bisection."""
    low, high = torch.zeros_like(lab[0]), torch.ones_like(lab[0])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = _is_srgb(to_linear(torch.cat([lab[:1], lab[1:] * middle])))
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.cat([lab[:1], lab[1:] * low])
