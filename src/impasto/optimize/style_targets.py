"""`StyleTargets`: style images with all that runs compute of them alone, kept for the next run."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, overload

import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.images.masks import Style
from impasto.images.sources import StyleSource, as_styles, some_styles
from impasto.torch_state import isolated
from impasto.vgg.model import VGG19, network_or_default

_Value = TypeVar("_Value")


class StyleTargets(Sequence[Style]):
    """Style images to pass to many runs, in place of a list: what a run computes of them alone is kept for the others.

    That is the images at the sizes of the scales, their tone, and their statistics: per image, size, layers, statistic,
    pooling, padding, precision and whatever else the numbers depend on. They are computed when a run needs them first,
    and every run gives the same bits as without. With color="content" nothing is kept, as the colors of the style
    images are those of the content image.

    Args:
        styles: as for `stylize`.
        vgg: the network of all runs; by default on the fastest device available.
        memory: bytes of what is kept, on the device of the network and in main memory together; beyond it the least
            recently used is dropped. A style image takes 11 MB at 512 pixels, with nearest neighbors 38 MB.

    Raises:
        PictureError: a style image that cannot be read.
        SettingError: there is none.
    """

    @isolated
    def __init__(
        self, styles: StyleSource | Sequence[StyleSource], *, vgg: VGG19 | None = None, memory: int = 2**30
    ) -> None:
        self._styles = tuple(as_styles(some_styles(styles)))
        self.vgg = network_or_default(vgg)
        self._memory = memory
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()  # the least recently used first

    def __len__(self) -> int:
        return len(self._styles)

    @overload
    def __getitem__(self, index: int) -> Style: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Style, ...]: ...
    def __getitem__(self, index: int | slice) -> Style | tuple[Style, ...]:
        return self._styles[index]

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept now."""
        return _tensor_bytes(self._kept)

    def kept(self, key: Hashable, compute: Callable[[], _Value]) -> _Value:
        """The value for a key: that of an earlier call, or that of `compute()`, which must not be modified."""
        key = torch.get_num_threads(), key  # threads split sums, and the split determines the rounding
        if key in self._kept:
            self._kept.move_to_end(key)
            value: _Value = self._kept[key]
            return value
        value = self._kept[key] = compute()
        while len(self._kept) > 1 and self.nbytes > self._memory:
            self._kept.popitem(last=False)
        return value


def compute(_key: Hashable, compute: Callable[[], _Value]) -> _Value:
    """`StyleTargets.kept` for style images of which nothing is kept."""
    return compute()


def network_of(styles: object, vgg: VGG19 | None) -> VGG19 | None:
    """The network that a caller passed, if any; by default that of the `StyleTargets`.

    Raises:
        SettingError: the `StyleTargets` are of another network.
    """
    if not isinstance(styles, StyleTargets) or vgg is styles.vgg:
        return vgg
    if isinstance(vgg, VGG19) and vgg.kernels is not styles.vgg.kernels:
        raise SettingError("vgg: got another network than that of the StyleTargets; leave it out")
    return styles.vgg if vgg is None else vgg


def _tensor_bytes(value: object) -> int:
    """Bytes of the tensors in a value: in containers, and in the attributes of objects."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_tensor_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_tensor_bytes, value))
    return _tensor_bytes(vars(value)) if hasattr(value, "__dict__") else 0
