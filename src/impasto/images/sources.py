"""What a caller hands in: a picture or the file that it is in, by itself or as a painting among others."""

import os
from collections.abc import Sequence

from impasto.images.masks import ALPHA, Style
from impasto.images.picture import Picture, load
from impasto.images.recipe import Input, StyleInput

Source = str | os.PathLike[str] | Picture
"""A picture, or the file that it is in."""

Painting = Source | Style
"""A painting, with its weight in a mixture and its mask if need be."""


def picture(source: Source) -> Picture:
    """The picture, read if need be."""
    return source if isinstance(source, Picture) else load(source)


def several(styles: Painting | Sequence[Painting]) -> Sequence[Painting]:
    """The paintings, of which one may be given by itself."""
    return [styles] if isinstance(styles, str | os.PathLike | Picture | Style) else styles


def paintings(styles: Painting | Sequence[Painting]) -> list[Style]:
    """The paintings, read, each with its weight and mask."""
    return [each if isinstance(each, Style) else Style(picture(each)) for each in several(styles)]


def named(source: Picture) -> Input:
    """How a recipe calls a picture."""
    return Input(name=source.name, sha256=source.sha256)


def style_named(style: Style) -> StyleInput:
    """How a recipe calls a painting."""
    mask = style.mask
    return StyleInput(
        name=style.picture.name,
        sha256=style.picture.sha256,
        weight=style.weight,
        mask=None if mask is None else ALPHA if mask.name == ALPHA else named(mask),
    )
