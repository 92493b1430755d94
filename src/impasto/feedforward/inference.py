"""Inference with a transformer at any image size: on cells of 2x2 pixels, and in strips if memory is short.

Full resolution has so few channels that convolutions there are slow. These layers are therefore evaluated at half
resolution on cells of 2x2 pixels (space-to-depth), with kernels rearranged to match. The results are the same as those
of `Transformer`, up to rounding. Tensors are channels_last in memory.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.feedforward.network import EPSILON, WIDTHS, Affines, Transformer, conv_layers
from impasto.feedforward.space_to_depth import (
    cell_kernel,
    reflect_pad_cells,
    reflected_indices,
    stride_2_cell_kernel,
    upsampling_kernel,
)
from impasto.feedforward.strips import (
    NormalizedLayer,
    RowFunction,
    RunningMoments,
    empty_layer,
    pad_edges,
    rows_with_halo,
    strip_ranges,
)

DOWNSAMPLING = 4
"""Pixels per position of the residual blocks; images are padded by reflection to a multiple of it."""
MIN_EDGE = 10
"""Shortest edge in pixels for which the reflection padding is defined."""
VALUES_PER_PIXEL = 32
"""Peak memory of the evaluation in one piece, in values per pixel, the output image included.

About 4 x 8: at full resolution 8 channels are in memory three times, as convolved, as normalized and as padded; then
come the 3 channels of the last layer, on cells and as pixels, and the output.
"""
_STRIP_BYTES = 2**24
"""Bytes of the rows of the largest layer that are evaluated at a time where memory is short."""

_Layer = tuple[Tensor, tuple[Tensor, Tensor]]
"""The kernel of a normalized layer, and its scale and shift."""


class TransformerInference:
    """A transformer prepared for inference at any image size, with its kernels rearranged for cells of 2x2 pixels."""

    def __init__(
        self, transformer: Transformer, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        def prepared(values: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            layout = torch.channels_last if values.ndim == 4 else torch.contiguous_format
            return values.detach().to(device, dtype, memory_format=layout)

        self.device, self.dtype = torch.device(device), dtype
        first, second, third = conv_layers(transformer.contract)
        # The first layer stays in float32: bfloat16 has 8 significant bits and would round away the gradations of
        # smooth areas of the content image.
        self.first = (
            prepared(cell_kernel(first.weight), torch.float32),
            prepared(_bias(first).repeat_interleave(4), torch.float32),
        )
        self.contract = (
            (prepared(stride_2_cell_kernel(second.weight)), prepared(_bias(second))),
            (prepared(third.weight), prepared(_bias(third))),
        )
        self.residual = [prepared(conv.weight) for conv in conv_layers(transformer.residual)]
        quarter, half, last = conv_layers(transformer.expand)
        self.expand = (
            prepared(upsampling_kernel(quarter.weight)),
            prepared(upsampling_kernel(half.weight)),
            prepared(cell_kernel(last.weight)),
        )

    def __call__(self, content: Tensor, style: Affines, memory: int | None = None, out: Tensor | None = None) -> Tensor:
        """(3, H, W) float32 sRGB in [0, 1], on the CPU, edges of 10 or more -> stylized, same shape, dtype and range.

        Args:
            memory: bytes that this may take besides the content image; by default it is evaluated in one piece.
            out: the output tensor, of the shape of `content`; it may be `content` itself.

        Raises:
            ValueError: an edge is too short.
        """
        if min(content.shape[1:]) < MIN_EDGE:
            raise ValueError(f"content: got {tuple(content.shape)}; give edges of {MIN_EDGE} pixels or more")
        strip = None
        if memory is not None and memory < VALUES_PER_PIXEL * content[0].numel() * self.dtype.itemsize:
            # A row at quarter resolution corresponds to two of the largest layer, which has 4 * 8 channels at half
            # resolution.
            row_bytes = 2 * 4 * WIDTHS[0] * content.shape[2] // 2 * self.dtype.itemsize
            strip = max(_STRIP_BYTES // row_bytes, 4)
        return self.run_in_strips(content, style, strip, out)

    def run_in_strips(self, content: Tensor, style: Affines, strip: int | None, out: Tensor | None = None) -> Tensor:
        """As `__call__`, in strips of `strip` rows at quarter resolution; None evaluates the image in one piece."""
        with torch.no_grad():
            return _ForwardPass(self, content, style, strip).run(out)


class _ForwardPass:
    """The evaluation of one image.

    `height` and `width` are those at quarter resolution. Rows are counted at the resolution of their layer: quarter or
    half; a row of cells counts as one.
    """

    def __init__(self, network: TransformerInference, content: Tensor, style: Affines, strip: int | None) -> None:
        self.network, self.content = network, content
        self.affines = [(scale.to(network.device), shift.to(network.device)) for scale, shift in style]
        height, width = content.shape[1:]
        self.height, self.width = -(-height // DOWNSAMPLING), -(-width // DOWNSAMPLING)
        self.strip = strip or self.height
        padded_width = DOWNSAMPLING * self.width
        # with 4 pixels more on either side, the reach of the 9x9 kernel
        self._columns = reflected_indices(torch.arange(-4, padded_width + 4), padded_width, width)

    def run(self, out: Tensor | None) -> Tensor:
        """(3, H, W) float32 in [0, 1], on the CPU. `out` is written only after the last read of the content image."""
        values = self._residual_blocks()
        quarter_kernel, half_kernel, last_kernel = self.network.expand

        # Reflection padding by one pixel after nearest-neighbor upsampling repeats the edge pixel, since the two
        # outermost pixels are copies of it: before upsampling this is replication padding.
        def upsample_to_half(begin: int, end: int) -> Tensor:
            return F.conv2d(rows_with_halo(values, begin, end, "replicate"), quarter_kernel)

        half = NormalizedLayer(upsample_to_half, self.height, self.strip, self.affines[-3])

        def upsample_to_full(begin: int, end: int) -> Tensor:
            low, high = max(begin - 1, 0), min(end + 1, 2 * self.height)
            cells = half.rows(low // 2, -(-high // 2)).relu_()
            rows = F.pixel_shuffle(cells, 2)[:, :, low % 2 :][:, :, : high - low]
            return F.conv2d(pad_edges(rows, begin == 0, end == 2 * self.height, "replicate"), half_kernel)

        full = NormalizedLayer(upsample_to_full, 2 * self.height, 2 * self.strip, self.affines[-2])

        def last_layer(begin: int, end: int) -> Tensor:
            low, high = max(begin - 2, 0), min(end + 2, 2 * self.height)
            cells = full.rows(low, high).relu_()
            return F.conv2d(reflect_pad_cells(cells, low - begin + 2, end + 2 - high), last_kernel)

        return self._normalized_output(last_layer, self.affines[-1], out)

    def _normalized_output(self, last_layer: RowFunction, affine: tuple[Tensor, Tensor], out: Tensor | None) -> Tensor:
        """The last layer, written to the output image, then normalized there in place: it is evaluated only once."""
        height, width = self.content.shape[1:]
        image = torch.empty(3, height, width) if out is None else out
        moments = RunningMoments(3)
        for begin, end in strip_ranges(2 * self.height, 2 * self.strip):
            cells = last_layer(begin, end)
            moments.add(cells)
            rows = image[:, 2 * begin : 2 * end]
            rows.copy_(F.pixel_shuffle(cells, 2)[0, :, : rows.shape[1], :width])
        mean, variance = moments.result()
        # gamma (x - mean) / sqrt(variance + epsilon) + beta as one multiplication and one addition per value
        scale = affine[0].cpu() / (variance + EPSILON).sqrt()
        shift = affine[1].cpu() - mean * scale
        return image.mul_(scale[:, None, None]).add_(shift[:, None, None]).sigmoid_()

    def _residual_blocks(self) -> Tensor:
        """The output of the last residual block, (1, 32, H / 4, W / 4)."""
        values = self._contracted()
        kernels, affines = iter(self.network.residual), iter(self.affines)
        for first, second in zip(kernels, kernels, strict=True):
            branch = self._residual_branch(values, (first, next(affines)), (second, next(affines)))
            for begin, end in strip_ranges(self.height, self.strip):
                values[:, :, begin:end] += branch.rows(begin, end)
            del branch  # frees the layers that it keeps before the next block is evaluated
        return values

    def _residual_branch(self, values: Tensor, first: _Layer, second: _Layer) -> NormalizedLayer:
        """What a residual block adds to `values`.

        The first layer is kept, since `values` is overwritten strip by strip while the second one is evaluated again.
        """

        def first_conv(begin: int, end: int) -> Tensor:
            return F.conv2d(rows_with_halo(values, begin, end, "reflect"), first[0])

        inner = NormalizedLayer(first_conv, self.height, self.strip, first[1], keep=True)

        def second_conv(begin: int, end: int) -> Tensor:
            rows = inner.rows(max(begin - 1, 0), min(end + 1, self.height)).relu_()
            return F.conv2d(pad_edges(rows, begin == 0, end == self.height, "reflect"), second[0])

        return NormalizedLayer(second_conv, self.height, self.strip, second[1])

    def _contracted(self) -> Tensor:
        """The output of the three contracting layers, (1, 32, H / 4, W / 4)."""
        if self.strip == self.height:
            return self._contracted_rows(0, self.height)
        values = torch.empty(0)
        for begin, end in strip_ranges(self.height, self.strip):
            rows = self._contracted_rows(begin, end)
            if begin == 0:
                values = empty_layer(self.height, rows)
            values[:, :, begin:end] = rows
        return values

    def _contracted_rows(self, begin: int, end: int) -> Tensor:
        """Their rows from `begin` to before `end`, (1, 32, end - begin, W / 4)."""
        second, third = self.network.contract
        # A 3x3 kernel of stride 2 reads rows 2p - 1 to 2p + 1 for row p, on cells p - 1 and p, so that only the top and
        # left edges are padded. On cells reflection is replication: pixel -1 is pixel 1, which lies in cell 0 in the
        # same place as pixel -1 in cell -1. Pixel -2 has no weight.
        low = max(2 * begin - 1, 0)  # first row of the second layer
        lower = max(low - 1, 0)  # first row of cells of the first layer
        values = F.conv2d(self._content_cells(lower - 2, 2 * end + 2), *self.network.first).relu_()
        values = values.to(self.network.dtype)
        values = F.conv2d(F.pad(values, (1, 0, int(low == 0), 0), "replicate"), *second).relu_()
        values = F.conv2d(F.pad(values, (1, 0, int(begin == 0), 0), "reflect"), *third, stride=2)
        return values.relu_()

    def _content_cells(self, begin: int, end: int) -> Tensor:
        """Rows of cells of the content image, padded by reflection: (1, 12, end - begin, W / 2 + 4) float32."""
        indices = torch.arange(2 * begin, 2 * end)
        rows = reflected_indices(indices, DOWNSAMPLING * self.height, self.content.shape[1])
        values = self.content[:, rows][:, :, self._columns].to(self.network.device)
        return F.pixel_unshuffle(values[None], 2)


def _bias(conv: nn.Conv2d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
