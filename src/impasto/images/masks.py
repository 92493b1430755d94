"""Masks: where each style applies, which areas of the content image are kept, and where it needs more detail.

Regions with their masks become guidance channels: per-pixel weights of each style (Gatys, Ecker, Bethge, Hertzmann,
Shechtman, Controlling Perceptual Factors in Neural Style Transfer, arXiv 1611.07865, 2017, section 4).
"""

import dataclasses
import hashlib
import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.arguments import kind_of
from impasto.errors import PictureError, SettingError
from impasto.images.loading import ImageSource, as_picture
from impasto.images.picture import Picture
from impasto.images.recipe import ALPHA
from impasto.settings import layers

DIM = 0.5
"""A mask whose largest value is below this is reported: probably it was not drawn in white."""
_ONE_LEVEL = 1.5 / 255  # between the levels 1 and 2 of 255

# Relative difference of the aspect ratios of mask and content image that is accepted: image editors round to pixels.
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False, init=False)
class Style:
    """A style image with its weight and style mask.

    Args:
        picture, mask: `Picture`s, or images of any type that `stylize` takes.

    Attributes:
        weight: relative to the other styles in the same region.
        mask: lies over the whole content image: the style applies in white areas, partly in gray ones. Without a mask
            the style applies where the masks of the other styles leave something.

    Raises:
        PictureError: `picture` or `mask` is no image, or cannot be read.
        SettingError: a weight that is not a finite number above 0.
    """

    picture: Picture
    weight: float = 1.0
    mask: Picture | None = None

    def __init__(self, picture: ImageSource, weight: float = 1.0, mask: ImageSource | None = None) -> None:
        image = as_picture(picture, "style")
        object.__setattr__(self, "picture", image)
        object.__setattr__(self, "weight", _checked_weight(weight, image.name or "style"))
        object.__setattr__(self, "mask", None if mask is None else as_picture(mask, "mask"))


def _checked_weight(weight: float, name: str) -> float:
    if not isinstance(weight, numbers.Real):
        raise SettingError(f"{name}: got {kind_of(weight)} as its weight; give a number above 0")
    if not (weight > 0 and math.isfinite(weight)):
        raise SettingError(f"{name}: got the weight {weight:g}; give one above 0")
    return weight


class AlphaMask(Picture):
    """A mask that is the content image's own alpha channel; a recipe contains the word "alpha" for it."""


@dataclass(frozen=True, eq=False)
class Region:
    """A region of the output: its style mask, None for the rest, and the styles mixed in it: index -> share of 1."""

    mask: Picture | None
    shares: dict[int, float]


def pictures_by_role(
    content: Picture | None,
    styles: Sequence[Style],
    init: Picture | None,
    keep: Picture | None = None,
    detail: Picture | None = None,
) -> dict[str, Picture]:
    """All input images of a run by role: content, init, keep, detail, style 1, mask 1, ..."""
    pictures = {"content": content, "init": init, "keep": keep, "detail": detail}
    for number, style in enumerate(styles, 1):
        pictures |= {f"style {number}": style.picture, f"mask {number}": style.mask}
    return {role: picture for role, picture in pictures.items() if picture is not None}


def alpha_mask(content: Picture) -> AlphaMask:
    """The alpha channel of the content image as a mask.

    Raises:
        PictureError: it has none.
    """
    if content.alpha is None:
        raise PictureError(f"{content.name or 'content'}: has no alpha channel to use as a mask; give an image instead")
    return AlphaMask(content.alpha.expand(3, -1, -1), name=ALPHA)


def group_regions(styles: Sequence[Style]) -> list[Region]:
    """One region per distinct mask, with the styles that share it; masks are equal if their values are."""
    groups: dict[bytes | None, list[int]] = {}
    for index, style in enumerate(styles):
        groups.setdefault(None if style.mask is None else _digest(mask_values(style.mask)), []).append(index)
    regions = []
    for indices in groups.values():
        total = sum(styles[index].weight for index in indices)
        shares = {index: styles[index].weight / total for index in indices}
        regions.append(Region(styles[indices[0]].mask, shares))
    return regions


def region_guides(
    regions: Sequence[Region], masks: Sequence[Tensor | None], kept: Tensor | None
) -> list[Tensor | None]:
    """The guidance channel of each region, (1, 1, H, W) in [0, 1]; None if it covers the whole image.

    Args:
        regions: at most one of them without a mask.
        masks: the mask of each region, (1, 1, H, W) in [0, 1]; None for the one that gets what the others leave.
        kept: the protection mask, (1, 1, H, W) in [0, 1]: what it covers belongs to no region.

    Raises:
        PictureError: a region without any pixels.
    """
    given = [mask for mask in masks if mask is not None]
    if not given and kept is None:
        return [None] * len(regions)
    rest = torch.ones_like(given[0] if kept is None else kept)
    for mask in given:
        rest -= mask
    rest.clamp_(min=0)  # masks may overlap: their sum may be more than 1
    shares = [rest if mask is None else mask for mask in masks]
    guides = [share if kept is None else share * (1 - kept) for share in shares]
    for region, share, guide in zip(regions, shares, guides, strict=True):
        if not guide.any():
            raise PictureError(_empty_region(region, guide, is_protected=bool(share.any())))
    return list(guides)


def _empty_region(region: Region, guide: Tensor, *, is_protected: bool) -> str:
    """The message for a region without pixels: the mask that has to change is its own, or one that covers it."""
    if is_protected:
        remedy = "make the white area of the protection mask smaller"
    elif region.mask is None:
        remedy = "make the white areas of the masks smaller, or leave the style out"
    else:
        remedy = "make its white area larger"
    name = "the style without a mask" if region.mask is None else region.mask.name or "mask"
    return f"{name}: no pixels are left for it at {guide.shape[3]}x{guide.shape[2]}; {remedy}"


def layer_guides(guide: Tensor | None, names: Iterable[str]) -> dict[str, Tensor]:
    """The guidance channel at the resolution of each layer, (1, 1, h, w): the mean over the pixels of each position.

    The pools of the network halve the resolution and drop an odd last row or column; average pooling with the layer's
    stride does the same.
    """
    if guide is None:
        return {}
    return {name: F.avg_pool2d(guide, layers.min_edge([name])) for name in names}


def mask_values(mask: Picture) -> Tensor:
    """The weights of a mask, (1, H, W) in [0, 1]: the largest of its channels, times its alpha.

    So an area drawn in any pure color counts as white. The values are those of sRGB, not of linear light: mid-gray is
    a half, as editors show it. A mask of the values 0 and 1 of 255, as programs for segmentation write it, is scaled.
    """
    values = _painted(mask)
    largest = float(values.max())
    return values / largest if 0 < largest <= _ONE_LEVEL else values


def with_notes(mask: Picture) -> Picture:
    """The mask with notes on what its values may not mean to its author: colors, labels, or a dim white."""
    notes = []
    if bool((mask.tensor.amax(0) - mask.tensor.amin(0) > DIM).any()):
        notes.append("is a colored mask: the largest channel of a pixel counts, so pure red is white")
    largest = float(_painted(mask).max())
    if 0 < largest <= _ONE_LEVEL:
        notes.append("its values 0 and 1 of 255 are used as black and white")
    elif largest < DIM:
        notes.append(f"its largest value is {255 * largest:.3g} of 255, which counts as {largest:.2g} of white")
    return dataclasses.replace(mask, notes=(*mask.notes, *notes))


def _painted(mask: Picture) -> Tensor:
    """(1, H, W) in [0, 1]: the largest channel, times alpha."""
    values = mask.tensor.amax(0, keepdim=True)
    return values if mask.alpha is None else values * mask.alpha


def _digest(values: Tensor) -> bytes:
    """The SHA-256 of a tensor's values and shape."""
    return hashlib.sha256(f"{tuple(values.shape)}".encode() + values.numpy().tobytes()).digest()


def check_mask_shape(mask: Picture, content: Picture) -> None:
    """Validate that a mask has the aspect ratio of the content image.

    Raises:
        PictureError: a different aspect ratio.
    """
    if abs(math.log(mask.width * content.height / (mask.height * content.width))) > _ASPECT_TOLERANCE:
        raise PictureError(
            f"{mask.name or 'mask'}: its {mask.width}x{mask.height} pixels do not have the aspect ratio of the content "
            f"image, {content.width}x{content.height}; crop it to match"
        )
