"""The types a caller may pass as images and styles, converted to `Picture` and `Style`; their entries in a recipe."""

from collections.abc import Sequence
from typing import cast

from impasto.arguments import no_image
from impasto.errors import SettingError
from impasto.images.loading import ImageSource, as_picture, is_image
from impasto.images.masks import AlphaMask, Style
from impasto.images.picture import Picture
from impasto.images.recipe import ALPHA, InputRecord, StyleRecord

__all__ = ["ImageSource", "StyleSource", "as_list", "as_picture", "as_styles", "image_list", "input_record"]
__all__ += ["optional_picture", "some_styles", "style_record"]

StyleSource = ImageSource | Style
"""A style image; as a `Style` with its weight and style mask."""


def optional_picture(source: ImageSource | None, role: str, memory: int | None = None) -> Picture | None:
    """`as_picture`; None for an image that was not given."""
    return None if source is None else as_picture(source, role, memory)


def image_list(images: Sequence[ImageSource]) -> Sequence[ImageSource]:
    """The images, if they are a sequence.

    Raises:
        PictureError: they are not.
    """
    if is_image(images) or not isinstance(images, Sequence):
        raise no_image(images, "images", "give a list of images")
    return images


def as_list(styles: StyleSource | Sequence[StyleSource]) -> Sequence[StyleSource]:
    """The style images as a sequence; a single one may be passed without a list.

    Raises:
        PictureError: neither a style image nor a sequence of them.
    """
    if isinstance(styles, Style) or is_image(styles):
        return [styles]
    if isinstance(styles, bytes) or not isinstance(styles, Sequence):
        raise no_image(styles, "styles", "give a style image, or a list of them")
    for number, style in enumerate(styles, 1):
        if not (isinstance(style, Style) or is_image(style)):
            raise no_image(style, f"style {number}")
    return cast(Sequence[StyleSource], styles)


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
