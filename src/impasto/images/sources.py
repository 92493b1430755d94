"""The types a caller may pass as an image, converted to `Picture` and `Style`, and their entries in a recipe."""

import os
from collections.abc import Sequence

from impasto.images.masks import ALPHA, AlphaMask, Style
from impasto.images.picture import Picture, load
from impasto.images.recipe import InputRecord, StyleRecord

ImageSource = str | os.PathLike[str] | Picture
"""An image: a `Picture`, or the path of its file."""

StyleSource = ImageSource | Style
"""A style image; as a `Style` with its weight and style mask."""


def as_picture(source: ImageSource) -> Picture:
    """The picture, loaded if a path was given."""
    return source if isinstance(source, Picture) else load(source)


def as_list(styles: StyleSource | Sequence[StyleSource]) -> Sequence[StyleSource]:
    """The style images as a sequence; a single one may be passed without a list."""
    return [styles] if isinstance(styles, str | os.PathLike | Picture | Style) else styles


def as_styles(styles: StyleSource | Sequence[StyleSource]) -> list[Style]:
    """The style images, loaded, each with its weight and mask."""
    return [style if isinstance(style, Style) else Style(as_picture(style)) for style in as_list(styles)]


def input_record(picture: Picture) -> InputRecord:
    """The entry of a picture in a recipe."""
    return InputRecord(name=picture.name, sha256=picture.sha256)


def style_record(style: Style) -> StyleRecord:
    """The entry of a style image in a recipe."""
    mask = style.mask
    return StyleRecord(
        name=style.picture.name,
        sha256=style.picture.sha256,
        weight=style.weight,
        mask=None if mask is None else ALPHA if isinstance(mask, AlphaMask) else input_record(mask),
    )
