"""Which part of the picture is painted in which manner: masks -> guides."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import PictureError, SettingError
from impasto.images.picture import Picture
from impasto.settings import layers

ALPHA: Final = "alpha"
"""The name of a mask that is the photograph's own alpha."""

NEARLY = 0.02
"""By how much the shape of a mask may differ from the photograph's, as a share."""


@dataclass(frozen=True, eq=False)
class Style:
    """A painting, how much of it there is in a mixture, and where.

    Attributes:
        weight: relative to the others in the same place.
        mask: white where the picture is painted so, gray where it is in part, over the whole photograph; without one
            it is what the masks of others leave.

    Raises:
        SettingError: a weight that is not a number above 0.
    """

    picture: Picture
    weight: float = 1.0
    mask: Picture | None = None

    def __post_init__(self) -> None:
        """The check at the door."""
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise SettingError(f"{self.picture.name or 'style'}: got the weight {self.weight:g}; give one above 0")


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture with one manner: its mask, and the styles mixed there: number -> share of 1."""

    mask: Picture | None
    shares: dict[int, float]


def by_role(
    content: Picture | None, styles: Sequence[Style], init: Picture | None, keep: Picture | None = None
) -> dict[str, Picture]:
    """All pictures that go into a run, by what they are: content, style 1, mask 1, ..."""
    found = {"content": content, "init": init, "keep": keep}
    for number, style in enumerate(styles, 1):
        found |= {f"style {number}": style.picture, f"mask {number}": style.mask}
    return {role: each for role, each in found.items() if each is not None}


def alpha_mask(photo: Picture) -> Picture:
    """The photograph's alpha as a mask.

    Raises:
        PictureError: it has none.
    """
    if photo.alpha is None:
        raise PictureError(f"{photo.name or 'content'}: has no alpha that could be a mask; give a picture for --mask")
    return Picture(photo.alpha.expand(3, -1, -1), name=ALPHA)


def group_regions(styles: Sequence[Style]) -> list[Region]:
    """The styles by their masks, those with the same one together."""
    together: dict[str, list[int]] = {}
    for number, style in enumerate(styles):
        mask = style.mask
        together.setdefault("" if mask is None else mask.sha256 or str(id(mask)), []).append(number)
    found = []
    for numbers in together.values():
        total = sum(styles[number].weight for number in numbers)
        shares = {number: styles[number].weight / total for number in numbers}
        found.append(Region(styles[numbers[0]].mask, shares))
    return found


def region_guides(parts: Sequence[Region], levels: Sequence[Tensor | None], kept: Tensor | None) -> list[Tensor | None]:
    """For every region its share in each pixel, (1, 1, H, W) in [0, 1]; None: all of the picture.

    Args:
        levels: how white each region's mask is, (1, 1, H, W); None: it is what the others leave.
        kept: how much is in none of them.

    Raises:
        PictureError: a region in which there is nothing.
    """
    masked = [each for each in levels if each is not None]
    if not masked and kept is None:
        return [None] * len(parts)
    rest = torch.ones_like(masked[0] if kept is None else kept)
    for each in masked:
        rest -= each
    rest.clamp_(min=0)
    free = 1 if kept is None else 1 - kept
    found = [(rest if each is None else each) * free for each in levels]
    for part, guide in zip(parts, found, strict=True):
        if not guide.any():
            name = (part.mask and part.mask.name) or "the painting without a mask"
            size = f"{guide.shape[3]}x{guide.shape[2]}"
            raise PictureError(f"{name}: there is no place left for it at {size} pixels; paint some white")
    return list(found)


def layer_guides(guide: Tensor | None, wanted: Iterable[str]) -> dict[str, Tensor]:
    """For every layer the region's share in each position, (1, 1, h, w): the mean over the position's pixels."""
    if guide is None:
        return {}
    return {name: F.avg_pool2d(guide, layers.min_edge([name])) for name in wanted}


def mask_levels(mask: Picture) -> Tensor:
    """How white a mask is, where it can be seen: (1, H, W) in [0, 1]."""
    white = mask.tensor.mean(0, keepdim=True)
    return white if mask.alpha is None else white * mask.alpha


def check_mask_shape(mask: Picture, photo: Picture) -> None:
    """Refuse a mask that does not lie over the photograph.

    Raises:
        PictureError: it is of another shape.
    """
    if abs(math.log(mask.width * photo.height / (mask.height * photo.width))) > NEARLY:
        raise PictureError(
            f"{mask.name or 'mask'}: its {mask.width}x{mask.height} pixels do not have the shape of the photograph's "
            f"{photo.width}x{photo.height}; cut it alike"
        )
