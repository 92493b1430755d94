"""The types a caller may pass as an image, converted to `Picture` and `Style`, and their entries in a recipe."""

import os
from collections.abc import Sequence

from impasto.arguments import is_path, no_image, path_of_image
from impasto.errors import SettingError
from impasto.images.loading import load
from impasto.images.masks import AlphaMask, Style
from impasto.images.picture import Picture
from impasto.images.recipe import ALPHA, InputRecord, StyleRecord

ImageSource = str | os.PathLike[str] | Picture
"""An image: a `Picture`, or the path of its file."""

StyleSource = ImageSource | Style
"""A style image; as a `Style` with its weight and style mask."""


def as_picture(source: ImageSource, role: str, memory: int | None = None) -> Picture:
    """The picture that a caller passed as `role`, loaded if it is a path; `memory` is the limit of `load`.

    Raises:
        PictureError: neither a picture nor a path, or a file that cannot be read as an image.
    """
    return source if isinstance(source, Picture) else load(path_of_image(source, role), memory=memory)


def image_list(images: Sequence[ImageSource]) -> Sequence[ImageSource]:
    """The images, if they are a sequence.

    Raises:
        PictureError: they are not.
    """
    if isinstance(images, str | bytes) or not isinstance(images, Sequence):
        raise no_image(images, "images", "give a list of images")
    return images


def as_list(styles: StyleSource | Sequence[StyleSource]) -> Sequence[StyleSource]:
    """The style images as a sequence; a single one may be passed without a list.

    Raises:
        PictureError: neither a style image nor a sequence of them.
    """
    if isinstance(styles, Picture | Style) or is_path(styles):
        return [styles]
    if isinstance(styles, bytes) or not isinstance(styles, Sequence):
        raise no_image(styles, "styles", "give a style image, or a list of them")
    for number, style in enumerate(styles, 1):
        if not (isinstance(style, Picture | Style) or is_path(style)):
            raise no_image(style, f"style {number}")
    return styles


def some_styles(
    styles: StyleSource | Sequence[StyleSource], remedy: str = "give a style image"
) -> Sequence[StyleSource]:
    """`as_list`, which has at least one style image.

    Raises:
        SettingError: there is none.
    """
    if not (listed := as_list(styles)):
        raise SettingError(f"styles: got none; {remedy}")
    return listed


def as_styles(styles: StyleSource | Sequence[StyleSource], memory: int | None = None) -> list[Style]:
    """The style images, loaded, each with its weight and mask; `memory` is the limit of `load`."""
    return [
        style if isinstance(style, Style) else Style(as_picture(style, f"style {number}", memory))
        for number, style in enumerate(as_list(styles), 1)
    ]


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
