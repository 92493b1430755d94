"""Forward and backward pass without an autograd graph: features, and the gradient of a loss with respect to the image.

Evaluated whole, all features of an image are kept, in buffers that the next step reuses. Evaluated in strips, every
layer keeps a window of rows only. The loss then needs two passes: the gradient at any position depends on statistics
of all positions (Gatys et al. 2015, eq. 6: on G - A), so that a first forward pass collects the statistics and a second
one computes each strip again and propagates its gradient. Forward, forward, backward instead of forward, backward:
half as much work again. The numbers are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from impasto.settings import layers
from impasto.vgg import adjoint
from impasto.vgg.forward import BAND, POOL_SHARE, ForwardPass, OnFeatures
from impasto.vgg.model import VGG19, check_images
from impasto.vgg.rows import RowWindow

FIRST = layers.CONVS[0]

FeatureGradient = Callable[[Tensor, slice], Tensor]
"""(rows of a layer's features (1, C, h, W), which rows) -> the gradient of a loss with respect to them, same shape."""

GradientRows = Iterator[tuple[slice, Tensor]]
"""The gradient with respect to an image in chunks from top to bottom: (which rows, their gradient (1, 3, h, W))."""


class Backprop:
    """Evaluates a network for one image after another and propagates gradients back to the image.

    Args:
        vgg: the network.
        wanted: the layers that the loss reads; if there are none, the gradient is 0.
        strip: rows of the image that are evaluated at a time; None: all, which is fastest. With strips the backward
            pass evaluates the image once more, which is half as much work again.
        band: bytes of a layer that are evaluated at a time; by default what suits the device.
    """

    def __init__(
        self, vgg: VGG19, wanted: Iterable[str], *, strip: int | None = None, band: float | None = None
    ) -> None:
        if strip is not None and vgg.padding == "circular":
            raise ValueError("strip: with circular padding the first row needs the last one; evaluate the image whole")
        self.vgg, self.wanted, self.strip = vgg, frozenset(wanted), strip
        self.layers = layers.up_to_last(self.wanted)
        if band is None:
            band = BAND if vgg.device.type == "cpu" else float("inf")
        self._pass = ForwardPass(vgg, self.layers, band)
        self._padded_end = 0  # rows of the padded image whose gradient has been returned

    @torch.no_grad()
    def forward(self, image: Tensor, on_features: OnFeatures) -> None:
        """Evaluate the network at (1, 3, H, W) float RGB in [0, 1]; `on_features` gets all rows of the wanted layers.

        Raises:
            ValueError: the image has another shape, or an edge too short for a layer.
        """
        check_images(image, self.wanted)
        self._pass.start(image)
        self._padded_end = 0
        with self.vgg.arithmetic():
            for stop in self._strip_ends():
                self._pass.advance(stop, self.wanted, on_features)
                if self._is_striped:
                    self._discard_rows(backward=False)

    @torch.no_grad()
    def backward(self, gradients: Mapping[str, FeatureGradient]) -> GradientRows:
        """The gradient with respect to the latest image, from those with respect to the features of wanted layers."""
        image = self._pass.image
        if not self.layers:
            yield slice(0, image.shape[2]), torch.zeros_like(image)
            return
        if self._is_striped:
            self._pass.restart()
            self._padded_end = 0
        for stop in self._strip_ends():
            with self.vgg.arithmetic():  # not around the `yield`: the settings belong to the process
                self._pass.advance(stop)  # does nothing if the image was evaluated whole
                chunks = list(self._backward_strip(gradients))
            yield from chunks
            if self._is_striped:
                self._discard_rows(backward=True)

    @property
    def _is_striped(self) -> bool:
        return self.strip is not None and self.strip < self._pass.image.shape[2]

    def _strip_ends(self) -> Iterator[int]:
        height = self._pass.image.shape[2]
        yield from range(self.strip or height, height, self.strip or height)
        yield height

    def _discard_rows(self, *, backward: bool) -> None:
        """Discard rows that the layer above needs no more; in the backward pass also keep those not propagated yet."""
        below, windows = "", self._pass.windows
        for name, above in zip(self.layers, [*self.layers, ""][1:], strict=True):
            window = windows[name]
            needed = [window.forward_end]
            if above:
                end = windows[above].forward_end
                needed.append(end - 1 if above in layers.CONVS else 2 * end)
            if backward:
                # The gradient one row above is needed for the next row of the layer below; two rows of the padded
                # image, since block1_conv1 is a convolution without padding of it.
                needed += [window.backward_end, windows[below].backward_end - 1 if below else self._padded_end - 2]
            window.discard_above(min(needed))
            below = name

    def _backward_strip(self, gradients: Mapping[str, FeatureGradient]) -> GradientRows:
        """Propagate the gradient from the deepest layer to the image, as far down as the rows evaluated allow."""
        above = ""
        for name in reversed(self.layers):
            window = self._pass.windows[name]
            new = slice(window.backward_end, self._backward_limit(window, above))
            if name in layers.CONVS:
                self._backward_conv(name, above, new, gradients.get(name))
            else:
                self._backward_pool(name, above, new, gradients.get(name))
            window.backward_end, above = new.stop, name
        return self._backward_image()

    def _backward_limit(self, window: RowWindow, above: str) -> int:
        """The row above which the gradient at a layer is known, given how far it is known at the layer above."""
        if not above:
            return window.forward_end
        upper = self._pass.windows[above]
        if upper.backward_end == upper.height and window.forward_end == window.height:
            return window.height
        return max(upper.backward_end - 1, 0) if above in layers.CONVS else 2 * upper.backward_end

    def _backward_pool(self, name: str, above: str, new: slice, own: FeatureGradient | None) -> None:
        """The gradient with respect to new rows of a pool's output, written over them."""
        window = self._pass.windows[name]
        for band in self._pass.bands(new, name):
            gradient = self._conv_input_gradient(above, band) if above else None
            window[band].copy_(_add_own(own, gradient, window[band], band))

    def _backward_conv(self, name: str, above: str, new: slice, own: FeatureGradient | None) -> None:
        """The gradient with respect to a convolution's output before the ReLU, written over the features."""
        window, is_pooled = self._pass.windows[name], bool(above) and above not in layers.CONVS
        for band in self._pass.bands(new, name, POOL_SHARE if is_pooled else 1):
            features, gradient = window[band], None
            if is_pooled:
                # In channels_last memory, as the features: else the operator copies all of its arguments.
                cells = self._pass.windows[above][slice(band.start // 2, band.stop // 2)]
                gradient = adjoint.pool_gradient(self.vgg, features, cells)
            elif above:
                gradient = self._conv_input_gradient(above, band)
            gradient = _add_own(own, gradient, features, band)
            # The ReLU passes the gradient on where its output is positive. In place: no layer reads these features
            # again, neither the pool above, whose maxima were found within this band, nor the loss.
            torch.ops.aten.threshold_backward.grad_input(gradient, features, 0, grad_input=features)

    def _conv_input_gradient(self, above: str, band: slice) -> Tensor:
        """The gradient with respect to rows of a convolution's input: the transposed convolution of its output's."""
        return self.vgg.convolution(above, "gradient").gradient(*self._pass.with_neighbors(above, band))

    def _backward_image(self) -> GradientRows:
        """The gradient with respect to the image's next rows.

        The first convolution reads the padded image, two rows higher: rows are counted as `preprocess` pads them. The
        gradient at the padding belongs to the image's first and last rows (replicate) or to none (zeros).
        """
        window, image = self._pass.windows[FIRST], self._pass.image
        height = image.shape[2]
        start, stop = self._padded_end, height + 2 if window.backward_end == height else window.backward_end
        if stop < 2 or stop == start:  # nothing below the padding row, or nothing new
            return
        lowest = max(start - 2, 0)
        values = window[slice(lowest, window.backward_end)]
        upstream = self.vgg.convolution(FIRST, "gradient").gradient(values, (2, 2))
        padded, edges = upstream[:, :, start - lowest : stop - lowest], (start == 0, stop == height + 2)
        self._padded_end = stop
        rows = slice(max(start - 1, 0), min(stop - 1, height))
        yield rows, adjoint.preprocess_gradient(self.vgg, padded, image.dtype, top=edges[0], bottom=edges[1])


def gather_gradient(chunks: GradientRows, image: Tensor) -> Tensor:
    """The gradient with respect to `image` (1, 3, H, W) in one tensor of its shape."""
    gradient = torch.empty_like(image)  # costs nothing until it is written to
    for rows, chunk in chunks:
        if chunk.shape == image.shape:
            gradient = chunk
        else:
            gradient[:, :, rows] = chunk
    return gradient


def _add_own(own: FeatureGradient | None, gradient: Tensor | None, features: Tensor, band: slice) -> Tensor:
    """The gradient from the layers above plus that of the loss at this layer; at least one of them exists."""
    if own is None:
        assert gradient is not None
        return gradient
    of_loss = own(features, band)
    return of_loss if gradient is None else gradient.add_(of_loss)
