"""Tone: lightness, contrast and saturation of an image, and their transfer, which keeps all hues.

A map of mean and covariance (`color_transfer`) also turns hues: a face gets green where the style image has no skin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.images import oklab
from impasto.images.bands import row_bands
from impasto.images.picture import Picture

CONTRAST_GAINS = 0.6, 1.7
CHROMA_GAINS = 0.4, 2.5
"""Least and largest factors on the differences of lightness, and on the chroma: beyond them faces look unnatural."""
_MIN_SPREAD = 1 / 255  # of an image of one lightness, or without chroma


class Tone(NamedTuple):
    """Of an image in Oklab: mean and standard deviation of the lightness, and the root mean square of the chroma."""

    lightness: float
    contrast: float
    chroma: float


def tone(picture: Picture) -> Tone:
    """The tone of a picture."""
    image, sums = picture.composited(), torch.zeros(3, dtype=torch.float64)
    for rows in row_bands(*image.shape[1:]):
        lightness, *chroma = oklab.from_srgb(image[:, rows]).double()
        sums += torch.stack([lightness.sum(), lightness.square().sum(), torch.stack(chroma).square().sum()])
    mean, square, chroma_square = (sums / (picture.height * picture.width)).tolist()
    return Tone(mean, max(square - mean**2, 0.0) ** 0.5, chroma_square**0.5)


def mix_tones(tones: Sequence[Tone]) -> Tone:
    """The mean of several tones."""
    return Tone(*(sum(values) / len(tones) for values in zip(*tones, strict=True)))


def match_tone(image: Tensor, source: Tone, target: Tone) -> Tensor:
    """(3, H, W) sRGB in [0, 1] with the tone `source` -> the same with about that of `target`; hues are kept.

    The lightness moves half of the way only: skin on white would get as dark as the style's darkest areas.
    """
    contrast = _gain(source.contrast, target.contrast, *CONTRAST_GAINS)
    chroma = _gain(source.chroma, target.chroma, *CHROMA_GAINS)
    mean = (source.lightness + target.lightness) / 2
    matched = torch.empty_like(image)
    for rows in row_bands(*image.shape[1:]):
        lab = oklab.from_srgb(image[:, rows])
        lightness = (lab[:1] - source.lightness) * contrast + mean
        matched[:, rows] = oklab.to_srgb(torch.cat([lightness, lab[1:] * chroma]))
    return matched


def _gain(source: float, target: float, least: float, largest: float) -> float:
    return min(max(target / max(source, _MIN_SPREAD), least), largest)
