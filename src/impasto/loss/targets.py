"""What a picture is to be like: content and manners, layer by layer, found in the pictures that were given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.loss.statistics import Gaussian, Gram, Means, Moments, Responses, Sample, Target
from impasto.settings import layers
from impasto.settings.model import StyleLoss
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

SAMPLE = 4096
"""Responses that are kept of the paintings, so that each of the picture's finds its like among them."""
DEEP = 4
"""The block from which on responses look for their neighbors.

Those of shallower layers see a few pixels: each would find its like in the same flat places, and nothing would ask for
the painting's strokes. There the Gram matrix does.
"""


@dataclass(frozen=True)
class StyleTarget:
    """What a region of the picture, of a share of its area, is to be like in each layer."""

    layers: Mapping[str, Target]
    share: float = 1.0


@dataclass(frozen=True)
class Targets:
    """All that a picture is compared with: the content, layer by layer, and one manner a region."""

    content: Mapping[str, Target]
    style: Sequence[StyleTarget]


@torch.no_grad()
def content_targets(
    vgg: VGG19, content: Tensor, wanted: Iterable[str], *, strip: int | None = None
) -> dict[str, Responses]:
    """The responses of the layers wanted to `content` (1, 3, H, W). `strip`: as in `Objective`."""
    found = {}
    for name in wanted:
        shrink = layers.min_edge([name])
        shape = 1, vgg.channels(name), content.shape[2] // shrink, content.shape[3] // shrink
        found[name] = torch.empty(shape, dtype=vgg.dtype, device=vgg.device, memory_format=torch.channels_last)

    def keep(name: str, here: Tensor, rows: slice) -> None:
        found[name][:, :, rows] = here

    Backprop(vgg, found, strip=strip).forward(content, keep)
    return {name: Responses(values) for name, values in found.items()}


class _Drawn:
    """Responses at positions drawn from all those of a painting, always the same."""

    def __init__(self, count: int, positions: int) -> None:
        drawn = torch.randperm(positions, generator=torch.Generator().manual_seed(0))
        self._drawn = drawn[: max(count, 1)].sort().values
        self._found: list[Tensor] = []

    def read(self, here: Tensor, rows: slice) -> None:
        width = here.shape[3]
        inside = (self._drawn >= rows.start * width) & (self._drawn < rows.stop * width)
        flat = here.permute(0, 2, 3, 1).flatten(0, 2)
        self._found.append(flat[(self._drawn[inside] - rows.start * width).to(here.device)])

    @property
    def values(self) -> Tensor:
        return torch.cat(self._found)


WeightedImage = tuple[Tensor, float]
"""A painting (1, 3, H, W) and its share in a mixture; they add up to 1."""


@torch.no_grad()
def style_targets(
    vgg: VGG19,
    paintings: Iterable[WeightedImage],
    wanted: Iterable[str],
    *,
    loss: StyleLoss = "gram",
    guides: Mapping[str, Tensor] | None = None,
    strip: int | None = None,
    inner: bool = False,
) -> dict[str, Target]:
    """The manner of a mixture of paintings in the layers wanted; none where there is no painting.

    Of moments those of the paintings are averaged by their shares: they are expectations over positions, so that these
    are the moments of a picture made of such shares of them. Samples hold such shares of each. By "nearest" the
    layers before block DEEP have Gram matrices.

    Args:
        guides: for every layer the region's share in each position, (1, 1, h, w); none: everywhere the same.
        strip: as in `Objective`.
        inner: leave out the outermost positions, which see zeros beyond the edge of the layer below: a picture whose
            edges meet has none such, and would need marks like edges in its midst to be like them.
    """
    wanted, guides, parts = tuple(wanted), guides or {}, []
    kinds = {name: _kind(loss, name) for name in wanted}
    for image, share in paintings:
        inside = {name: _inside(layers.feature_size(name, *image.shape[2:]), margin=int(inner)) for name in wanted}
        readers = {name: _reader(kinds[name], share, *inside[name]) for name in wanted}
        _read(vgg, image, readers, inside, strip=strip)
        parts.append((share, readers))
    if not parts:
        return {}
    return {
        name: _mixed([(share, found[name]) for share, found in parts], kinds[name], guides.get(name)) for name in wanted
    }


Reader = Means | _Drawn
Inside = tuple[range, range]
"""The rows and columns of a layer that are looked at."""


def _inside(grid: tuple[int, int], margin: int) -> Inside:
    """All but a margin, where there is room for it."""
    rows, columns = (range(margin, edge - margin) if edge > 2 * margin else range(edge) for edge in grid)
    return rows, columns


def _kind(loss: StyleLoss, layer: str) -> StyleLoss:
    """What is compared in a layer."""
    return "gram" if loss == "nearest" and layers.block_of(layer) < DEEP else loss


def _reader(loss: StyleLoss, share: float, rows: range, columns: range) -> Reader:
    if loss == "nearest":
        return _Drawn(round(share * SAMPLE), len(rows) * len(columns))
    return Means(first=loss == "wasserstein")


def _read(
    vgg: VGG19, image: Tensor, readers: Mapping[str, Reader], inside: Mapping[str, Inside], *, strip: int | None
) -> None:
    """Let the readers take in the responses to a painting, which begin for them where the inside does."""

    def read(name: str, here: Tensor, rows: slice) -> None:
        kept, columns = inside[name]
        start, stop = max(rows.start, kept.start), min(rows.stop, kept.stop)
        if start < stop:
            cut = here[:, :, start - rows.start : stop - rows.start, columns.start : columns.stop]
            readers[name].read(cut, slice(start - kept.start, stop - kept.start))

    Backprop(vgg, readers, strip=strip).forward(image, read)


def _mixed(parts: Sequence[tuple[float, Reader]], loss: StyleLoss, guide: Tensor | None) -> Target:
    samples = [found.values for _, found in parts if isinstance(found, _Drawn)]
    if samples:
        return Sample(torch.cat(samples), guide)
    means = [(share, found.moments) for share, found in parts if isinstance(found, Means)]
    second = torch.stack([share * each.second for share, each in means]).sum(0)
    if loss == "gram":
        return Gram(Moments(second), guide)
    first = torch.stack([share * each.first for share, each in means if each.first is not None]).sum(0)
    return Gaussian(Moments(second, first), guide)
