"""How far the colors of a result are from those of the style image, lightness by lightness.

The colors of an image, in Oklab, are divided into `BANDS` of lightness, and a Gaussian is fitted to those of each band.
The distance of two images is the root of the mean over the bands of the squared Wasserstein-2 distances of their
Gaussians, weighted by the pixels that both images have there. It is a distance of colors: 0.02 is just visible side by
side. A style image's own variation is the scale: the distance of its halves, left and right, and top and bottom.

`python -m benchmarks.palette STYLE RESULT...` prints each result's distance, and its ratio to that of the halves.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.critic import squared_wasserstein
from impasto import load
from impasto.images import oklab

BANDS = 5
"""Bands of equal width in lightness, from 0 to 1."""
LEAST_SHARE = 0.01
"""Share of the pixels below which a band is left out: the colors of so few say nothing about a palette."""


class Band(NamedTuple):
    """The colors of one band: the share of the image's pixels, their mean (3,) and covariance (3, 3)."""

    share: float
    mean: Tensor
    covariance: Tensor


def bands(image: Tensor) -> list[Band | None]:
    """(3, H, W) sRGB in [0, 1] -> its bands; None for one of too few pixels."""
    colors = oklab.from_srgb(image.double()).flatten(1)
    numbers = (colors[0] * BANDS).long().clamp(0, BANDS - 1)
    found: list[Band | None] = []
    for number in range(BANDS):
        own = colors[:, numbers == number]
        share = own.shape[1] / colors.shape[1]
        found.append(Band(share, own.mean(1), torch.cov(own)) if share >= LEAST_SHARE else None)
    return found


def distance(one: Tensor, other: Tensor) -> float:
    """The distance of the colors of two images, (3, H, W) sRGB in [0, 1], in units of Oklab."""
    total, weights = 0.0, 0.0
    for ours, theirs in zip(bands(one), bands(other), strict=True):
        if ours is not None and theirs is not None:
            weight = min(ours.share, theirs.share)
            squared = float(squared_wasserstein(ours.mean, ours.covariance, theirs.mean, theirs.covariance))
            total, weights = total + weight * max(squared, 0.0), weights + weight
    return float((total / weights) ** 0.5) if weights else float("inf")


def variation(image: Tensor) -> float:
    """The distance of the halves of an image, (3, H, W): the mean of left and right, and top and bottom."""
    middle_row, middle_column = image.shape[1] // 2, image.shape[2] // 2
    halves = (image[:, :middle_row], image[:, middle_row:]), (image[..., :middle_column], image[..., middle_column:])
    return sum(distance(*pair) for pair in halves) / len(halves)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the distances."""
    parser = argparse.ArgumentParser(description="Distances of results from the colors of a style image.")
    parser.add_argument("style")
    parser.add_argument("results", nargs="+")
    given = parser.parse_args(arguments)
    style = load(given.style).tensor
    scale = variation(style)
    print(f"the halves of {given.style}: {scale:.4f}")
    for name in given.results:
        found = distance(load(name).tensor, style)
        print(f"{name}: {found:.4f}, {found / scale:.2f} times that of the halves")


if __name__ == "__main__":
    main()
