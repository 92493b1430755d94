"""The layers of VGG19 by their Keras names, in order: sixteen convolutions in five blocks, each followed by a pool."""

import difflib
import math
from collections.abc import Iterable

from impasto.errors import SettingError

CONVS_PER_BLOCK = (2, 2, 4, 4, 4)
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the convolutions in each block."""

LAYERS = tuple(
    f"block{block}_{kind}"
    for block, convs in enumerate(CONVS_PER_BLOCK, start=1)
    for kind in (*(f"conv{i}" for i in range(1, convs + 1)), "pool")
)
CONVS = tuple(name for name in LAYERS if "conv" in name)


def block_of(layer: str) -> int:
    """The block of `layer`, 1 to 5."""
    return int(layer[len("block")])


def check_layer(layer: str) -> str:
    """Return `layer` if VGG19 has it.

    Raises:
        SettingError: it does not; the message suggests the closest name.
    """
    if layer not in LAYERS:
        nearest = difflib.get_close_matches(layer, LAYERS, n=1, cutoff=0) or [LAYERS[0]]
        raise SettingError(f"no layer {layer!r} in VGG19; did you mean {nearest[0]}?")
    return layer


def up_to_last(layers: Iterable[str]) -> tuple[str, ...]:
    """All layers from the first to the deepest of `layers`; an empty tuple if there are none."""
    return LAYERS[: max((LAYERS.index(check_layer(name)) for name in layers), default=-1) + 1]


def min_edge(layers: Iterable[str]) -> int:
    """Edge in pixels of the smallest image for which each of `layers` has at least one position."""
    return int(2 ** sum("pool" in name for name in up_to_last(layers)))


def feature_size(layer: str, height: int, width: int) -> tuple[int, int]:
    """Height and width of the feature map of `layer` for an image of `height` x `width` pixels."""
    shrink = min_edge([layer])
    return height // shrink, width // shrink


def position_count(layer: str, height: int, width: int) -> int:
    """M, the number of positions in the feature map of `layer` for an image of `height` x `width` pixels."""
    return math.prod(feature_size(layer, height, width))


def multiply_adds(layers: Iterable[str], height: int, width: int) -> int:
    """Multiply-adds of one forward pass of `height` x `width` pixels up to the deepest of `layers`."""
    total, channels = 0, 3
    for name in up_to_last(layers):
        if name in CONVS:  # 3x3 kernels: 9 * channels in * channels out, at each position
            total += 9 * channels * (channels := WIDTHS[block_of(name) - 1]) * position_count(name, height, width)
    return total


def feature_count(layers: Iterable[str], height: int, width: int) -> int:
    """Number of values in all feature maps up to the deepest of `layers`, for an image of `height` x `width` pixels."""
    return sum(WIDTHS[block_of(name) - 1] * position_count(name, height, width) for name in up_to_last(layers))
