"""Quantization: float values in [0, 1] -> the 8- or 16-bit integers of a file, with optional dithering."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.images.bands import Array, row_bands
from impasto.settings.model import Depth

# 2^16 times 1/p and 1/p^2, where p = 1.3247 is the real root of p^3 = p + 1: the multiples of the two fractions, modulo
# 1, form the R2 low-discrepancy sequence (M. Roberts, The unreasonable effectiveness of quasirandom sequences, 2018).
_R2_X, _R2_Y = 49472, 37345


@dataclass(frozen=True)
class Quantization:
    """How values are quantized: bits per channel, and whether 8 bits are dithered; 16 bits never are.

    Raises:
        SettingError: a depth that is neither 8 nor 16.
    """

    depth: Depth = 8
    dither: bool = False

    def __post_init__(self) -> None:
        """Validate the depth."""
        if self.depth not in (8, 16):
            raise SettingError(f"depth: got {self.depth}; give 8 or 16 bits per channel")

    @property
    def peak(self) -> int:
        """The integer that stands for 1.0: 2^depth - 1."""
        return 255 if self.depth == 8 else 65535

    def quantize(self, values: Array, top: int = 0) -> Array:
        """(..., rows, W) float32 in [0, 1], a band of an image from row `top` on -> uint8 or uint16 of the same shape.

        Rounds to the nearest integer, half to even. With dithering a threshold pattern is added first, so that the mean
        over a few pixels is the value. The pattern depends only on the pixel's position and is the same in all
        channels: gray stays gray, and a value that is representable stays what it is.
        """
        # NumPy, since for such small arrays torch spends more time on starting its threads than on the sums
        scaled = values * np.float32(self.peak)
        if self.dither and self.depth == 8:
            scaled += _dither_pattern(top, *values.shape[-2:])
        quantized: Array = np.rint(scaled).astype(np.uint8 if self.depth == 8 else np.uint16)
        return quantized

    def round_trip(self, tensor: Tensor) -> Tensor:
        """(C, H, W) float32 in [0, 1] -> the same, quantized and divided by `peak` again: what `load` will read."""
        result = torch.empty(tensor.shape, dtype=torch.float32)
        for rows in row_bands(*tensor.shape[1:]):
            quantized = self.quantize(tensor[:, rows].detach().cpu().numpy(), rows.start)
            result[:, rows] = torch.from_numpy(quantized.astype(np.float32))
        return result.div_(self.peak).to(tensor.device)


NEAREST = Quantization()
"""8 bits per channel, no dithering."""


def _dither_pattern(top: int, height: int, width: int) -> Array:
    """(height, width) float32 within (-0.5, 0.5), uniformly distributed, for the rows from `top` on.

    The fraction of x/p + y/p^2 in 16-bit fixed point, cut to its upper 10 bits: 1024 levels, each moved by half a step
    (32 / 2^16) so that the mean is 0 and no representable value is pushed to the next integer.
    """
    rows, columns = np.ogrid[top : top + height, :width]
    fractions = (columns * _R2_X + rows * _R2_Y) & (1023 << 6)
    pattern: Array = (fractions.astype(np.float32) + 32) / 65536 - np.float32(0.5)
    return pattern
