"""The lattice of 4x4 pixels in a single pass of the any-style network, and the mean over shifts.

`python -m benchmarks.lattice tubingen.jpg starry_night.jpg OUT.jpg` draws the figure of docs/fast.md: a flat area of
both results at 512 pixels and its power spectrum. It prints the standard deviation of its lightness from a local mean,
in levels of 255, and the share of that variance that the mean of all blocks of 4x4 pixels has.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.plan import Plan
from impasto import FastNetwork, Picture, Style
from impasto.feedforward.averaged import mean_over_shifts

SIZE = 512
AREA = (slice(None), slice(16, 112), slice(170, 266))
"""Channels, rows and columns of the flat area: the sky of Tübingen."""
REACH = 12
"""Pixels on either side of the window of the local mean."""


def results(content: Path, style: Path) -> dict[str, Tensor]:
    """Content image, single pass and mean over shifts, each (3, H, W)."""
    network, (image, style_image) = (
        FastNetwork("cpu", "float32"),
        (each[0] for each in Plan(content, style, SIZE).tensors()),
    )
    affines = network.affines_for([Style(Picture(style_image))], Picture(image), 0.5)
    mean = mean_over_shifts(lambda window: network.stylize(window, affines), image)
    return {"content": image, "single pass": network.stylize(image, affines), "mean of 8 shifts": mean}


def detail(image: Tensor) -> Tensor:
    """Lightness in the flat area minus its local mean."""
    gray = image.mean(0, keepdim=True)[None]
    local = F.avg_pool2d(gray, 2 * REACH + 1, 1, REACH, count_include_pad=False)
    return (gray - local)[0][AREA][0]


def spectrum(area: Tensor) -> Tensor:
    """The logarithm of the power at each frequency, 0 in the middle."""
    window = torch.hann_window(len(area))
    return torch.fft.fftshift(torch.fft.fft2(area * window * window[:, None]).abs().square()).log()


def main(content: str, style: str, out: str) -> None:
    """Print the figures and draw both results."""
    images = results(Path(content), Path(style))
    for name, image in images.items():
        area = detail(image)
        block = area.reshape(24, 4, 24, 4).mean((0, 2))
        share = float(block.var(correction=0) / area.var())
        print(f"{name:18} deviation {255 * float(area.std()):5.2f}, of its variance the lattice {share:.4f}")
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    for column, name in enumerate(("single pass", "mean of 8 shifts")):
        axes[0, column].imshow(images[name][AREA].permute(1, 2, 0), interpolation="nearest")
        axes[0, column].set(title=name, xticks=[], yticks=[])
        axes[1, column].imshow(spectrum(detail(images[name])), extent=(-0.5, 0.5, 0.5, -0.5), vmin=-6, vmax=8)
        axes[1, column].set(xlabel="cycles per pixel", xticks=[-0.25, 0, 0.25], yticks=[-0.25, 0, 0.25])
    figure.savefig(out, dpi=80, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main(*sys.argv[1:])
