"""Targets of a loss, layer by layer: content features and style statistics, computed from the images given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from impasto.loss.functional import squared_error_sum
from impasto.loss.nearest import Sample
from impasto.loss.statistics import ContentFeatures, Gaussian, Gram, LayerTarget, Moments, MomentsAccumulator
from impasto.settings import layers
from impasto.settings.model import StyleLoss
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

SAMPLE_SIZE = 8192
"""Features kept of all style images together for nearest neighbors: 16 MB at 512 channels in float32."""
NEAREST_FROM_BLOCK = 3
"""The first block whose layers look for nearest neighbors.

Features of shallower layers see a few pixels: each would find its neighbor in the same flat areas of the style image.
"""


CONTENT_FLOOR = 0.25
"""The least normalizer of the content loss, as a share of the mean square of the style images' features in the layer.

The features of an image of one color are weak: in block4_conv2 their mean square is 3e3 to 1e5, that of the images of
the demo 1.5e6 to 1.7e6. Relative to it every brush stroke would be an error of up to 600.
"""


@dataclass(frozen=True)
class StyleTarget:
    """The style of one region, layer by layer.

    Attributes:
        shares: the region's share of the area, by layer; none: all of it.
    """

    layers: Mapping[str, LayerTarget]
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """Everything that an image is compared with: the content layer by layer, and the styles of each region."""

    content: Mapping[str, LayerTarget]
    style: Sequence[StyleTarget]


@torch.no_grad()
def content_targets(
    vgg: VGG19,
    content: Tensor,
    wanted: Iterable[str],
    *,
    strip: int | None = None,
    least: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, ContentFeatures]:
    """The features of the wanted layers for `content` (1, 3, H, W).

    Args:
        strip: as in `Objective`.
        least: least normalizers by layer; none: 0.
    """
    features = {}
    for name in wanted:
        height, width = layers.feature_size(name, *content.shape[2:])
        shape = 1, vgg.channels(name), height, width
        # The layout of the features that they are compared with: differences are taken without a copy.
        features[name] = torch.empty(shape, dtype=vgg.dtype, device=vgg.device, memory_format=torch.channels_last)

    def keep(name: str, chunk: Tensor, rows: slice) -> None:
        features[name][:, :, rows] = chunk

    Backprop(vgg, features, strip=strip).forward(content, keep)
    return {name: ContentFeatures(values, least.get(name, 0.0)) for name, values in features.items()}


@torch.no_grad()
def mean_squares(vgg: VGG19, image: Tensor, wanted: Iterable[str], *, strip: int | None = None) -> dict[str, float]:
    """The mean square of the features of an image (1, 3, H, W) in the wanted layers. `strip`: as in `Objective`."""
    totals, zero = dict.fromkeys(wanted, 0.0), torch.zeros((), dtype=vgg.dtype, device=vgg.device)

    def add(name: str, chunk: Tensor, _: slice) -> None:
        totals[name] += float(squared_error_sum(chunk, zero))

    Backprop(vgg, totals, strip=strip).forward(image, add)
    counts = {name: vgg.channels(name) * layers.position_count(name, *image.shape[2:]) for name in totals}
    return {name: total / counts[name] for name, total in totals.items()}


WeightedImage = tuple[Tensor, float]
"""A style image (1, 3, H, W) and its share in a mixture; the shares add up to 1."""


def statistics_of(loss: StyleLoss, wanted: Iterable[str]) -> dict[StyleLoss, tuple[str, ...]]:
    """The statistics that a style loss compares, each with its layers.

    Nearest neighbors of a content image's features are found where it has structure. What they leave open, such as the
    texture of a sky, the Gram matrices decide.
    """
    wanted = tuple(wanted)
    if loss != "nearest":
        return {loss: wanted}
    deep = tuple(name for name in wanted if layers.block_of(name) >= NEAREST_FROM_BLOCK)
    return {"gram": wanted, "nearest": deep} if deep else {"gram": wanted}


@torch.no_grad()
def style_targets(
    vgg: VGG19,
    images: Iterable[WeightedImage],
    wanted: Iterable[str],
    *,
    loss: StyleLoss = "gram",
    guides: Mapping[str, Tensor] | None = None,
    strip: int | None = None,
    inner: bool = False,
) -> dict[str, LayerTarget]:
    """The style of a mixture of images in the wanted layers; empty if there is no image.

    Moments of the images are averaged by their shares: they are expectations over positions, so that the average has
    the moments of an image composed of such shares of them. Samples hold such shares of each, at every size: if an
    image has too few positions for its share of SAMPLE_SIZE, the samples of all images are smaller. A sample has
    features of four copies of each image, rotated by 0, 90, 180 and 270 degrees.

    Args:
        loss: the statistic of all layers, one of `statistics_of`.
        guides: for every layer the region's share in each position, (1, 1, h, w); none: 1 everywhere.
        strip: as in `Objective`.
        inner: leave out the outermost positions, whose features depend on the zero padding of the layers below. An
            image with circular padding has no such positions, and would get edge-like marks in its middle to match.
    """
    wanted, guides, parts = tuple(wanted), guides or {}, []
    # One image at a time, from an iterable: a large image and its features are freed before the next one is made.
    for image, share in _rotated(images) if loss == "nearest" else images:
        areas = {name: _area(layers.feature_size(name, *image.shape[2:]), margin=int(inner)) for name in wanted}
        collectors = {name: _collector(loss, share, *areas[name]) for name in wanted}
        _collect(vgg, image, collectors, areas, strip=strip)
        parts.append((share, collectors))
    if not parts:
        return {}
    return {
        name: _mix([(share, collectors[name]) for share, collectors in parts], loss, guides.get(name))
        for name in wanted
    }


class _SampleCollector:
    """Collects the features at random positions of one style image, the same in every run.

    Args:
        share: of the image in the mixture.
        positions: number of positions of the layer.
    """

    def __init__(self, share: float, positions: int) -> None:
        # A generator of its own: the choice depends neither on the run's seed nor on the device.
        order = torch.randperm(positions, generator=torch.Generator().manual_seed(0))
        # Sorted, as features arrive row by row; a position's rank is its place in the random order.
        self._positions, self._ranks = order[: _sample_size(share, SAMPLE_SIZE)].sort()
        self._chunks: list[Tensor] = []
        # The largest sample of the whole mixture for which this image has enough positions. With a share of less than
        # 1 / SAMPLE_SIZE it gives one feature, which it always has.
        self.mixture_size = positions / max(share, 1 / SAMPLE_SIZE)

    def add(self, features: Tensor, rows: slice) -> None:
        # Positions are numbered row by row, as in a flattened channels_last tensor, where a feature is one row of it.
        width = features.shape[3]
        inside = (self._positions >= rows.start * width) & (self._positions < rows.stop * width)
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)
        self._chunks.append(flat[(self._positions[inside] - rows.start * width).to(features.device)])

    def sample(self, count: int) -> Tensor:
        """The features at the first `count` of the random positions, (count, C)."""
        collected = torch.cat(self._chunks)
        return collected[(self._ranks < count).nonzero()[:, 0].to(collected.device)]


def _sample_size(share: float, mixture_size: float) -> int:
    """Features of an image in a sample of `mixture_size` features of all images together; at least one."""
    return max(round(share * mixture_size), 1)


_Collector = MomentsAccumulator | _SampleCollector
_Area = tuple[range, range]
"""The rows and columns of a layer that are used."""


def _area(size: tuple[int, int], margin: int) -> _Area:
    """All rows and columns but a margin; all of them where the layer is too small for one."""
    rows, columns = (range(margin, edge - margin) if edge > 2 * margin else range(edge) for edge in size)
    return rows, columns


def _rotated(images: Iterable[WeightedImage]) -> Iterator[WeightedImage]:
    """Each image, rotated by 0, 90, 180 and 270 degrees, in equal shares, as in NNST."""
    for image, share in images:
        yield from ((image.rot90(turns, (2, 3)), share / 4) for turns in range(4))


def _collector(loss: StyleLoss, share: float, rows: range, columns: range) -> _Collector:
    if loss == "nearest":
        return _SampleCollector(share, len(rows) * len(columns))
    return MomentsAccumulator(needs_first=loss == "wasserstein")


def _collect(
    vgg: VGG19, image: Tensor, collectors: Mapping[str, _Collector], areas: Mapping[str, _Area], *, strip: int | None
) -> None:
    """Evaluate a style image and add the features within each layer's area, whose rows are counted from 0."""

    def add(name: str, features: Tensor, rows: slice) -> None:
        inside, columns = areas[name]
        start, stop = max(rows.start, inside.start), min(rows.stop, inside.stop)
        if start < stop:
            cut = features[:, :, start - rows.start : stop - rows.start, columns.start : columns.stop]
            collectors[name].add(cut, slice(start - inside.start, stop - inside.start))

    Backprop(vgg, collectors, strip=strip).forward(image, add)


def _mix(parts: Sequence[tuple[float, _Collector]], loss: StyleLoss, guide: Tensor | None) -> LayerTarget:
    """One layer's target, from the share of each image and what was collected of it."""
    collected = [(share, collector) for share, collector in parts if isinstance(collector, _SampleCollector)]
    if collected:
        size = min(SAMPLE_SIZE, *(collector.mixture_size for _, collector in collected))
        return Sample(torch.cat([collector.sample(_sample_size(share, size)) for share, collector in collected]), guide)
    # Moments are mixed and not covariances: the covariance of a mixture also has the spread between the images' means,
    # E[f f^T] - m m^T of the mixed moments.
    moments = [(share, collector.moments) for share, collector in parts if isinstance(collector, MomentsAccumulator)]
    second = torch.stack([share * image.second for share, image in moments]).sum(0)
    if loss == "gram":
        return Gram(Moments(second), guide)
    first = torch.stack([share * image.first for share, image in moments if image.first is not None]).sum(0)
    return Gaussian(Moments(second, first), guide)
