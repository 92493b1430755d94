"""Layers evaluated in strips of rows, and instance normalization over all strips of an image.

The normalization of a layer needs the mean and variance over the whole image before any row can be normalized. Where
the layer is not kept in memory, its rows are therefore evaluated twice: first for these, then for the layers that
follow. The result does not depend on the strips, up to rounding.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.feedforward.network import EPSILON

RowFunction = Callable[[int, int], Tensor]
"""Evaluates the rows of a layer from `begin` to before `end`: (1, C, end - begin, W)."""


def strip_ranges(height: int, strip: int) -> Iterator[tuple[int, int]]:
    """The first row, and the one after the last, of every strip of `strip` rows; the last strip may have fewer."""
    return ((begin, min(begin + strip, height)) for begin in range(0, height, strip))


def empty_layer(height: int, like: Tensor) -> Tensor:
    """Uninitialized memory for all rows of a layer, (1, C, height, W), of which `like` are some."""
    shape = 1, like.shape[1], height, like.shape[3]
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def rows_with_halo(values: Tensor, begin: int, end: int, mode: str) -> Tensor:
    """Rows of (1, C, H, W) with one more on every side, padded at the edges: (1, C, end - begin + 2, W + 2)."""
    height = values.shape[2]
    rows = values[:, :, max(begin - 1, 0) : min(end + 1, height)]
    return pad_edges(rows, begin == 0, end == height, mode)


def pad_edges(rows: Tensor, top: bool, bottom: bool, mode: str) -> Tensor:
    """(1, C, h, W) -> padded by one on the left and right, and at the top and bottom where this is the image's edge."""
    return F.pad(rows, (1, 1, int(top), int(bottom)), mode)


class NormalizedLayer:
    """A layer with instance normalization over the whole image, whose rows are evaluated on demand.

    The output of the convolution is kept if it is evaluated in one piece, or if `keep` is set.
    """

    def __init__(
        self, evaluate: RowFunction, height: int, strip: int, affine: tuple[Tensor, Tensor], *, keep: bool = False
    ) -> None:
        self._evaluate, self._kept = evaluate, torch.empty(0)
        scale, shift = affine
        moments = RunningMoments(len(scale))
        for begin, end in strip_ranges(height, strip):
            values = evaluate(begin, end)
            moments.add(values)
            if strip >= height:
                self._kept = values
            elif keep:
                if begin == 0:
                    self._kept = empty_layer(height, values)
                self._kept[:, :, begin:end] = values
        phases = values.shape[1] // len(scale)
        self._parameters = [
            each.to(values.device).repeat_interleave(phases) for each in (*moments.result(), scale, shift)
        ]

    def rows(self, begin: int, end: int) -> Tensor:
        """The normalized rows from `begin` to before `end`, as a new tensor."""
        values = self._kept[:, :, begin:end] if self._kept.numel() else self._evaluate(begin, end)
        # instance normalization with given moments is batch normalization in evaluation mode
        mean, variance, scale, shift = self._parameters
        return F.batch_norm(values, mean, variance, scale, shift, training=False, eps=EPSILON)


class RunningMoments:
    """Mean and variance of each channel of a layer, accumulated over its strips."""

    def __init__(self, channels: int) -> None:
        self._channels, self._count = channels, 0
        # float64, so that E[x^2] - E[x]^2 does not cancel
        self._mean = self._square = torch.zeros(channels).double()

    def add(self, values: Tensor) -> None:
        """Add a strip, (1, k C, h, W): k consecutive values of each channel, 4 on cells of 2x2 pixels, otherwise 1."""
        # The statistics of a batch of one image are those of instance normalization, and batch normalization reduces
        # channels_last without a copy. Its weights are float32, so that the statistics of bfloat16 are float32, too.
        ones = torch.ones(values.shape[1], device=values.device)
        _, mean, inverse_std = torch.native_batch_norm(values, ones, 0 * ones, None, None, True, 0.0, EPSILON)
        mean, inverse_std = mean.cpu().double(), inverse_std.cpu().double()  # MPS has no float64
        variance = inverse_std**-2 - EPSILON
        square = (variance + mean**2).view(self._channels, -1).mean(1)
        count = values.shape[2] * values.shape[3]
        share = count / (self._count + count)
        self._mean = torch.lerp(self._mean, mean.view(self._channels, -1).mean(1), share)
        self._square = torch.lerp(self._square, square, share)
        self._count += count

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, (C,) float32, on the CPU."""
        return self._mean.float(), (self._square - self._mean**2).clamp_(min=0).float()
