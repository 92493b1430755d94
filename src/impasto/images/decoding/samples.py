"""Reads the samples of an image that Pillow has opened, at the bit depth of the file.

Pillow decodes 16-bit gray, but reduces 16-bit RGB to its high bytes. The full depth is recovered here: decoded once in
the true byte order and once in the swapped one, Pillow yields the high and the low bytes.
"""

import sys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError
from impasto.images.arrays import TOLERANCE
from impasto.images.bands import Array, row_bands
from impasto.images.tiff import Tag


def read_samples(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile], notes: list[str]
) -> tuple[Array, Array | None]:
    """Color (H, W, C), C = 1 gray, 3 RGB or 4 CMYK, and alpha (H, W) or None.

    Both are uint8 in 0..255, uint16 in 0..65535 or float32 in [0, 1]; what is read at less than the file's depth is
    added to `notes`. `reopen` opens the same file again.

    Raises:
        PictureError: values out of range, or a layout that Pillow decodes wrongly.
    """
    rawmode = _rawmode(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _read_single_channel(image, rawmode)
    if rawmode.startswith("LA;16"):
        return _read_gray_alpha_16bit(image)
    if ";16" in rawmode and not isinstance(image, BmpImageFile):  # there, 16 bits per pixel
        if rawmode.startswith(("RGB;16", "RGBA;16", "RGBX;16")) and _tag(image, Tag.PLANAR_CONFIGURATION) != 2:
            return _read_rgb_16bit(image, reopen)
        notes.append("16 bits per channel were read as 8")
    elif _tag(image, Tag.BITS_PER_SAMPLE) == 16:  # Pillow would take every byte for a sample
        raise PictureError("is a 16-bit TIFF with separate planes; save it with interleaved channels")
    return _read_8bit(image, rawmode)


def read_decoded(image: Image.Image) -> tuple[Array, Array | None]:
    """The same of an image that Pillow has decoded, without the file that it comes from.

    Raises:
        PictureError: values out of range.
    """
    is_deep = image.mode == "F" or image.mode.startswith("I")
    return _read_single_channel(image, "") if is_deep else _read_8bit(image, "")


def peak(samples: Array) -> int:
    """The largest value that samples of this dtype have: 255, 65535 or 1."""
    return int(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else 1


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Pillow's name of the sample layout in the file, "" if unknown: `RGB;16B` is 16 bits, big-endian."""
    args = image.tile[0].args if image.tile else None
    first = args[0] if isinstance(args, tuple) else args
    return first if isinstance(first, str) else ""


def _tag(image: Image.Image, tag: Tag) -> int | None:
    """The (first) value of a TIFF tag; None if there is none, or in another format."""
    value = image.tag_v2.get(tag) if isinstance(image, TiffImageFile) else None
    return value[0] if isinstance(value, tuple) else value


def _read_rgb_16bit(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]
) -> tuple[Array, Array | None]:
    """RGB, uint16, and alpha; the low bytes are read from a second decoding of the file."""
    samples = _read_low_bytes(reopen())
    image.load()
    for rows in row_bands(*samples.shape[:2]):
        samples[rows] |= _crop_rows(image, rows).astype(np.uint16) << 8
    if samples.shape[2] == 4:
        return samples[..., :3], samples[..., 3]
    return samples, _color_key_alpha(samples, image)


def _read_low_bytes(image: ImageFile.ImageFile) -> Array:
    """(H, W, 3 or 4) uint16, the low byte of every sample.

    `image` is freed when this function returns: decoded, it takes 4 bytes per pixel.
    """
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}  # little, big, native
    for index, tile in enumerate(image.tile):
        rawmode, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        other = str(rawmode)[:-1] + swapped[str(rawmode)[-1]]
        image.tile[index] = tile._replace(args=(other, *rest) if rest else other)
    image.load()
    low = np.empty((image.height, image.width, len(image.getbands())), np.uint16)
    for rows in row_bands(*low.shape[:2]):
        low[rows] = _crop_rows(image, rows)
    return low


def _crop_rows(image: Image.Image, rows: slice) -> Array:
    return np.asarray(image.crop((0, rows.start, image.width, rows.stop)))


def _read_gray_alpha_16bit(image: ImageFile.ImageFile) -> tuple[Array, Array]:
    """16-bit gray and alpha of a PNG: decoded as 8-bit RGBA, the bytes come as they are in the file, big-endian."""
    image.tile[0] = image.tile[0]._replace(args="RGBA")
    samples = np.ascontiguousarray(np.asarray(image)).view(">u2").astype(np.uint16)
    return samples[..., :1], samples[..., 1]


def _read_single_channel(image: Image.Image, rawmode: str) -> tuple[Array, Array | None]:
    """Gray of 12 bits or more, or of floating point."""
    peak = 1 if image.mode == "F" else 4095 if rawmode == "I;12" else 65535
    gray = np.asarray(image)[..., None]
    low, high = gray.min(), gray.max()
    if not np.isfinite([low, high]).all():
        raise PictureError("has values that are infinite or not a number; replace them by numbers from 0 to 1")
    tolerance = TOLERANCE if image.mode == "F" else 0
    if low < -tolerance or high > peak + tolerance:
        raise PictureError(f"has values from {low:g} to {high:g}; scale them to lie between 0 and {peak}")
    if image.mode == "F":
        gray = gray.clip(0, 1)
    if _tag(image, Tag.PHOTOMETRIC_INTERPRETATION) == 0:  # WhiteIsZero: Pillow inverts only 8 bits
        gray = peak - gray
    alpha = _color_key_alpha(gray, image)
    if peak == 4095:
        gray = gray.astype(np.uint32) * 65535 // 4095
    return gray.astype(np.float32 if peak == 1 else np.uint16, copy=False), alpha


def _color_key_alpha(color: Array, image: Image.Image) -> Array | None:
    """(H, W) uint16 alpha of a file that declares one color as transparent (PNG: the tRNS chunk), None for others."""
    key = image.info.get("transparency")
    return None if key is None else np.where((color == key).all(-1), np.uint16(0), np.uint16(65535))


def _read_8bit(image: Image.Image, rawmode: str) -> tuple[Array, Array | None]:
    gray = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        # Pillow scales samples of 1, 2 and 4 bits to 8, but not always the transparent value that tRNS gives
        scale = {"1": 255, "L;2": 85, "L;4": 17}.get(rawmode)
        if scale is not None:
            image.info["transparency"] = min(255, image.info["transparency"] * scale)
        samples = np.asarray(image.convert("LA" if gray else "RGBA"))
        return samples[..., :-1], samples[..., -1]
    mode = "L" if gray else "CMYK" if image.mode == "CMYK" else "RGB"
    image.load()
    return np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode))), None  # convert copies
