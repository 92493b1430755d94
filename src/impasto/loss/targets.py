"""Targets of a loss, layer by layer: content features and style statistics, computed from the images given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from impasto.loss.functional import squared_error_sum
from impasto.loss.grain import Grain
from impasto.loss.statistics import ContentFeatures, LayerTarget
from impasto.settings import layers
from impasto.settings.model import StyleLoss
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

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
    """Everything that an image is compared with: the content layer by layer, and style and grain of each region."""

    content: Mapping[str, LayerTarget]
    style: Sequence[StyleTarget]
    grain: Sequence[Grain] = ()


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
