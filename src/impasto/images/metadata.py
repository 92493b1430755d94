"""Metadata of image files: the EXIF orientation, and a text (the recipe) as PNG text chunk or EXIF user comment."""

import contextlib
import warnings
from typing import Any

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.images.bands import Array

# Exif 2.32 (CIPA DC-008): Orientation, the pointer from the TIFF directory to the Exif directory, and UserComment
ORIENTATION, EXIF_IFD, USER_COMMENT = 0x0112, 0x8769, 0x9286

KEYWORD = "impasto"
"""Keyword of the PNG text chunk (iTXt) that holds the recipe."""

_CHARSET = b"ASCII\0\0\0"  # Exif: the first eight bytes of UserComment name the encoding of the rest


def orientation(image: ImageFile.ImageFile, notes: list[str]) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright, also if the file has none. Damaged EXIF data are added to `notes`."""
    if isinstance(image, TiffImageFile):  # Pillow has applied it while decoding
        return 1
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            # parsed again: Pillow warns only the first time, which may have been when it opened the file
            Image.Exif().load(image.info.get("exif", b""))
            value = image.getexif().get(ORIENTATION, 1)
        except Exception:  # Pillow's parser may raise anything; the pixels are still good
            value = None
    if value is None or complaints:
        notes.append("its EXIF data are damaged: what could not be read was ignored")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def apply_orientation(samples: Array, value: int) -> Array:
    """A view of `samples` (H, W, ...) turned upright, for an EXIF orientation of 1 to 8.

    5 to 8 transpose; then rows and columns are reversed, as 1 to 4 do: 1 none, 2 columns, 3 both, 4 rows.
    """
    rows, columns = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(value - 1) % 4]
    return (samples.swapaxes(0, 1) if value >= 5 else samples)[::rows, ::columns]


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
