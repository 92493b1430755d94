"""A window over the rows of one layer, in a buffer that is reused from strip to strip and from step to step."""

import torch
from torch import Tensor


def circular_rows(images: Tensor, rows: slice) -> Tensor:
    """(N, C, H, W) -> `rows` and one neighbor above and below, (N, C, h+2, W); row -1 is the last row."""
    height = images.shape[2]
    if rows.start > 0 and rows.stop < height:
        return images[:, :, rows.start - 1 : rows.stop + 1]
    return images[:, :, torch.arange(rows.start - 1, rows.stop + 1, device=images.device) % height]


class RowWindow:
    """A window over the rows of one layer, which moves from the top of the image to the bottom.

    Each row holds features first. The backward pass of a convolution writes the gradient over them. Above the first row
    of the layer and below its last one is a row of zeros, which a convolution reads without a copy.

    Attributes:
        forward_end: the first row whose features are not computed yet.
        backward_end: the first row that the backward pass has not reached.
    """

    def __init__(self, channels: int, height: int, width: int, *, dtype: torch.dtype, device: torch.device) -> None:
        self.channels, self.height, self.width = channels, height, width
        self.dtype, self.device = dtype, device
        self.forward_end, self.backward_end = 0, 0
        self._needed_from = 0  # the first row that is still needed
        self._buffer_start = -1  # the row of the layer that is row 0 of the buffer
        self._buffer = self._allocate(0)

    def __getitem__(self, rows: slice) -> Tensor:
        """These rows, all in the window, as (1, C, h, W): a view."""
        return self._buffer[:, :, rows.start - self._buffer_start : rows.stop - self._buffer_start]

    def with_neighbors(self, rows: slice) -> tuple[Tensor, tuple[int, int]]:
        """The rows and one neighbor above and below, zeros outside the image; and the padding (y, x) still to add."""
        return self[slice(rows.start - 1, rows.stop + 1)], (0, 1)

    def with_circular_neighbors(self, rows: slice) -> tuple[Tensor, tuple[int, int]]:
        """As `with_neighbors`, with the opposite edge outside the image; the window must hold the whole layer."""
        inside = circular_rows(self[slice(0, self.height)], rows)
        # F.pad would leave channels_last memory, which ncnn reads a fifth faster.
        return torch.cat((inside[..., -1:], inside, inside[..., :1]), dim=3), (0, 0)

    def reset(self) -> None:
        """Start again at the top of an image."""
        self.forward_end = self.backward_end = self._needed_from = 0
        self._buffer_start = -1

    def extend(self, stop: int) -> slice:
        """Move the end of the window down to row `stop`; return the new rows, which are not computed yet."""
        if stop + 1 - self._buffer_start > self._buffer.shape[2]:
            self._make_room(stop - self._needed_from)
        new = slice(self.forward_end, stop)
        self.forward_end = stop
        if stop == self.height:
            self[slice(stop, stop + 1)].zero_()
        return new

    def discard_above(self, row: int) -> None:
        """Mark the rows above `row` as no longer needed."""
        self._needed_from = max(self._needed_from, min(row, self.forward_end))

    def _make_room(self, needed: int) -> None:
        """Move the rows still needed to the front of the buffer; replace a buffer of less than `needed` rows."""
        old, live = self._buffer, self.forward_end - self._needed_from
        offset = self._needed_from - 1 - self._buffer_start
        if needed + 2 > old.shape[2]:
            # A quarter more than needed, so that rows are moved less often.
            size = min(needed + (needed // 4 if self._needed_from else 0), self.height)
            self._buffer = self._allocate(size)
        # Source and destination may overlap in one buffer: copy at most `offset` rows at a time, top to bottom.
        for start in range(0, live, max(offset, 1)):
            stop = min(start + max(offset, 1), live)
            self._buffer[:, :, 1 + start : 1 + stop] = old[:, :, 1 + start + offset : 1 + stop + offset]
        self._buffer_start = self._needed_from - 1

    def _allocate(self, height: int) -> Tensor:
        """A buffer for `height` rows of the layer and one above and below; the one above is of zeros."""
        # In channels_last (NHWC) memory a range of rows is contiguous, so that convolutions read slices without a copy.
        shape = 1, self.channels, height + 2, self.width
        buffer = torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=torch.channels_last)
        buffer[:, :, :1] = 0
        return buffer
