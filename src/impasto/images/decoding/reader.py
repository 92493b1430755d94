"""Decodes image files, and images that Pillow has decoded, into arrays of samples in sRGB.

Files are untrusted: the format is detected from the first bytes, and an image that is too large is refused from its
header, before any pixel is decoded.
"""

import contextlib
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError
from impasto.images.bands import Array
from impasto.images.decoding import cicp, color_profile, png, tiff
from impasto.images.decoding.contents import Limits, picture_errors
from impasto.images.decoding.exif import Exif, apply_orientation, read_exif
from impasto.images.decoding.file_type import HEAD, Format, format_of
from impasto.images.decoding.icc import matrix_profile
from impasto.images.decoding.quiet import libtiff_complaints, no_warnings
from impasto.images.decoding.samples import peak, read_decoded, read_samples
from impasto.images.metadata import embedded_text as read_text

_MEMORY_PER_PIXEL = 20
"""Bytes at the peak: Pillow's image, its samples as an array, a float32 tensor; measured, 15 to 19."""
_ALWAYS_READ = 100_000_000
"""Bytes that reading an image may take whatever the limit is: 5 million pixels."""


@dataclass(frozen=True)
class Decoded:
    """A decoded image: `color` (H, W, 3), sRGB, RGB order; `alpha` (H, W), None if all pixels are opaque.

    Both are uint8 in 0..255, uint16 in 0..65535 or float32 in [0, 1]. `sha256` is that of the file, "" if there is
    none. `notes` say what was converted or ignored.
    """

    color: Array
    alpha: Array | None
    sha256: str
    notes: tuple[str, ...]


def decode(data: bytes, *, name: str, limits: Limits) -> Decoded:
    """Decode the image file in `data`: upright, in sRGB, at the file's bit depth; error messages begin with `name`.

    Raises:
        PictureError: not an image, larger than `limits`, damaged, or samples that are no colors.
    """
    notes: list[str] = []
    with picture_errors(name):
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
        profile = _color_profile(container.profile, image, exif, notes)
        color = color_profile.to_srgb(color, profile, notes)
        return _upright(color, alpha, exif.orientation, sha256, notes)


def decode_image(image: Image.Image, *, name: str, limits: Limits) -> Decoded:
    """The current frame of an image of Pillow, as `decode` reads a file; error messages begin with `name`.

    Raises:
        PictureError: not an image of Pillow, larger than `limits`, damaged, or samples that are no colors.
    """
    if not isinstance(image, Image.Image):
        raise PictureError(f"{name}: got {type(image).__name__}; give an image of Pillow")
    notes: list[str] = []
    with picture_errors(name):
        _check_size(*image.size, limits)
        with no_warnings():
            plain = image.copy()  # decoded, and no file any more: Pillow has turned a TIFF upright
        color, alpha = read_decoded(plain)
        exif = read_exif(plain, notes)
        profile = _color_profile(png.profile_in_info(plain.info, notes), plain, exif, notes)
        color = color_profile.to_srgb(color, profile, notes)
        return _upright(color, alpha, exif.orientation, "", notes)


def _upright(color: Array, alpha: Array | None, orientation: int, sha256: str, notes: Sequence[str]) -> Decoded:
    if alpha is not None:
        alpha = None if alpha.min() == peak(alpha) else apply_orientation(alpha, orientation)
    return Decoded(apply_orientation(color, orientation), alpha, sha256, tuple(notes))


def embedded_text(data: bytes, *, name: str) -> str | None:
    """The text that was embedded in the image file in `data`, read without decoding the pixels.

    Raises:
        PictureError: not an image, or damaged.
    """
    with picture_errors(name):
        file_format = format_of(data[:HEAD])
        container = file_format.examine(data, [])
        with no_warnings():
            return read_text(file_format.open(io.BytesIO(container.data)))


def text_in_image(image: Image.Image) -> str | None:
    """The text that was embedded in the file that Pillow has opened; None for an image that is not a file's."""
    with no_warnings():
        return read_text(image) if isinstance(image, ImageFile.ImageFile) else None


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


def _color_profile(declared: bytes | None, image: Image.Image, exif: Exif, notes: list[str]) -> bytes | None:
    """The ICC profile of the samples; None if they are in sRGB, as far as the file says.

    Args:
        declared: by the container, see `Container.profile`.
    """
    if image.mode == "LAB":  # Pillow converts it to sRGB
        return None
    if declared is not None:
        return declared or None
    if "icc_profile" in image.info:
        return image.info["icc_profile"] or b""
    if exif.adobe_rgb:
        return matrix_profile("Adobe RGB", cicp.ADOBE_RGB, cicp.ADOBE_RGB_GAMMA)
    if exif.uncalibrated:
        notes.append("its EXIF data do not name its color space: assumed sRGB")
    return None
