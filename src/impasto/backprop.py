"""The network there and back without an autograd graph: responses, and a loss's gradient from them to the picture.

A step writes to memory that the next step uses again, and on the way back the gradient at a layer's responses takes the
responses' own place: the system is hardly ever asked for fresh pages, which are slower to get than to compute on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import layers
from impasto.vgg import VGG19, check_images

BAND = 2**23
"""Bytes of a layer evaluated at a time on a CPU: malloc keeps freed blocks of less than 32 MB for the next to come."""

POOL_SHARE = 1 / 8
"""Bands of a pool as a share of those of a convolution: max pooling notes where each maximum was, in eight bytes."""

Pull = Callable[[Tensor, slice], Tensor]
"""(rows of a layer's responses (1, C, h, W), which rows they are) -> the gradient of a loss at them, of their shape."""


class Backprop:
    """Evaluates a network at one picture after the other, and takes gradients back to the picture.

    Args:
        vgg: the network.
        wanted: the layers that the loss reads; none, and the gradient is 0.
        band: bytes of a layer that are evaluated at a time; by default what suits the device.
    """

    def __init__(self, vgg: VGG19, wanted: Iterable[str], *, band: float | None = None) -> None:
        self.vgg, self.wanted = vgg, frozenset(wanted)
        self.layers = layers.up_to_last(self.wanted)
        if band is None:
            band = BAND if vgg.device.type == "cpu" else float("inf")
        self.band = band
        self._image = torch.empty(0)
        self._responses: dict[str, Tensor] = {}

    @torch.no_grad()
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """(1, 3, H, W) float RGB in [0, 1] -> {layer: (1, C, H', W') responses}, good until the next call of either.

        Raises:
            ValueError: the image has another shape, or an edge too short for a layer.
        """
        check_images(image, self.wanted)
        self._image, values = image, self.vgg.prepared(image)
        for name in self.layers:
            values = self._convolve(name, values) if name in layers.CONVS else self._pool(values)
            if name in layers.CONVS or name in self.wanted:
                self._responses[name] = values
        return {name: self._responses[name] for name in self.wanted}

    @torch.no_grad()
    def backward(self, pulls: Mapping[str, Pull]) -> Tensor:
        """The gradient (1, 3, H, W) at the latest picture of a loss that pulls so at each of the wanted layers."""
        if not self.layers:
            return torch.zeros_like(self._image)
        above, gradient = "", self._image
        for name in reversed(self.layers):
            descend = self._at_conv if name in layers.CONVS else self._at_pool
            above, gradient = name, descend(name, above, gradient, pulls.get(name))
        kernel, _ = self.vgg.kernels[layers.CONVS[0]]
        return vjp(self.vgg.prepared, self._image, F.conv_transpose2d(gradient, kernel))

    def _convolve(self, name: str, values: Tensor) -> Tensor:
        """The responses to the `values` of the layer below, in the memory of the step before."""
        kernel, bias = self.vgg.kernels[name]
        edge = 2 if name == layers.CONVS[0] else 0  # `prepared` has put it there
        shape = (1, len(bias), values.shape[2] - edge, values.shape[3] - edge)
        responses = self._responses.get(name)
        if responses is None or responses.shape != shape:
            responses = torch.empty(shape, dtype=values.dtype, device=values.device, memory_format=torch.channels_last)
        for rows in self._bands(responses):
            around, padding = (values[:, :, rows.start : rows.stop + edge], 0) if edge else _around(values, rows)
            band = F.conv2d(around, kernel, bias, padding=(padding, 0 if edge else 1))
            torch.clamp_min(band, 0, out=responses[:, :, rows])
        return responses

    def _pool(self, values: Tensor) -> Tensor:
        return torch.cat([self.vgg.pool(values[:, :, rows]) for rows in self._bands(values, POOL_SHARE)], dim=2)

    def _at_pool(self, name: str, above: str, gradient: Tensor, pull: Pull | None) -> Tensor:
        """The gradient at a pool's output, from that at the layer above if there is one."""
        if above:
            gradient = F.conv_transpose2d(gradient, self.vgg.kernels[above][0], padding=1)
        if pull is None:
            return gradient
        pooled = self._responses[name]
        own = pull(pooled, slice(0, pooled.shape[2]))
        return gradient.add_(own) if above else own

    def _at_conv(self, name: str, above: str, gradient: Tensor, pull: Pull | None) -> Tensor:
        """The gradient before a convolution's ReLU, put in the place of its responses."""
        responses, pooled = self._responses[name], above not in self.vgg.kernels
        for rows in self._bands(responses, POOL_SHARE if pooled else 1):
            here, band = responses[:, :, rows], None
            if above and pooled:
                band = vjp(self.vgg.pool, here, gradient[:, :, rows.start // 2 : rows.stop // 2])
            elif above:
                around, padding = _around(gradient, rows)
                band = F.conv_transpose2d(around, self.vgg.kernels[above][0], padding=(2 - padding, 1))
            if pull is not None:
                own = pull(here, rows)
                band = own if band is None else band.add_(own)
            torch.ops.aten.threshold_backward.grad_input(band, here, 0, grad_input=here)
        return responses

    def _bands(self, responses: Tensor, share: float = 1) -> Iterator[slice]:
        """All rows, in slices that a pool's cells do not straddle."""
        height = responses.shape[2]
        size = max(2, int(min(share * self.band * height / responses.nbytes, height)) // 2 * 2)
        starts = range(0, max(height - 1, 1), size)
        for start in starts:
            yield slice(start, height if start == starts[-1] else start + size)


def _around(values: Tensor, rows: slice) -> tuple[Tensor, int]:
    """The rows with their neighbours, zeros beyond the edge; or all rows, and how many zeros are still to be padded."""
    height = values.shape[2]
    if rows == slice(0, height):
        return values, 1
    around = values[:, :, max(rows.start - 1, 0) : rows.stop + 1]
    if rows.start == 0 or rows.stop == height:
        around = F.pad(around, (0, 0, int(rows.start == 0), int(rows.stop == height)))
    return around, 0


def vjp(function: Callable[[Tensor], Tensor], at: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at the input of a function without parameters, from the gradient at its output, by autograd."""
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        scalar = (function(at) * gradient).sum()  # given a vector, autograd loads half a second of symbolic algebra
        (result,) = torch.autograd.grad(scalar, at)
    return result
