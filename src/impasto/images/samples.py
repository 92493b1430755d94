"""An image that Pillow has opened into its samples: at the depth of the file, then in sRGB."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError, printable

Array = NDArray[Any]

BITS, PHOTOMETRIC, PLANAR = 0x0102, 0x0106, 0x011C  # tags of TIFF
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # of Pillow, by channels
_ASTRAY = 8  # levels that a color is off on the way to sRGB and back if sRGB has it not; rounding makes it 2
_BAND = 2**18  # pixels that are worked on at a time: a few MB


def samples(
    image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile], notes: list[str]
) -> tuple[Array, Array | None]:
    """Color (H, W, 1 gray, 3 RGB or 4 CMYK) and alpha (H, W) or None.

    Each is uint8 from 0 to 255, uint16 to 65535 or float32 to 1, as deep as the file where Pillow lets us.

    Raises:
        PictureError: values outside that range, or a layout that Pillow misreads.
    """
    rawmode = _rawmode(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _single(image, rawmode)
    if rawmode.startswith("LA;16"):
        return _deep_gray(image)
    if ";16" in rawmode:
        if rawmode.startswith(("RGB;16", "RGBA;16", "RGBX;16")) and _tag(image, PLANAR) != 2:
            return _deep_color(image, reopen)
        notes.append("16 bits a channel read as 8")
    elif _tag(image, BITS) == 16:  # Pillow would take each byte for a sample
        raise PictureError("is a TIFF of 16 bits in separate planes; save it with its channels interleaved")
    return _eight_bits(image, rawmode)


def band_height(height: int, width: int) -> int:
    """Rows of a band: a part of a picture so small that working on it takes no memory worth mention."""
    return min(height, max(1, _BAND // width))


def bands(height: int, width: int) -> Iterator[slice]:
    """The rows of each band, from the top down; the last may have fewer."""
    rows = band_height(height, width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _rawmode(image: ImageFile.ImageFile) -> str:
    """How the samples lie in the file, in Pillow's words, if it says: `RGB;16B` is 16 bits, big end first."""
    args = image.tile[0].args if image.tile else None
    first = args[0] if isinstance(args, tuple) else args
    return first if isinstance(first, str) else ""


def _tag(image: ImageFile.ImageFile, number: int) -> int | None:
    value = image.tag_v2.get(number) if isinstance(image, TiffImageFile) else None
    return value[0] if isinstance(value, tuple) else value


def _deep_color(image: ImageFile.ImageFile, reopen: Callable[[], ImageFile.ImageFile]) -> tuple[Array, Array | None]:
    """Pillow keeps the high byte of 16 bits. Told the other byte order, it keeps the low byte: two passes give both."""
    both = _low_bytes(reopen())
    image.load()
    for rows in bands(*both.shape[:2]):
        both[rows] |= _rows(image, rows).astype(np.uint16) << 8
    if both.shape[2] == 4:
        return both[..., :3], both[..., 3]
    return both, _keyed(both, image)


def _low_bytes(image: ImageFile.ImageFile) -> Array:
    """(H, W, 3 or 4) uint16; `image` ends with this function: as loaded it takes 4 bytes a pixel."""
    other = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    for index, tile in enumerate(image.tile):
        mode, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        swapped = str(mode)[:-1] + other[str(mode)[-1]]
        image.tile[index] = tile._replace(args=(swapped, *rest) if rest else swapped)
    image.load()
    low = np.empty((image.height, image.width, len(image.getbands())), np.uint16)
    for rows in bands(*low.shape[:2]):
        low[rows] = _rows(image, rows)
    return low


def _rows(image: Image.Image, rows: slice) -> Array:
    return np.asarray(image.crop((0, rows.start, image.width, rows.stop)))


def _deep_gray(image: ImageFile.ImageFile) -> tuple[Array, Array]:
    """16-bit gray and alpha of a PNG: read as four channels of 8 bits, the bytes come as they lie in the file."""
    image.tile[0] = image.tile[0]._replace(args="RGBA")
    both = np.ascontiguousarray(np.asarray(image)).view(">u2").astype(np.uint16)
    return both[..., :1], both[..., 1]


def _single(image: ImageFile.ImageFile, rawmode: str) -> tuple[Array, Array | None]:
    """One channel of 12 bits or more, or of floating point."""
    peak = 1 if image.mode == "F" else 4095 if rawmode == "I;12" else 65535
    gray = np.asarray(image)[..., None]
    low, high = gray.min(), gray.max()
    if not np.isfinite([low, high]).all():
        raise PictureError("has values that are infinite or not a number; replace them by numbers from 0 to 1")
    if low < 0 or high > peak:
        raise PictureError(f"has values from {low:g} to {high:g}; scale them to lie between 0 and {peak}")
    if _tag(image, PHOTOMETRIC) == 0:  # white is zero: Pillow turns only 8 bits round
        gray = peak - gray
    alpha = _keyed(gray, image)
    if peak == 4095:
        gray = gray.astype(np.uint32) * 65535 // 4095
    return gray.astype(np.float32 if peak == 1 else np.uint16, copy=False), alpha


def _keyed(color: Array, image: Image.Image) -> Array | None:
    """Alpha of a file that names one color as transparent."""
    key = image.info.get("transparency")
    return None if key is None else np.where((color == key).all(-1), np.uint16(0), np.uint16(65535))


def _eight_bits(image: Image.Image, rawmode: str) -> tuple[Array, Array | None]:
    gray = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        stretch = {"1": 255, "L;2": 85, "L;4": 17}.get(rawmode)
        if (
            stretch is not None
        ):  # Pillow stretches such samples to 8 bits, and may forget to stretch the transparent one
            image.info["transparency"] = min(255, image.info["transparency"] * stretch)
        both = np.asarray(image.convert("LA" if gray else "RGBA"))
        return both[..., :-1], both[..., -1]
    mode = "L" if gray else "CMYK" if image.mode == "CMYK" else "RGB"
    image.load()
    return np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode))), None  # convert copies


def in_srgb(color: Array, image: Image.Image, notes: list[str]) -> Array:
    """`color` (H, W, 1, 3 or 4) as sRGB (H, W, 3): exactly as it was where no profile says anything else."""
    if image.mode != "LAB" and "icc_profile" in image.info:  # Pillow has converted Lab, which needs no profile
        converted = _by_profile(color, image.info["icc_profile"], notes)
        if converted is not None:
            return converted
    if color.shape[2] == 4:
        notes.append("CMYK without a usable profile: converted by formula, colors may be off")
        return _by_bands(color, lambda part: part.convert("RGB"))
    return np.broadcast_to(color, (*color.shape[:2], 3)) if color.shape[2] == 1 else color


def _by_profile(color: Array, icc: bytes | None, notes: list[str]) -> Array | None:
    """`color` taken from its profile to sRGB; None if the profile is sRGB itself, or does not work."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
        space = profile.profile.xcolor_space
        if space == "RGB " and color.shape[2] == 1:
            color = np.broadcast_to(color, (*color.shape[:2], 3))
        if {"GRAY": 1, "RGB ": 3, "CMYK": 4}.get(space) != color.shape[2]:
            notes.append("its color profile is for another kind of color: ignored")
            return None
        if color.shape[2] < 4 and _is_srgb(profile, color.shape[2]):
            return None
        if color.dtype != np.uint8:
            notes.append("more than 8 bits a channel read as 8 to apply the color profile")
        converted = _converted(color, profile)
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("its color profile is damaged: taken as sRGB")
        return None
    name = printable((profile.profile.profile_description or "a profile without a name").strip()[:60])
    share = _beyond(color, converted, profile) if space == "RGB " else 0
    lost = f"; {share:.1%} of its pixels lie beyond and were given the nearest colors" if share >= 0.001 else ""
    notes.append(f"colors converted from {name} to sRGB{lost}")
    return converted


def _beyond(color: Array, converted: Array, profile: ImageCms.ImageCmsProfile) -> float:
    """The share of pixels of colors that sRGB has not: the way back leads elsewhere. 0 where there is no way back."""
    try:
        back = _transform(ImageCms.createProfile("sRGB"), profile, "RGB")
    except ImageCms.PyCMSError:
        return 0
    count = 0
    for rows in bands(*color.shape[:2]):
        returned = np.asarray(back.apply(_as_image(converted[rows])), np.int16)
        count += int((np.abs(returned - _to_eight_bits(color[rows])) > _ASTRAY).any(2).sum())
    return count / converted[..., 0].size


def _is_srgb(profile: ImageCms.ImageCmsProfile, channels: int) -> bool:
    """Whether `profile` moves no color of a grid by more than one level of 255: its name could say anything."""
    levels = np.arange(256, dtype=np.uint8) if channels == 1 else np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
    return int(np.abs(_converted(grid, profile).astype(int) - grid).max()) <= 1


def _converted(color: Array, profile: ImageCms.ImageCmsProfile) -> Array:
    transform = _transform(profile, ImageCms.createProfile("sRGB"), _MODES[color.shape[2]])
    return _by_bands(color, transform.apply)


def _transform(source: Any, goal: Any, mode: str) -> ImageCms.ImageCmsTransform:
    """From one profile to another, to RGB."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, goal, mode, "RGB", intent, flags)


def _by_bands(color: Array, convert: Callable[[Image.Image], Image.Image]) -> Array:
    """(H, W, 3) uint8: `color` (H, W, C) at 8 bits through `convert`, which looks at each pixel alone."""
    converted = np.empty((*color.shape[:2], 3), np.uint8)
    for rows in bands(*color.shape[:2]):
        converted[rows] = np.asarray(convert(_as_image(_to_eight_bits(color[rows]))))
    return converted


def _to_eight_bits(color: Array) -> Array:
    """Color profiles are applied by LittleCMS through Pillow, which hands it 8 bits only."""
    if color.dtype == np.uint8:
        return color
    peak = 65535 if color.dtype == np.uint16 else 1
    levels: Array = np.rint(color.astype(np.float32) * (255 / peak))
    return levels.astype(np.uint8)


def _as_image(color: Array) -> Image.Image:
    height, width, channels = color.shape
    return Image.frombytes(_MODES[channels], (width, height), color.tobytes())
