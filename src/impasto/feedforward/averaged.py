"""The pass of the any-style network without its woven texture, with strokes of one size relative to the image.

The network computes at a quarter of the resolution and enlarges twice by nearest-neighbor upsampling. Its output
therefore depends on where a pixel lies in the lattice of 4x4 pixels: in a sky, three quarters of the variance do. The
mean over shifts of the content image against the lattice hardly does (cycle spinning: Coifman, Donoho,
Translation-invariant de-noising, 1995). Strokes have a fixed size in pixels, so the pass is made at a limited size, and
a larger result is upsampled.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.feedforward.inference import DOWNSAMPLING, MIN_EDGE
from impasto.images.guided import guided_upsampling
from impasto.images.resize import resize

WORKING_EDGE = 512
"""Long edge in pixels at which the pass is made at most."""
SHIFTS = tuple((row, column) for row in range(DOWNSAMPLING) for column in range(row % 2, DOWNSAMPLING, 2))
"""Rows and columns that the content image is shifted by: every other one of the lattice, like a chessboard's.

All 16 are hardly better. Patterns of 4x4 pixels cancel, except for a chessboard of single pixels, which had at most
0.5 % of the power of the patterns of six results.
"""


def averaged_pass(stylize: Callable[[Tensor], Tensor], content: Tensor, out: Tensor | None = None) -> Tensor:
    """(3, H, W) float32 in [0, 1], on the CPU -> stylized, same shape.

    Args:
        stylize: one pass of the network, (3, h, w) -> (3, h, w).
        out: the output tensor, if the result is upsampled; it may be `content` itself.
    """
    height, width = content.shape[1:]
    scale = min(max(WORKING_EDGE / max(height, width), MIN_EDGE / min(height, width)), 1)
    small = resize(content[None], round(scale * height), round(scale * width))
    stylized = mean_over_shifts(stylize, small[0])
    return stylized if scale == 1 else guided_upsampling(stylized[None], small, content[None], out)[0]


def mean_over_shifts(stylize: Callable[[Tensor], Tensor], content: Tensor) -> Tensor:
    """The mean output for the content image at all `SHIFTS`, (3, H, W); at its edges it is continued by reflection."""
    height, width = content.shape[1:]
    padded = F.pad(content[None], [DOWNSAMPLING] * 4, "reflect")[0]
    total = torch.zeros_like(content)
    for row, column in SHIFTS:
        window = padded[:, row : row + height + DOWNSAMPLING, column : column + width + DOWNSAMPLING].contiguous()
        top, left = DOWNSAMPLING - row, DOWNSAMPLING - column  # of the content image in the window
        total += stylize(window)[:, top : top + height, left : left + width]
    return total.div_(len(SHIFTS))
