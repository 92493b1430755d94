"""Values in [0, 1] -> the whole levels that a file holds."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.images.samples import Array, bands
from impasto.settings.model import Depth

_ACROSS, _DOWN = 49472, 37345
"""65536 times the two numbers whose multiples, without what is before the point, fill a square most evenly.

M. Roberts, The unreasonable effectiveness of quasirandom sequences, 2018: 1/p and 1/p², where p³ = p + 1.
"""


@dataclass(frozen=True)
class Rounding:
    """How values become levels: bits a channel, and whether 8 of them are dithered; 16 need no dither, and get none.

    Raises:
        SettingError: a depth that is neither 8 nor 16.
    """

    depth: Depth = 8
    dither: bool = False

    def __post_init__(self) -> None:
        """The check at the door."""
        if self.depth not in (8, 16):
            raise SettingError(f"depth: got {self.depth}; give 8 or 16 bits a channel")

    @property
    def peak(self) -> int:
        """The level that stands for 1."""
        return 255 if self.depth == 8 else 65535

    def levels(self, values: Array, top: int = 0) -> Array:
        """(..., rows, W) float32 in [0, 1], the picture's rows from `top` on -> uint8 or uint16 of the same shape.

        The nearest level, or with dither the one below or above, so often that the mean over some pixels is the value.
        Which pixels these are depends on their place alone, and is the same in all channels: gray stays gray, and a
        value that is a level stays what it is. By numpy: for so little at a time, torch would wait for its threads.
        """
        scaled = values * np.float32(self.peak)
        if self.dither and self.depth == 8:
            scaled += _pattern(top, *values.shape[-2:])
        whole: Array = np.rint(scaled).astype(np.uint8 if self.depth == 8 else np.uint16)
        return whole

    def rounded(self, tensor: Tensor) -> Tensor:
        """(C, H, W) float32 in [0, 1] as a file gives it back: levels divided by the highest."""
        found = torch.empty(tensor.shape, dtype=torch.float32)
        for rows in bands(*tensor.shape[1:]):
            levels = self.levels(tensor[:, rows].detach().cpu().numpy(), rows.start)
            found[:, rows] = torch.from_numpy(levels.astype(np.float32))
        return found.div_(self.peak).to(tensor.device)


NEAREST = Rounding()
"""To the nearest of 256 levels."""


def _pattern(top: int, height: int, width: int) -> Array:
    """(height, width) float32, evenly spread over less than -0.5 to 0.5, neighbors far from each other."""
    rows, columns = np.ogrid[top : top + height, :width]
    places = (columns * _ACROSS + rows * _DOWN) & (1023 << 6)
    pattern: Array = (places.astype(np.float32) + 32) / 65536 - np.float32(0.5)
    return pattern
