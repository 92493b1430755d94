"""One pass of the feed-forward network at any size: on a grid where it is fast, and in strips if memory is short.

What the network does at full size with few filters is done at half of it with four times as many: the pixels of every
cell of 2x2 become channels, and the kernels are rearranged to match. The numbers are the same, up to rounding.

A normalization needs the mean and variance over all of the picture. In strips a layer is therefore evaluated once for
these and again for what follows it, so that the picture does not depend on the strips either.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.feedforward.network import EPSILON, WIDTHS, Affines, Transformer, convolutions
from impasto.feedforward.space_to_depth import doubling, halving, mirrored, mirrored_places, on_cells, uncelled

CELL = 4
"""The network works on multiples of so many pixels; the picture is mirrored up to them."""
SMALLEST = 10
"""Pixels that an edge must have, for the mirroring."""
WHOLE = 32
"""Numbers a pixel that the evaluation in one piece takes memory for, the picture painted included."""
_STRIP = 2**24
"""Bytes of the largest layer's rows that are evaluated at a time."""

_Layer = tuple[Tensor, tuple[Tensor, Tensor]]
"""The kernel of a layer that is normalized, and the scale and shift that it gets."""
_Rows = Callable[[int, int], Tensor]
"""Some rows of a layer, from the first to before the last: (1, C, h, W)."""


class StripInference:
    """A transformer ready to paint photographs of any size, its kernels rearranged."""

    def __init__(
        self, transformer: Transformer, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        def ready(values: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            layout = torch.channels_last if values.ndim == 4 else torch.contiguous_format
            return values.detach().to(device, dtype, memory_format=layout)

        self.device, self.dtype = torch.device(device), dtype
        first, second, third = convolutions(transformer.contract)
        # the first layer in float32: what a photograph has in flat places is finer than bfloat16
        self.first = ready(on_cells(first.weight), torch.float32), ready(_bias(first).repeat(4), torch.float32)
        self.contract = (
            (ready(halving(second.weight)), ready(_bias(second))),
            (ready(third.weight), ready(_bias(third))),
        )
        self.residual = [ready(each.weight) for each in convolutions(transformer.residual)]
        coarse, fine, last = convolutions(transformer.expand)
        self.expand = ready(doubling(coarse.weight)), ready(doubling(fine.weight)), ready(on_cells(last.weight))

    def __call__(self, photo: Tensor, style: Affines, memory: int | None = None, into: Tensor | None = None) -> Tensor:
        """(3, H, W) float32 sRGB in [0, 1], on the CPU, edges of 10 or more -> the same, painted in a style.

        Args:
            memory: bytes that this may take beside the photograph; without a bound it is done in one piece.
            into: where the painting goes, a tensor like the photograph; it may be the photograph itself.

        Raises:
            ValueError: an edge is too short.
        """
        if min(photo.shape[1:]) < SMALLEST:
            raise ValueError(f"photo: got {tuple(photo.shape)}; give edges of {SMALLEST} pixels or more")
        strip = None
        if memory is not None and memory < WHOLE * photo[0].numel() * self.dtype.itemsize:
            row = 2 * 4 * WIDTHS[0] * photo.shape[2] // 2 * self.dtype.itemsize  # two at half size are one at a quarter
            strip = max(_STRIP // row, 4)
        return self.in_strips(photo, style, strip, into)

    def in_strips(self, photo: Tensor, style: Affines, strip: int | None, into: Tensor | None = None) -> Tensor:
        """The same, in strips of so many rows at a quarter of the size, or in one piece."""
        with torch.no_grad():
            return _Evaluation(self, photo, style, strip).painted(into)


class _Evaluation:
    """One photograph in one pass; rows are counted at the size that their layer has: half or a quarter."""

    def __init__(self, network: StripInference, photo: Tensor, style: Affines, strip: int | None) -> None:
        self.network, self.photo = network, photo
        self.style = [(scale.to(network.device), shift.to(network.device)) for scale, shift in style]
        height, width = photo.shape[1:]
        self.height, self.width = -(-height // CELL), -(-width // CELL)  # a quarter
        self.strip = strip or self.height
        self._columns = mirrored_places(torch.arange(-4, CELL * self.width + 4), CELL * self.width, width)

    def painted(self, into: Tensor | None) -> Tensor:
        """(3, H, W) float32 in [0, 1], on the CPU; the photograph is no longer read when it is written."""
        values = self._residual()
        coarse, fine, last = self.network.expand

        def grown(begin: int, end: int) -> Tensor:
            return F.conv2d(_around(values, begin, end, "replicate"), coarse)

        inner = _Normalized(grown, self.height, self.strip, self.style[-3])

        def grown_again(begin: int, end: int) -> Tensor:
            low, high = max(begin - 1, 0), min(end + 1, 2 * self.height)
            rows = uncelled(inner(low // 2, -(-high // 2)).relu_())[:, :, low % 2 :][:, :, : high - low]
            return F.conv2d(_padded(rows, begin == 0, end == 2 * self.height, "replicate"), fine)

        outer = _Normalized(grown_again, 2 * self.height, 2 * self.strip, self.style[-2])

        def drawn(begin: int, end: int) -> Tensor:
            low, high = max(begin - 2, 0), min(end + 2, 2 * self.height)
            return F.conv2d(mirrored(outer(low, high).relu_(), low - begin + 2, end + 2 - high), last)

        return self._finished(drawn, self.style[-1], into)

    def _finished(self, drawn: _Rows, style: tuple[Tensor, Tensor], into: Tensor | None) -> Tensor:
        """The last layer is kept where the picture will be."""
        height, width = self.photo.shape[1:]
        picture = torch.empty(3, height, width) if into is None else into
        moments = _Moments(3)
        for begin, end in _strips(2 * self.height, 2 * self.strip):
            values = drawn(begin, end)
            moments.add(values)
            rows = picture[:, 2 * begin : 2 * end]
            rows.copy_(uncelled(values)[0, :, : rows.shape[1], :width])
        mean, variance = moments.over()
        scale = style[0].cpu() / (variance + EPSILON).sqrt()
        shift = style[1].cpu() - mean * scale
        return picture.mul_(scale[:, None, None]).add_(shift[:, None, None]).sigmoid_()

    def _residual(self) -> Tensor:
        """What the residual blocks make of the photograph, a quarter of its size."""
        values = self._contracted()
        kernels, styles = iter(self.network.residual), iter(self.style)
        for first, second in zip(kernels, kernels, strict=True):
            found = self._block(values, (first, next(styles)), (second, next(styles)))
            for begin, end in _strips(self.height, self.strip):
                values[:, :, begin:end] += found(begin, end)
            del found  # and what it keeps, before the next one is made
        return values

    def _block(self, values: Tensor, first: _Layer, second: _Layer) -> "_Normalized":
        """What a residual block adds."""

        def before(begin: int, end: int) -> Tensor:
            return F.conv2d(_around(values, begin, end, "reflect"), first[0])

        inner = _Normalized(before, self.height, self.strip, first[1], keep=True)

        def after(begin: int, end: int) -> Tensor:
            rows = inner(max(begin - 1, 0), min(end + 1, self.height)).relu_()
            return F.conv2d(_padded(rows, begin == 0, end == self.height, "reflect"), second[0])

        return _Normalized(after, self.height, self.strip, second[1])

    def _contracted(self) -> Tensor:
        if self.strip == self.height:
            return self._contracted_rows(0, self.height)
        values = torch.empty(0)
        for begin, end in _strips(self.height, self.strip):
            rows = self._contracted_rows(begin, end)
            if begin == 0:
                values = _empty(self.height, rows)
            values[:, :, begin:end] = rows
        return values

    def _contracted_rows(self, begin: int, end: int) -> Tensor:
        second, third = self.network.contract
        low = max(2 * begin - 1, 0)
        lower = max(low - 1, 0)
        values = F.conv2d(self._cells(lower - 2, 2 * end + 2), *self.network.first).relu_().to(self.network.dtype)
        values = F.conv2d(F.pad(values, (1, 0, int(low == 0), 0), "replicate"), *second).relu_()
        values = F.conv2d(F.pad(values, (1, 0, int(begin == 0), 0), "reflect"), *third, stride=2)
        return values.relu_()

    def _cells(self, begin: int, end: int) -> Tensor:
        """Rows of cells of the photograph, mirrored beyond its edges: (1, 12, h, W/2 + 4)."""
        whole = torch.arange(2 * begin, 2 * end)
        rows = mirrored_places(whole, CELL * self.height, self.photo.shape[1])
        values = self.photo[:, rows][:, :, self._columns].to(self.network.device)
        cells = values.view(3, end - begin, 2, -1, 2).permute(1, 3, 2, 4, 0)
        return cells.reshape(1, end - begin, -1, 12).permute(0, 3, 1, 2)


class _Normalized:
    """A layer and the normalization over all of it; some rows on demand.

    Kept are the rows of a layer that is evaluated in one piece, or that is to be kept.
    """

    def __init__(
        self, rows: _Rows, height: int, strip: int, style: tuple[Tensor, Tensor], *, keep: bool = False
    ) -> None:
        self._rows, self._kept = rows, torch.empty(0)
        scale, shift = style
        moments = _Moments(len(scale))
        for begin, end in _strips(height, strip):
            values = rows(begin, end)
            moments.add(values)
            if strip >= height:
                self._kept = values
            elif keep:
                if begin == 0:
                    self._kept = _empty(height, values)
                self._kept[:, :, begin:end] = values
        cells = values.shape[1] // len(scale)
        self._norm = [each.to(values.device).repeat(cells) for each in (*moments.over(), scale, shift)]

    def __call__(self, begin: int, end: int) -> Tensor:
        values = self._kept[:, :, begin:end] if self._kept.numel() else self._rows(begin, end)
        mean, variance, scale, shift = self._norm
        return F.batch_norm(values, mean, variance, scale, shift, training=False, eps=EPSILON)


class _Moments:
    """Mean and variance of the channels of a layer, added up over its strips."""

    def __init__(self, channels: int) -> None:
        self._channels, self._count = channels, 0
        self._mean = self._square = torch.zeros(channels).double()

    def add(self, values: Tensor) -> None:
        """(1, k C, h, W): k pixels of each channel in a cell."""
        # the one reduction that torch has for this layout: a batch of one picture is normalized like an instance
        same = torch.ones(values.shape[1], device=values.device)  # in float32, so that what is found is too
        _, mean, inverse = torch.native_batch_norm(values, same, 0 * same, None, None, True, 0.0, EPSILON)
        mean, inverse = mean.cpu().double(), inverse.cpu().double()  # not every device has these
        variance = inverse**-2 - EPSILON
        square = (variance + mean**2).view(-1, self._channels).mean(0)
        count = values.shape[2] * values.shape[3]
        share = count / (self._count + count)
        self._mean = torch.lerp(self._mean, mean.view(-1, self._channels).mean(0), share)
        self._square = torch.lerp(self._square, square, share)
        self._count += count

    def over(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel, (C,) float32, on the CPU."""
        return self._mean.float(), (self._square - self._mean**2).clamp_(min=0).float()


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _empty(height: int, like: Tensor) -> Tensor:
    """Room for all rows of a layer of which some are there."""
    shape = 1, like.shape[1], height, like.shape[3]
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _strips(height: int, strip: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + strip, height)) for begin in range(0, height, strip))


def _around(values: Tensor, begin: int, end: int, mode: str) -> Tensor:
    """Rows of a layer with one more on each side."""
    height = values.shape[2]
    inside = values[:, :, max(begin - 1, 0) : min(end + 1, height)]
    return _padded(inside, begin == 0, end == height, mode)


def _padded(values: Tensor, top: bool, bottom: bool, mode: str) -> Tensor:
    return F.pad(values, (1, 1, int(top), int(bottom)), mode)
