"""Decodes image files into arrays of samples in sRGB.

Files are untrusted: the format is detected from the bytes, and an image that is too large is refused from its header,
before any pixel is decoded.
"""

import contextlib
import hashlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError, printable
from impasto.images import color_profile, metadata
from impasto.images.bands import Array
from impasto.images.file_type import Opener, opener_for
from impasto.images.samples import read_samples

_SILENCE = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """A decoded file: `color` (H, W, 3), sRGB, RGB order; `alpha` (H, W), None if all pixels are opaque.

    Both are uint8 in 0..255, uint16 in 0..65535 or float32 in [0, 1]. `notes` say what was converted or ignored.
    """

    color: Array
    alpha: Array | None
    sha256: str
    notes: tuple[str, ...]


def read_bytes(path: Path) -> bytes:
    """The contents of the file at `path`.

    Raises:
        PictureError: it does not exist, is no regular file, or cannot be read.
    """
    with _picture_errors(printable(path)):
        try:
            mode = os.stat(path).st_mode  # checked first: opening a named pipe would wait for a writer
            if not stat.S_ISREG(mode):
                what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
                raise PictureError(f"is {what}; give the name of an image file")
            return path.read_bytes()
        except FileNotFoundError as error:
            raise PictureError("does not exist; check the name") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PictureError(f"cannot be read ({reason}); check its name and permissions") from error


def decode(data: bytes, *, name: str, max_pixels: int) -> Decoded:
    """Decode the image file in `data`: upright, in sRGB, at the file's bit depth; error messages begin with `name`.

    Raises:
        PictureError: not an image, more than `max_pixels`, damaged, or samples that are no colors.
    """
    notes: list[str] = []
    with _picture_errors(name):
        opener = opener_for(data)
        with _silenced(libtiff=opener is TiffImageFile):
            image = _open(opener, data, max_pixels)
            color, alpha = read_samples(image, lambda: opener(io.BytesIO(data)), notes)
            color = color_profile.to_srgb(color, image, notes)
            orientation = metadata.orientation(image, notes)
            if _is_animated(image):
                notes.append("contains several images: only the first is used")
        if _is_deep_avif(image, data):
            notes.append("more than 8 bits per channel were read as 8")
    if alpha is not None:
        alpha = None if _is_opaque(alpha) else metadata.apply_orientation(alpha, orientation)
    color = metadata.apply_orientation(color, orientation)
    return Decoded(color, alpha, hashlib.sha256(data).hexdigest(), tuple(notes))


def embedded_text(data: bytes, *, name: str) -> str | None:
    """The text that was embedded in the image file in `data`, read without decoding the pixels.

    Raises:
        PictureError: not an image, or damaged.
    """
    with _picture_errors(name):
        opener = opener_for(data)
        with _silenced(libtiff=opener is TiffImageFile):
            return metadata.embedded_text(opener(io.BytesIO(data)))


@contextlib.contextmanager
def _picture_errors(name: str) -> Iterator[None]:
    """Translate every exception in the block into a PictureError whose message begins with `name`."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error.__cause__
    except MemoryError as error:
        raise PictureError(f"{name}: needs more memory than is available; make the image smaller") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: is too large ({error}); make the image smaller") from error
    except Exception as error:  # on a damaged file Pillow's parsers raise anything: IndexError, struct.error, ...
        reason = printable(str(error).strip()[:100]) or type(error).__name__
        raise PictureError(f"{name}: is truncated or damaged ({reason}); get another copy of it") from error


@contextlib.contextmanager
def _silenced(*, libtiff: bool) -> Iterator[None]:
    """Suppress Pillow's warnings and, with `libtiff`, what libtiff itself writes to file descriptor 2.

    Warning filters and descriptors belong to the process: without the lock, of two threads the last one to leave would
    restore the state that the other one had changed.
    """
    with _SILENCE, warnings.catch_warnings(), contextlib.ExitStack() as undo:
        warnings.simplefilter("ignore")
        if libtiff:
            with contextlib.suppress(OSError):  # a process without stderr
                stderr = os.dup(2)
                undo.callback(os.close, stderr)
                undo.callback(os.dup2, stderr, 2)
                with open(os.devnull, "wb") as devnull:
                    os.dup2(devnull.fileno(), 2)
        yield


def _open(opener: Opener, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The image with its header parsed and no pixel decoded, of at most `max_pixels`."""
    try:
        image = opener(io.BytesIO(data))
    except SyntaxError as error:
        if "unknown pixel mode" in str(error):
            raise PictureError("is a rare kind of TIFF; save it with 8 or 16 bits per channel, RGB or gray") from error
        raise
    width, height = image.size
    if width * height > max_pixels:
        raise PictureError(f"has {width} x {height} pixels, more than the {max_pixels} allowed; make it smaller")
    return image


def _is_animated(image: ImageFile.ImageFile) -> bool:
    with contextlib.suppress(Exception):  # damage after the first frame does not matter
        return bool(getattr(image, "is_animated", False))
    return False


def _is_deep_avif(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether an AVIF file has more than 8 bits per channel, which Pillow decodes to 8 without saying so.

    AV1 codec configuration box, "av1C": high_bitdepth is the second highest bit of its third byte (AV1-ISOBMFF 2.3.3).
    """
    box = data.find(b"av1C") if isinstance(image, AvifImageFile) else -1
    return box >= 0 and bool(int.from_bytes(data[box + 6 : box + 7], "big") & 0x40)


def _is_opaque(alpha: Array) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)
