"""Grain: detail of single pixels, by the lightness around them.

The residual of a pixel is the difference of its lightness (Oklab) from the median of the 3x3 pixels around it. Strokes
and edges leave little of it, single bright or dark pixels all of it. Its mean is taken over the pixels in each band of
lightness of the median. An image in the style of another should have as much as that one has.

`python -m benchmarks.grain STYLE RESULT... --figure FILE` prints it, and plots it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.palette import BANDS, LEAST_SHARE
from impasto import load
from impasto.images import oklab
from impasto.images.resize import resize, scaled_size

DARK = 2
"""The first bands, lightness 0 to 0.4: where grain is seen best."""


def grain(image: Tensor) -> list[float]:
    """(3, H, W) sRGB in [0, 1] -> the mean residual of each band, from dark to light; nan for too few pixels."""
    lightness = oklab.from_srgb(image)[:1]
    around = F.pad(lightness[None], (1, 1, 1, 1), "replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    median = around.flatten(-2).median(-1).values[0]
    residuals = (lightness - median).abs()
    numbers = (median * BANDS).long().clamp(0, BANDS - 1)
    found = [residuals[numbers == number] for number in range(BANDS)]
    return [float(each.mean()) if len(each) >= LEAST_SHARE * residuals.numel() else float("nan") for each in found]


def dark_grain(image: Tensor) -> float:
    """The mean of the dark bands that the image has."""
    return float(torch.tensor(grain(image)[:DARK]).nanmean())


def _style_at(style: Tensor, size: int) -> Tensor:
    """The style image with the long edge of a result, as a run resizes it."""
    return resize(style[None], *scaled_size(*style.shape[1:], size))[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the grain of the images."""
    parser = argparse.ArgumentParser(description="Grain of results and of their style image, by lightness.")
    parser.add_argument("style", type=Path)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--figure", type=Path, help="plot it into this file")
    given = parser.parse_args(arguments)
    images = {path.stem: load(path).tensor for path in given.results}
    size = max(next(iter(images.values())).shape[1:])
    curves = {f"{given.style.stem} (style)": grain(_style_at(load(given.style).tensor, size))}
    curves |= {name: grain(image) for name, image in images.items()}
    for name, values in curves.items():
        print(f"{name:40} " + "  ".join(f"{value:.4f}" for value in values))
    if given.figure:
        _plot(curves, given.figure)


def _plot(curves: dict[str, list[float]], path: Path) -> None:
    from matplotlib.figure import Figure  # the figure is optional

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    middles = [(number + 0.5) / BANDS for number in range(BANDS)]
    for name, values in curves.items():
        axes.plot(middles, values, marker="o", label=name)
    axes.set(xlabel="lightness of the median of 3x3 pixels (Oklab)", ylabel="mean difference from the median", ylim=0)
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
