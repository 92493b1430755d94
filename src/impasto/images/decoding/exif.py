"""What Exif data (CIPA DC-008) say about the pixels: orientation and color space."""

from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from impasto.images.bands import Array
from impasto.images.decoding.quiet import no_warnings
from impasto.images.metadata import EXIF_IFD, ORIENTATION

_COLOR_SPACE, _INTEROPERABILITY_IFD, _INTEROPERABILITY_INDEX = 0xA001, 0xA005, 1
_UNCALIBRATED, _ADOBE_RGB = 0xFFFF, 2
"""Values of ColorSpace. Exif has no 2, but cameras write it; with 0xFFFF the interoperability index tells (R03)."""


@dataclass(frozen=True)
class Exif:
    """Orientation, 1 (upright) to 8; and whether the samples are Adobe RGB, or in a color space that is not named."""

    orientation: int = 1
    adobe_rgb: bool = False
    uncalibrated: bool = False


def read_exif(image: Image.Image, notes: list[str]) -> Exif:
    """The Exif data of an image of Pillow; damaged ones are added to `notes`."""
    tags: dict[int, Any] = {}
    with no_warnings() as complaints:
        try:
            # parsed again: Pillow warned when it opened the file
            Image.Exif().load(image.info.get("exif", b""))
            exif = image.getexif()
            tags |= exif
            tags |= exif.get_ifd(EXIF_IFD)
            tags |= exif.get_ifd(_INTEROPERABILITY_IFD) if _INTEROPERABILITY_IFD in tags else {}
            damaged = bool(complaints)
        except Exception:  # Pillow's parser may raise anything; the pixels are still good
            damaged = True
    if damaged:
        notes.append("its EXIF data are damaged: what could not be read was ignored")
    orientation, space = tags.get(ORIENTATION), tags.get(_COLOR_SPACE)
    if not isinstance(orientation, int) or not 1 <= orientation <= 8 or isinstance(image, TiffImageFile):
        orientation = 1  # Pillow turns a TIFF upright while it decodes
    adobe = space == _ADOBE_RGB or (space == _UNCALIBRATED and str(tags.get(_INTEROPERABILITY_INDEX))[:3] == "R03")
    return Exif(orientation, adobe, space == _UNCALIBRATED and not adobe)


def apply_orientation(samples: Array, value: int) -> Array:
    """A view of `samples` (H, W, ...) turned upright, for an EXIF orientation of 1 to 8.

    5 to 8 transpose; then rows and columns are reversed, as 1 to 4 do: 1 none, 2 columns, 3 both, 4 rows.
    """
    rows, columns = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(value - 1) % 4]
    return (samples.swapaxes(0, 1) if value >= 5 else samples)[::rows, ::columns]
