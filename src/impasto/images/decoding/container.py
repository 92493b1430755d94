"""What is read from a file's container format before its pixels are decoded."""

from collections.abc import Callable
from dataclasses import dataclass

from impasto.errors import PictureError


def nothing_to_check() -> None:
    """The check of a container whose decoder detects incomplete data by itself."""


@dataclass(frozen=True)
class Container:
    """An image file as it is passed to the decoder.

    Attributes:
        data: the file, without what the decoder must not see.
        profile: the ICC profile of the samples; empty if they are declared as sRGB; None if the container does not
            declare a color space, or leaves it to the decoder.
        check: called before decoding; raises PictureError if the pixel data are incomplete.
        several: whether the file holds more than one image, as far as the container says.
    """

    data: bytes
    profile: bytes | None = None
    check: Callable[[], None] = nothing_to_check
    several: bool = False


def truncated(missing: float) -> PictureError:
    """The error for a file that lacks the share `missing`, in 0..1, of its pixel data."""
    share = f"{missing:.0%}" if missing >= 0.01 else "less than 1%"
    return PictureError(f"is truncated or damaged ({share} of its image data are missing); get another copy of it")
