"""A window of the rows of one layer, in memory that is used again."""

import torch
import torch.nn.functional as F
from torch import Tensor


def wrapped(images: Tensor, rows: slice) -> Tensor:
    """(N, C, H, W) -> some rows and their neighbors, (N, C, h+2, W); before the first comes the last."""
    height = images.shape[2]
    if rows.start > 0 and rows.stop < height:
        return images[:, :, rows.start - 1 : rows.stop + 1]
    return images[:, :, torch.arange(rows.start - 1, rows.stop + 1, device=images.device) % height]


class Rows:
    """A window of the rows of one layer, which moves down the picture.

    Attributes:
        there: the first row that is not evaluated yet.
        back: the first row that the gradient has not come back to.
    """

    def __init__(self, channels: int, height: int, width: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self.channels, self.height, self.width = channels, height, width
        self.dtype, self.device = dtype, device
        self.there, self.back = 0, 0
        self._kept, self._first = 0, 0  # the first row still needed, and the one that lies first in memory
        self._memory = self._room(0)

    def __getitem__(self, rows: slice) -> Tensor:
        """These rows, all in the window, as (1, C, h, W)."""
        return self._memory[:, :, rows.start - self._first : rows.stop - self._first]

    def around(self, rows: slice) -> tuple[Tensor, tuple[int, int]]:
        """The rows and their neighbors, zeros beyond the edge; and how many are still to pad, down and across."""
        if rows == slice(0, self.height):
            return self[rows], (1, 1)
        inside = self[slice(max(rows.start - 1, 0), min(rows.stop + 1, self.height))]
        if rows.start == 0 or rows.stop == self.height:
            inside = F.pad(inside, (0, 0, int(rows.start == 0), int(rows.stop == self.height)))
        return inside, (0, 1)

    def around_circular(self, rows: slice) -> tuple[Tensor, tuple[int, int]]:
        """The rows and their neighbors, those beyond an edge being at the other one; all rows must be there."""
        return F.pad(wrapped(self[slice(0, self.height)], rows), (1, 1, 0, 0), "circular"), (0, 0)

    def begin(self) -> None:
        """Begin at the top of a picture."""
        self.there = self.back = self._kept = self._first = 0

    def reach(self, there: int) -> slice:
        """The rows from the end of the window to `there`, where it ends from now on."""
        if there - self._first > self._memory.shape[2]:
            self._move(there - self._kept)
        new = slice(self.there, there)
        self.there = there
        return new

    def release(self, row: int) -> None:
        """Forget what lies above `row`."""
        self._kept = max(self._kept, min(row, self.there))

    def _move(self, needed: int) -> None:
        """Bring the rows still needed to the front of the memory, or to a larger one if it must hold more."""
        old, live, moved = self._memory, self.there - self._kept, self._kept - self._first
        if needed > old.shape[2]:
            # room to spare, so that they are moved less often
            size = min(needed + (needed // 4 if self._kept else 0), self.height)
            self._memory = self._room(size)
        for start in range(0, live, max(moved, 1)):  # no more at a time than do not overlap their new place
            stop = min(start + max(moved, 1), live)
            self._memory[:, :, start:stop] = old[:, :, start + moved : stop + moved]
        self._first = self._kept

    def _room(self, height: int) -> Tensor:
        shape = 1, self.channels, height, self.width
        return torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=torch.channels_last)
