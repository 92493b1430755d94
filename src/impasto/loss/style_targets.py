"""The style of a mixture of images, layer by layer: what each image contributes is collected, and then mixed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from impasto.loss.nearest import Sample
from impasto.loss.statistics import Gaussian, Gram, LayerTarget, Moments, MomentsAccumulator
from impasto.settings import layers
from impasto.settings.model import StyleLoss
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

SAMPLE_SIZE = 8192
"""Features kept of all style images together for nearest neighbors: 16 MB at 512 channels in float32."""

WeightedImage = tuple[Tensor, float]
"""A style image (1, 3, H, W) and its share in a mixture; the shares add up to 1."""


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

    Args:
        guides: see `mixed_targets`; loss, strip, inner: see `style_parts`.
    """
    wanted, parts = tuple(wanted), []
    # One image at a time, from an iterable: a large image and its features are freed before the next one is made.
    for image in images:
        parts += style_parts(vgg, image, wanted, loss=loss, strip=strip, inner=inner)
    return mixed_targets(parts, wanted, loss=loss, guides=guides)


@torch.no_grad()
def style_parts(
    vgg: VGG19,
    image: WeightedImage,
    wanted: Iterable[str],
    *,
    loss: StyleLoss,
    strip: int | None = None,
    inner: bool = False,
) -> list["StylePart"]:
    """What one image contributes to the style of a mixture: one part, or for samples one of each of four rotations.

    Args:
        loss: the statistic of all layers, one of `statistics_of`.
        strip: as in `Objective`.
        inner: leave out the outermost positions, whose features depend on the zero padding of the layers below. An
            image with circular padding has no such positions, and would get edge-like marks in its middle to match.
    """
    wanted = tuple(wanted)
    parts: list[StylePart] = []
    for pixels, share in _rotated(image) if loss == "nearest" else [image]:
        areas = {name: _area(layers.feature_size(name, *pixels.shape[2:]), margin=int(inner)) for name in wanted}
        collectors = {name: _collector(loss, share, *areas[name]) for name in wanted}
        _collect(vgg, pixels, collectors, areas, strip=strip)
        parts.append((share, collectors))
    return parts


@torch.no_grad()
def mixed_targets(
    parts: Sequence["StylePart"], wanted: Iterable[str], *, loss: StyleLoss, guides: Mapping[str, Tensor] | None = None
) -> dict[str, LayerTarget]:
    """The style of the mixture of all parts in the wanted layers; empty if there is none.

    Moments of the images are averaged by their shares: they are expectations over positions, so that the average has
    the moments of an image composed of such shares of them. Samples hold such shares of each, at every size: if an
    image has too few positions for its share of SAMPLE_SIZE, the samples of all images are smaller. A sample has
    features of four copies of each image, rotated by 0, 90, 180 and 270 degrees.

    Args:
        guides: for every layer the region's share in each position, (1, 1, h, w); none: 1 everywhere.
    """
    guides = guides or {}
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
StylePart = tuple[float, Mapping[str, _Collector]]
"""What was collected of a style image by layer, and the share of the image in the mixture; it is not modified."""
_Area = tuple[range, range]
"""The rows and columns of a layer that are used."""


def _area(size: tuple[int, int], margin: int) -> _Area:
    """All rows and columns but a margin; all of them where the layer is too small for one."""
    rows, columns = (range(margin, edge - margin) if edge > 2 * margin else range(edge) for edge in size)
    return rows, columns


def _rotated(image: WeightedImage) -> Iterator[WeightedImage]:
    """The image, rotated by 0, 90, 180 and 270 degrees, in equal shares, as in NNST."""
    pixels, share = image
    return ((pixels.rot90(turns, (2, 3)), share / 4) for turns in range(4))


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
