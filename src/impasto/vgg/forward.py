"""The forward pass without an autograd graph: all rows of an image, or strip after strip.

Every layer keeps a window of rows. A 3x3 convolution needs one more row of its input above and below, so that a deeper
layer is some rows behind the layer below it. Each strip continues where the strip before ended: no row is computed
twice for its neighbors' sake, and the features are those of the whole image.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor

from impasto.settings import layers
from impasto.vgg.model import VGG19
from impasto.vgg.rows import RowWindow, circular_rows

BAND = 2**23
"""Bytes of a layer evaluated at a time on a CPU.

glibc's malloc reuses freed blocks of less than 32 MB (its largest M_MMAP_THRESHOLD) and returns larger ones to the
system, which must map and zero their pages again. 8 MB stay well below.
"""

POOL_SHARE = 1 / 8
"""Bands of a max pool as a share of a convolution's: each maximum is found with its index, an int64 of 8 bytes."""

OnFeatures = Callable[[str, Tensor, slice], None]
"""Called with (layer, some rows of its features (1, C, h, W), which rows). It must not keep the tensor."""


class ForwardPass:
    """Evaluates layers of a network for one image after another, any number of rows at a time.

    Args:
        vgg: the network.
        names: the layers to evaluate, from the first one without a gap.
        band: bytes of a layer that are evaluated at a time.
    """

    def __init__(self, vgg: VGG19, names: Sequence[str], band: float) -> None:
        self.vgg, self.names, self.band = vgg, names, band
        self.image = torch.empty(0)
        self.windows: dict[str, RowWindow] = {}

    def start(self, image: Tensor) -> None:
        """Start at the top of an image (1, 3, H, W) float RGB in [0, 1]; buffers of the same size are reused."""
        if image.shape != self.image.shape:
            self.windows = self._allocate(*image.shape[2:])
        self.image = image
        self.restart()

    def restart(self) -> None:
        """Start again at the top of the same image."""
        for window in self.windows.values():
            window.reset()

    def advance(self, stop: int, wanted: Collection[str] = (), on_features: OnFeatures | None = None) -> None:
        """Evaluate every layer as far down as the rows of the image above `stop` allow."""
        below, available, height = "", stop, self.image.shape[2]
        for name in self.names:
            window, is_conv = self.windows[name], name in layers.CONVS
            # A convolution needs one row more of its input, except at the bottom edge; a pool two rows for each of its
            # own, where the last one of an odd number is dropped.
            available = available // 2 if not is_conv else height if available == height else max(available - 1, 0)
            # The values that a pool reads are four times those that it writes.
            for band in self.bands(window.extend(available), name, 1 if is_conv else POOL_SHARE / 4):
                if is_conv:
                    self._convolve(name, below, band)
                else:
                    window[band].copy_(self._pool(below, band))
                if on_features is not None and name in wanted:
                    on_features(name, window[band], band)
            below, height = name, window.height

    def with_neighbors(self, name: str, band: slice) -> tuple[Tensor, tuple[int, int]]:
        """Rows of a layer and one neighbor above and below; and the padding (y, x) that is still to add."""
        window = self.windows[name]
        if self.vgg.padding == "circular":
            return window.with_circular_neighbors(band)
        return window.with_neighbors(band)

    def bands(self, rows: slice, name: str, share: float = 1) -> Iterator[slice]:
        """Rows of a layer in slices of about `share` of a band, each of an even number of rows but for the last.

        A 2x2 cell of the pool above then lies within one slice, if the first row is an even one.
        """
        layer = self.windows[name]
        room = share * self.band / (layer.channels * layer.width * layer.dtype.itemsize)
        size = max(2, int(min(room, rows.stop - rows.start)) // 2 * 2)
        starts = range(rows.start, max(rows.stop - 1, min(rows.start + 1, rows.stop)), size)
        for start in starts:
            yield slice(start, rows.stop if start == starts[-1] else start + size)

    def _allocate(self, height: int, width: int) -> dict[str, RowWindow]:
        windows = {}
        for name in self.names:
            if name not in layers.CONVS:
                height, width = height // 2, width // 2
            channels = self.vgg.channels(name)
            windows[name] = RowWindow(channels, height, width, dtype=self.vgg.dtype, device=self.vgg.device)
        return windows

    def _convolve(self, name: str, below: str, band: slice) -> None:
        """Evaluate rows of a convolution and its ReLU."""
        values, padding = self.with_neighbors(below, band) if below else (self._preprocess(band), (0, 0))
        self.vgg.convolution(name, "forward").forward(values, padding, self.windows[name][band])

    def _preprocess(self, band: slice) -> Tensor:
        """The input of the first convolution for rows of its output."""
        if self.vgg.padding == "circular":
            return self.vgg.preprocess(circular_rows(self.image, band), top=False, bottom=False)
        image = self.image[:, :, max(band.start - 1, 0) : band.stop + 1]
        return self.vgg.preprocess(image, top=band.start == 0, bottom=band.stop == self.image.shape[2])

    def _pool(self, below: str, band: slice) -> Tensor:
        return self.vgg.pool(self.windows[below][slice(2 * band.start, 2 * band.stop)])
