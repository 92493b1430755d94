"""The network there and back without an autograd graph: responses, and a loss's gradient from them to the picture.

Evaluated whole, a picture's responses are all kept, in memory that the next step uses again. Evaluated in strips, only
a window of rows is kept of every layer: each strip continues where the one before ended, so that no row is computed
twice for the sake of its neighbors, and the numbers are those of the whole picture. On the way back the gradient at a
layer's responses takes the responses' own place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import layers
from impasto.vgg.model import VGG19, check_images
from impasto.vgg.rows import Rows, wrapped

BAND = 2**23
"""Bytes of a layer evaluated at a time on a CPU: malloc keeps freed blocks of less than 32 MB for the next to come."""

POOL_SHARE = 1 / 8
"""Bands of a pool as a share of those of a convolution: max pooling notes where each maximum was, in eight bytes."""

FIRST = layers.CONVS[0]

Read = Callable[[str, Tensor, slice], None]
"""Gets (layer, some rows of its responses (1, C, h, W), which rows they are), and must not keep the tensor."""

Pull = Callable[[Tensor, slice], Tensor]
"""(rows of a layer's responses (1, C, h, W), which rows they are) -> the gradient of a loss at them, of their shape."""

GradientRows = Iterator[tuple[slice, Tensor]]
"""The gradient at a picture as it comes, top to bottom: which rows, and they themselves, (1, 3, h, W)."""


class Backprop:
    """Evaluates a network at one picture after the other, and takes gradients back to the picture.

    Args:
        vgg: the network.
        wanted: the layers that the loss reads; none, and the gradient is 0.
        strip: rows of the picture that are evaluated at a time; None: all, which is fastest. In strips the way back
            evaluates the picture once more, which is half as much work again.
        band: bytes of a layer that are evaluated at a time; by default what suits the device.
    """

    def __init__(
        self, vgg: VGG19, wanted: Iterable[str], *, strip: int | None = None, band: float | None = None
    ) -> None:
        if strip is not None and vgg.padding == "circular":
            raise ValueError("strip: the first row of a seamless picture is next to its last one; evaluate it whole")
        self.vgg, self.wanted, self.strip = vgg, frozenset(wanted), strip
        self.layers = layers.up_to_last(self.wanted)
        if band is None:
            band = BAND if vgg.device.type == "cpu" else float("inf")
        self.band = band
        self._image, self._returned = torch.empty(0), 0
        self._rows: dict[str, Rows] = {}

    @torch.no_grad()
    def forward(self, image: Tensor, read: Read) -> None:
        """Evaluate the network at (1, 3, H, W) float RGB in [0, 1]; `read` gets every row of the layers wanted.

        Raises:
            ValueError: the image has another shape, or an edge too short for a layer.
        """
        check_images(image, self.wanted)
        if image.shape != self._image.shape:
            self._rows = self._windows(*image.shape[2:])
        self._image = image
        self._begin()
        for stop in self._stops():
            self._go(stop, read)
            if self._is_striped:
                self._release(returning=False)

    @torch.no_grad()
    def backward(self, pulls: Mapping[str, Pull]) -> GradientRows:
        """The gradient at the latest picture of a loss that pulls so at each of the wanted layers."""
        if not self.layers:
            yield slice(0, self._image.shape[2]), torch.zeros_like(self._image)
            return
        if self._is_striped:
            self._begin()
        for stop in self._stops():
            self._go(stop)
            yield from self._come_back(pulls)
            if self._is_striped:
                self._release(returning=True)

    @property
    def _is_circular(self) -> bool:
        return self.vgg.padding == "circular"

    @property
    def _is_striped(self) -> bool:
        return self.strip is not None and self.strip < self._image.shape[2]

    def _stops(self) -> Iterator[int]:
        """Where the strips end."""
        height = self._image.shape[2]
        yield from range(self.strip or height, height, self.strip or height)
        yield height

    def _windows(self, height: int, width: int) -> dict[str, Rows]:
        found = {}
        for name in self.layers:
            if name not in layers.CONVS:
                height, width = height // 2, width // 2
            channels = self.vgg.channels(name)
            found[name] = Rows(channels, height, width, dtype=self.vgg.dtype, device=self.vgg.device)
        return found

    def _begin(self) -> None:
        self._returned = 0
        for rows in self._rows.values():
            rows.begin()

    def _release(self, *, returning: bool) -> None:
        """Let go of the rows that neither the layer above will look at nor, `returning`, the loss and the one below."""
        below = ""
        for name, above in zip(self.layers, [*self.layers, ""][1:], strict=True):
            rows = self._rows[name]
            needed = [rows.there]
            if above:
                seen = self._rows[above].there
                needed.append(seen - 1 if above in layers.CONVS else 2 * seen)
            if returning:
                needed += [rows.back, self._rows[below].back - 1 if below else self._returned - 2]
            rows.release(min(needed))
            below = name

    # -- there --

    def _go(self, stop: int, read: Read | None = None) -> None:
        """Evaluate every layer as far down as the rows of the picture before `stop` suffice."""
        below, seen, height = "", stop, self._image.shape[2]
        for name in self.layers:
            rows, is_conv = self._rows[name], name in layers.CONVS
            seen = seen // 2 if not is_conv else height if seen == height else max(seen - 1, 0)
            for band in self._bands(rows.reach(seen), name, 1 if is_conv else POOL_SHARE / 4):
                values = self._convolved(name, below, band) if is_conv else self._pooled(below, band)
                torch.clamp_min(values, 0, out=rows[band])
                if read is not None and name in self.wanted:
                    read(name, rows[band], band)
            below, height = name, rows.height

    def _convolved(self, name: str, below: str, band: slice) -> Tensor:
        """Rows of a convolution's output, before its ReLU."""
        kernel, bias = self.vgg.kernels[name]
        if not below:
            return F.conv2d(self._prepared(band), kernel, bias)
        around, padding = self._around(below, band)
        return F.conv2d(around, kernel, bias, padding=padding)

    def _prepared(self, band: slice) -> Tensor:
        """What the first convolution sees of the picture for rows of its output."""
        if self._is_circular:
            return self.vgg.preprocess(wrapped(self._image, band), top=False, bottom=False)
        image = self._image[:, :, max(band.start - 1, 0) : band.stop + 1]
        return self.vgg.preprocess(image, top=band.start == 0, bottom=band.stop == self._image.shape[2])

    def _around(self, name: str, band: slice) -> tuple[Tensor, tuple[int, int]]:
        rows = self._rows[name]
        return rows.around_circular(band) if self._is_circular else rows.around(band)

    def _pooled(self, below: str, band: slice) -> Tensor:
        return self.vgg.pool(self._rows[below][slice(2 * band.start, 2 * band.stop)])

    # -- and back --

    def _come_back(self, pulls: Mapping[str, Pull]) -> GradientRows:
        """Take the gradient from the deepest layer down to the picture, as far as the rows evaluated suffice."""
        above, pooled = "", torch.empty(0)
        for name in reversed(self.layers):
            rows = self._rows[name]
            new = slice(rows.back, self._back(rows, above))
            if name in layers.CONVS:
                self._at_conv(name, above, new, pooled, pulls.get(name))
            else:
                pooled = self._at_pool(name, above, new, pulls.get(name))
            rows.back, above = new.stop, name
        return self._at_picture()

    def _back(self, rows: Rows, above: str) -> int:
        """How far down the gradient at a layer can come from what has come back at the layer above."""
        if not above:
            return rows.there
        upper = self._rows[above]
        if upper.back == upper.height and rows.there == rows.height:
            return rows.height
        return max(upper.back - 1, 0) if above in layers.CONVS else 2 * upper.back

    def _at_pool(self, name: str, above: str, new: slice, pull: Pull | None) -> Tensor:
        """The gradient at new rows of a pool's output."""
        rows = self._rows[name]
        found = [rows[new][:, :, :0]]
        for band in self._bands(new, name):
            gradient = self._from_conv(above, band) if above else None
            found.append(_with(pull, gradient, rows[band], band))
        return torch.cat(found, dim=2)

    def _at_conv(self, name: str, above: str, new: slice, pooled: Tensor, pull: Pull | None) -> None:
        """The gradient before a convolution's ReLU at new rows, put in the place of its responses."""
        rows, is_pooled = self._rows[name], bool(above) and above not in layers.CONVS
        for band in self._bands(new, name, POOL_SHARE if is_pooled else 1):
            here, gradient = rows[band], None
            if is_pooled:
                cells = slice((band.start - new.start) // 2, (band.stop - new.start) // 2)
                gradient = self._from_pool(here, pooled[:, :, cells])
            elif above:
                gradient = self._from_conv(above, band)
            gradient = _with(pull, gradient, here, band)
            torch.ops.aten.threshold_backward.grad_input(gradient, here, 0, grad_input=here)

    def _from_conv(self, above: str, band: slice) -> Tensor:
        """The gradient at rows of a convolution's input."""
        around, (down, across) = self._around(above, band)
        return F.conv_transpose2d(around, self.vgg.kernels[above][0], padding=(2 - down, 2 - across))

    def _from_pool(self, here: Tensor, gradient: Tensor) -> Tensor:
        """The gradient at rows of a pool's input; the last row of an odd number belongs to no cell."""
        return vjp(self.vgg.pool, here, gradient) if gradient.shape[2] else torch.zeros_like(here)

    def _at_picture(self) -> GradientRows:
        """The gradient at the picture's next rows; those beyond its edge belong to the last chunk and the first."""
        rows, height = self._rows[FIRST], self._image.shape[2]
        start, stop = self._returned, height + 2 if rows.back == height else rows.back  # as `preprocess` counts them
        if stop < 2 or stop == start:
            return
        lowest = max(start - 2, 0)
        upstream = F.conv_transpose2d(rows[slice(lowest, rows.back)], self.vgg.kernels[FIRST][0])
        prepared = partial(self.vgg.preprocess, top=start == 0, bottom=rows.back == height)
        here = slice(max(start - 1, 0), min(stop - 1, height))
        self._returned = stop
        yield here, vjp(prepared, self._image[:, :, here], upstream[:, :, start - lowest : stop - lowest])

    def _bands(self, rows: slice, name: str, share: float = 1) -> Iterator[slice]:
        """Rows of a layer in slices of `share` of a band, which begin where a pool's cell does if all of them do."""
        layer = self._rows[name]
        room = share * self.band / (layer.channels * layer.width * layer.dtype.itemsize)
        size = max(2, int(min(room, rows.stop - rows.start)) // 2 * 2)
        starts = range(rows.start, max(rows.stop - 1, min(rows.start + 1, rows.stop)), size)
        for start in starts:
            yield slice(start, rows.stop if start == starts[-1] else start + size)


def gather_gradient(rows: GradientRows, image: Tensor) -> Tensor:
    """The gradient at `image` (1, 3, H, W) in one tensor of its shape."""
    gradient = torch.empty_like(image)  # costs nothing until it is written to
    for here, some in rows:
        if some.shape == image.shape:
            gradient = some
        else:
            gradient[:, :, here] = some
    return gradient


def vjp(function: Callable[[Tensor], Tensor], at: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at the input of a function without parameters, from the gradient at its output, by autograd."""
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        scalar = (function(at) * gradient).sum()  # given a vector, autograd loads half a second of symbolic algebra
        (result,) = torch.autograd.grad(scalar, at)
    return result


def _with(pull: Pull | None, gradient: Tensor | None, here: Tensor, band: slice) -> Tensor:
    """The gradient from above plus that of the loss, one of which there is."""
    if pull is None:
        assert gradient is not None
        return gradient
    own = pull(here, band)
    return own if gradient is None else gradient.add_(own)
