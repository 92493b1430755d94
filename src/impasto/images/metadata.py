"""A text (the recipe) in the metadata of image files: a PNG text chunk, or the EXIF user comment."""

import contextlib
from typing import Any

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

# Exif 2.32 (CIPA DC-008): Orientation, the pointer from the TIFF directory to the Exif directory, and UserComment
ORIENTATION, EXIF_IFD, USER_COMMENT = 0x0112, 0x8769, 0x9286

KEYWORD = "impasto"
"""Keyword of the PNG text chunk (iTXt) that holds the recipe."""

_CHARSET = b"ASCII\0\0\0"  # Exif: the first eight bytes of UserComment name the encoding of the rest


def embedded_text(image: ImageFile.ImageFile) -> str | None:
    """The text that `save` embedded: of the PNG text chunk, or of the EXIF user comment in other formats."""
    value = image.info.get(KEYWORD) if isinstance(image, PngImageFile) else _user_comment(image)
    if isinstance(value, bytes) and value.startswith(_CHARSET):
        return value[len(_CHARSET) :].decode("ascii", "replace")
    return value if isinstance(value, str) else None


def encode_comment(text: str) -> bytes:
    """ASCII text as the value of the EXIF tag UserComment."""
    return _CHARSET + text.encode("ascii")


def exif_with_comment(text: str) -> bytes:
    """An EXIF block that holds nothing but a user comment."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = encode_comment(text)
    return exif.tobytes()


def _user_comment(image: ImageFile.ImageFile) -> Any:
    with contextlib.suppress(Exception):  # Pillow's parser may raise anything: damaged EXIF data have no comment
        return image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT)
    return None
