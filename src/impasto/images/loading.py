"""Makes a `Picture` of whatever a caller passes as an image, and reads the recipes in image files."""

import os
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto.arguments import is_path, no_image
from impasto.errors import RecipeError, prefix_errors, printable
from impasto.images.decoding import contents, reader
from impasto.images.decoding.contents import MAX_PIXELS, Limits
from impasto.images.picture import Picture, picture_of
from impasto.images.recipe import Recipe, from_json
from impasto.memory import memory_left
from impasto.torch_state import isolated

FileSource = str | os.PathLike[str] | bytes | BinaryIO
"""An image file: its path, its contents, or the file itself, open in binary mode."""

ImageSource = FileSource | Image.Image | NDArray[Any] | Tensor | Picture
"""An image: a `Picture`, an image file, an image of Pillow, or an array or tensor as `Picture.from_array` takes it."""


@isolated
def load(source: FileSource, *, name: str = "", max_pixels: int = MAX_PIXELS, memory: int | None = None) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file: upright, in sRGB, at the bit depth of the file.

    `notes` say what was converted or ignored: further frames of an animation, a color profile, damaged metadata.

    Args:
        source: the path of the file, its contents, or the file itself, open in binary mode, which is read from its
            beginning if it is seekable.
        name: of the picture, also in error messages; by default that of the file.
        max_pixels: the number of pixels that the image may have.
        memory: bytes that the process may take; by default most of what is available. Reading takes about 20 per pixel.

    Raises:
        PictureError: a file that does not exist, is no image, has too many pixels, or is damaged.
    """
    return _load(source, "image", Limits(max_pixels, memory_left(memory)), name)


@isolated
def as_picture(source: ImageSource, role: str, memory: int | None = None) -> Picture:
    """The picture that a caller passed as `role`; `memory` is the limit of `load`.

    Raises:
        PictureError: of another type, or an image that cannot be used; the message begins with `role` or a file name.
    """
    if isinstance(source, Picture):
        return source
    limits = Limits(MAX_PIXELS, memory_left(memory))
    if isinstance(source, Image.Image):
        return picture_of(reader.decode_image(source, name=role, limits=limits), "")
    if isinstance(source, np.ndarray | Tensor):
        with prefix_errors(role):
            return Picture.from_array(source)
    return _load(source, role, limits)


def is_image(value: object) -> TypeGuard[ImageSource]:
    """Whether a value is of a type that images are passed as."""
    return isinstance(value, Picture | Image.Image | np.ndarray | Tensor) or is_file(value)


def is_file(value: object) -> TypeGuard[FileSource]:
    """Whether a value is of a type that image files are passed as: a path, bytes or a file object."""
    return is_path(value) or isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")


def reusable(source: ImageSource) -> ImageSource:
    """The image, if it can be read twice; the contents of a file that is not seekable."""
    file = cast(BinaryIO, source)
    if not hasattr(source, "read") or file.seekable():
        return source
    return contents.read_file(file, name=_where(source, "image"), limits=Limits(MAX_PIXELS, None))


def read_recipe(source: ImageSource) -> dict[str, Any]:
    """The recipe in an image, see `load_recipe`. Untrusted: only known to be a JSON object of limited size.

    Raises:
        RecipeError: no recipe, or one that is damaged or too large.
        PictureError: not an image.
    """
    where = _where(source, "image")
    if isinstance(source, Picture) and source.recipe is not None:
        return dict(source.recipe)
    text = _embedded_text(source, where)
    if text is None:
        raise RecipeError(f"{where}: holds no recipe; give an image that impasto saved")
    return from_json(text, where)


def load_recipe(source: ImageSource) -> Recipe:
    """The recipe of an image that impasto made, validated.

    Args:
        source: a file that `Picture.save` wrote, as for `load`, also as opened by Pillow; or a result itself.

    Raises:
        RecipeError: no recipe, or one that is damaged or of another version.
        PictureError: not an image.
    """
    return Recipe.parse(read_recipe(source), _where(source, "image"))


def _load(source: FileSource, role: str, limits: Limits, name: str = "") -> Picture:
    where = printable(name) or _where(source, role)
    # passed on without a name, so that the bytes are freed before the tensor is allocated
    decoded = reader.decode(_contents(source, where, limits), name=where, limits=limits)
    return picture_of(decoded, name or os.path.basename(_path(source)))


def _embedded_text(source: ImageSource, where: str) -> str | None:
    """The text in the metadata of a file; that of an image of Pillow only if the image is as it was opened."""
    if isinstance(source, Image.Image):
        return reader.text_in_image(source)
    if isinstance(source, Picture | np.ndarray | Tensor):
        return None
    return reader.embedded_text(_contents(source, where, Limits(MAX_PIXELS, None)), name=where)


def _where(source: ImageSource, role: str) -> str:
    """What error messages begin with: the path of a file, the name of a picture, or `role`."""
    return printable(_path(source)) or role


def _path(source: object) -> str:
    """The path of a file, or the name of a picture; "" if it has none."""
    name = os.fspath(source) if is_path(source) else getattr(source, "name", "")
    return name if isinstance(name, str) else ""  # a file without a name may have the number of its descriptor


def _contents(source: FileSource, where: str, limits: Limits) -> bytes:
    """The bytes of an image file.

    Raises:
        PictureError: it cannot be read, or is none.
    """
    if is_path(source):
        return contents.read_bytes(Path(source), limits, name=where)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not hasattr(source, "read"):
        raise no_image(source, where)
    return contents.read_file(cast(BinaryIO, source), name=where, limits=limits)
