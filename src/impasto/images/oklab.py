"""Conversions between sRGB, linear RGB and Oklab, with gamut mapping; pixelwise, for (3, ...) float tensors."""

import torch
from torch import Tensor

# B. Ottosson, A perceptual color space for image processing, 2020, with the author's updated matrices of 2021:
# linear sRGB -> LMS cone responses, and cube roots of LMS -> Lab. On the CPU, also if this module is first imported
# while the default device of torch is another one.
_RGB_TO_LMS = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=torch.float64,
    device="cpu",
)
_LMS_TO_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=torch.float64,
    device="cpu",
)

# Linear RGB of an in-gamut color may leave [0, 1] by the float32 rounding of the conversion. The tolerance is less than
# 1/100 of the smallest difference between two 8-bit levels, 1 / (255 * 12.92).
_GAMUT_TOLERANCE = 2e-6

_BISECTIONS = 16  # the chroma is then known to 2^-16 of its original value, less than an 8-bit level


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """sRGB -> linear RGB, both in [0, 1] (IEC 61966-2-1); values below 0 continue the linear segment.

    L = S / 12.92 for S <= 0.04045, else ((S + 0.055) / 1.055)^2.4.
    """
    curve = ((srgb.clamp_min(0) + 0.055) / 1.055).pow(2.4)
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)


def linear_to_srgb(light: Tensor) -> Tensor:
    """Linear RGB -> sRGB, both in [0, 1] (IEC 61966-2-1); the inverse of `srgb_to_linear`."""
    curve = 1.055 * light.clamp_min(0).pow(1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curve)


def from_linear(light: Tensor) -> Tensor:
    """(3, ...) linear RGB -> (3, ...) Oklab: L in [0, 1], a and b within about 0.4 of 0.

    Lab = M2 (M1 RGB)^(1/3). RGB may lie outside [0, 1], for colors outside the sRGB gamut.
    """
    lms = apply_matrix(_RGB_TO_LMS, light)
    return apply_matrix(_LMS_TO_LAB, lms.sign() * lms.abs().pow(1 / 3))  # the real cube root of negative values, too


def to_linear(lab: Tensor) -> Tensor:
    """(3, ...) Oklab -> (3, ...) linear RGB, outside [0, 1] for colors outside the sRGB gamut."""
    return apply_matrix(torch.linalg.inv(_RGB_TO_LMS), apply_matrix(torch.linalg.inv(_LMS_TO_LAB), lab).pow(3))


def from_srgb(srgb: Tensor) -> Tensor:
    """(3, ...) sRGB in [0, 1] -> (3, ...) Oklab."""
    return from_linear(srgb_to_linear(srgb))


def to_srgb(lab: Tensor) -> Tensor:
    """(3, ...) Oklab -> (3, ...) sRGB in [0, 1].

    Colors outside the gamut keep lightness and hue and get the largest chroma inside it. Clipping the channels instead
    would change the hue: a bright blue would become a darker cyan.
    """
    lab = torch.cat([lab[:1].clamp(0, 1), lab[1:]])
    light = to_linear(lab)
    outside = ~_in_gamut(light)
    if outside.any():
        light[:, outside] = to_linear(_reduce_chroma(lab[:, outside]))
    return linear_to_srgb(light.clamp_(0, 1)).clamp_(0, 1)


def map_to_gamut(srgb: Tensor) -> Tensor:
    """(3, ...) sRGB, outside [0, 1] for colors outside the gamut -> (3, ...) in [0, 1], mapped as by `to_srgb`.

    Colors inside the gamut are not changed, not even by rounding.
    """
    outside = (srgb.amin(0) < 0) | (srgb.amax(0) > 1)
    mapped = srgb.clamp(0, 1)
    mapped[:, outside] = to_srgb(from_srgb(srgb[:, outside]))
    return mapped


def apply_matrix(matrix: Tensor, colors: Tensor) -> Tensor:
    """(3, 3) matrix times each of the (3, ...) colors, in the dtype of `colors`."""
    product: Tensor = torch.tensordot(matrix.to(colors), colors, dims=1)
    return product


def _in_gamut(light: Tensor) -> Tensor:
    return (light.amin(0) >= -_GAMUT_TOLERANCE) & (light.amax(0) <= 1 + _GAMUT_TOLERANCE)


def _reduce_chroma(lab: Tensor) -> Tensor:
    """(3, N) Oklab -> (3, N): a and b scaled by the largest factor in [0, 1] that is in gamut, found by bisection."""
    low, high = torch.zeros_like(lab[0]), torch.ones_like(lab[0])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fits = _in_gamut(to_linear(torch.cat([lab[:1], lab[1:] * middle])))
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.cat([lab[:1], lab[1:] * low])
