"""Decodes image files into arrays of samples in sRGB.

Files are untrusted: the format is detected from the first bytes, and an image that is too large is refused from its
header, before any pixel is decoded.
"""

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError, printable
from impasto.images.bands import Array
from impasto.images.decoding import cicp, color_profile, tiff
from impasto.images.decoding.container import Container
from impasto.images.decoding.exif import Exif, apply_orientation, read_exif
from impasto.images.decoding.file_type import HEAD, Format, format_of
from impasto.images.decoding.icc import matrix_profile
from impasto.images.decoding.quiet import libtiff_complaints, no_warnings
from impasto.images.decoding.samples import peak, read_samples
from impasto.images.metadata import embedded_text as read_text

_MAX_BYTES_PER_PIXEL = 16
"""Of a file without compression: four channels of 32 bits."""
_MEMORY_PER_PIXEL = 20
"""Bytes at the peak: Pillow's image, its samples as an array, a float32 tensor; measured, 15 to 19."""
_ALWAYS_READ = 100_000_000
"""Bytes that reading an image may take whatever the limit is: 5 million pixels."""
_MAX_METADATA = 2**28
"""Bytes of a file beyond its pixels: metadata, further frames."""


@dataclass(frozen=True)
class Decoded:
    """A decoded file: `color` (H, W, 3), sRGB, RGB order; `alpha` (H, W), None if all pixels are opaque.

    Both are uint8 in 0..255, uint16 in 0..65535 or float32 in [0, 1]. `notes` say what was converted or ignored.
    """

    color: Array
    alpha: Array | None
    sha256: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Limits:
    """How large an image may be: its pixels, and the bytes of memory that reading it may take; None: any number."""

    pixels: int
    memory: int | None


def read_bytes(path: Path, limits: Limits) -> bytes:
    """The contents of the image file at `path`.

    Raises:
        PictureError: it does not exist, is no regular file, cannot be read, is no image, or is longer than a file of
            `limits.pixels` can be.
    """
    with _picture_errors(printable(path)):
        try:
            state = os.stat(path)  # checked first: opening a named pipe would wait for a writer
            if not stat.S_ISREG(state.st_mode):
                what = "a folder" if stat.S_ISDIR(state.st_mode) else "not a regular file"
                raise PictureError(f"is {what}; give the name of an image file")
            with path.open("rb") as file:
                format_of(file.read(HEAD))
                limit = _MAX_BYTES_PER_PIXEL * limits.pixels + _MAX_METADATA
                if state.st_size > limit:
                    raise PictureError(
                        f"has {state.st_size / 1e9:.1f} GB, more than {limit / 1e9:.1f}; make it smaller"
                    )
                file.seek(0)
                return file.read(limit)
        except FileNotFoundError as error:
            raise PictureError("does not exist; check the name") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PictureError(f"cannot be read ({reason}); check its name and permissions") from error


def decode(data: bytes, *, name: str, limits: Limits) -> Decoded:
    """Decode the image file in `data`: upright, in sRGB, at the file's bit depth; error messages begin with `name`.

    Raises:
        PictureError: not an image, larger than `limits`, damaged, or samples that are no colors.
    """
    notes: list[str] = []
    with _picture_errors(name):
        file_format, sha256 = format_of(data[:HEAD]), hashlib.sha256(data).hexdigest()
        container = file_format.examine(data, notes)
        reopen = partial(_open, file_format, container.data, limits)
        image = reopen()
        container.check()
        with _tiff_errors(image, notes):
            color, alpha = read_samples(image, reopen, notes)
        exif = read_exif(image, notes)  # of a PNG Pillow reads it after the pixels
        if container.several or _is_animated(image):
            notes.append("contains several images: only the first is used")
        profile = _color_profile(container, image, exif, notes)
        color = color_profile.to_srgb(color, profile, notes)
    if alpha is not None:
        alpha = None if alpha.min() == peak(alpha) else apply_orientation(alpha, exif.orientation)
    return Decoded(apply_orientation(color, exif.orientation), alpha, sha256, tuple(notes))


def embedded_text(data: bytes, *, name: str) -> str | None:
    """The text that was embedded in the image file in `data`, read without decoding the pixels.

    Raises:
        PictureError: not an image, or damaged.
    """
    with _picture_errors(name):
        file_format = format_of(data[:HEAD])
        container = file_format.examine(data, [])
        with no_warnings():
            return read_text(file_format.open(io.BytesIO(container.data)))


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


def _open(file_format: Format, data: bytes, limits: Limits) -> ImageFile.ImageFile:
    """The image with its header parsed and no pixel decoded, within `limits`."""
    with no_warnings():
        try:
            image = file_format.open(io.BytesIO(data))
        except SyntaxError as error:
            if "unknown pixel mode" in str(error):
                raise PictureError(
                    "is a rare kind of TIFF; save it with 8 or 16 bits per channel, RGB or gray"
                ) from error
            raise
        _check_size(*image.size, limits)
        if isinstance(image, TiffImageFile):  # what would warn while the pixels are decoded
            image.load_prepare()
            image.getexif()
            _is_animated(image)
        return image


def _check_size(width: int, height: int, limits: Limits) -> None:
    size = f"has {width} x {height} pixels"
    if width * height > limits.pixels:
        raise PictureError(f"{size}, more than the {limits.pixels} allowed; make it smaller")
    needed = width * height * _MEMORY_PER_PIXEL
    if limits.memory is not None and needed > max(limits.memory, _ALWAYS_READ):
        raise PictureError(
            f"{size}, which take {needed / 1e9:.1f} GB of memory to read; {max(limits.memory, 0) / 1e9:.1f} GB are "
            "left; make it smaller, or raise the memory limit"
        )


def _is_animated(image: ImageFile.ImageFile) -> bool:
    with contextlib.suppress(Exception):  # damage after the first frame does not matter
        return bool(getattr(image, "is_animated", False))
    return False


@contextlib.contextmanager
def _tiff_errors(image: ImageFile.ImageFile, notes: list[str]) -> Iterator[None]:
    """Refuse a TIFF whose codec is missing; add to `notes` what libtiff's codecs report about the pixels in the block.

    For other formats the block is executed as it is.
    """
    if not isinstance(image, TiffImageFile):
        yield
        return
    with libtiff_complaints() as complaints:
        try:
            yield
        except OSError as error:
            compression = image.tag_v2.get(tiff.COMPRESSION)
            if compression in tiff.OPTIONAL_COMPRESSIONS and not complaints.count:  # no codec was there to complain
                raise tiff.unsupported_compression(compression) from error
            raise
    if complaints.count:
        notes.append("some of its data are damaged: parts of the image may be wrong")


def _color_profile(container: Container, image: ImageFile.ImageFile, exif: Exif, notes: list[str]) -> bytes | None:
    """The ICC profile of the samples; None if they are in sRGB, as far as the file says."""
    if image.mode == "LAB":  # Pillow converts it to sRGB
        return None
    if container.profile is not None:
        return container.profile or None
    if "icc_profile" in image.info:
        return image.info["icc_profile"] or b""
    if exif.adobe_rgb:
        return matrix_profile("Adobe RGB", cicp.ADOBE_RGB, cicp.ADOBE_RGB_GAMMA)
    if exif.uncalibrated:
        notes.append("its EXIF data do not name its color space: assumed sRGB")
    return None
