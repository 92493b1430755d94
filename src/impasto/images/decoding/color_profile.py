"""Converts decoded samples to sRGB by the ICC profile that the file embeds."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from impasto.errors import printable
from impasto.images.bands import Array, row_bands
from impasto.images.decoding.samples import peak

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # Pillow's mode by number of channels
_CHANNELS = {"GRAY": 1, "RGB ": 3, "CMYK": 4}  # by ICC.1 color space signature

_GAMUT_TOLERANCE = 5
"""CIE76 color difference from which a color counts as outside the sRGB gamut; rounding to 8 bits makes up to 3."""


def to_srgb(color: Array, profile: bytes | None, notes: list[str]) -> Array:
    """`color` (H, W, 1, 3 or 4) as sRGB (H, W, 3), unchanged if it is sRGB already; conversions are added to `notes`.

    Args:
        profile: the ICC profile of `color`; without one, gray and RGB are taken as sRGB.
    """
    if profile is not None:
        converted = _apply_profile(color, profile, notes)
        if converted is not None:
            return converted
    if color.shape[2] == 4:
        notes.append("CMYK without a usable profile: converted by formula, colors may be off")
        return _map_bands(color, lambda band: band.convert("RGB"))
    return np.broadcast_to(color, (*color.shape[:2], 3)) if color.shape[2] == 1 else color


def _apply_profile(color: Array, icc: bytes, notes: list[str]) -> Array | None:
    """`color` converted from its profile to sRGB; None if the profile is sRGB itself, or not usable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space
        if space == "RGB " and color.shape[2] == 1:
            color = np.broadcast_to(color, (*color.shape[:2], 3))
        if _CHANNELS.get(space) != color.shape[2]:
            notes.append("its color profile is for another color space: ignored")
            return None
        if color.shape[2] < 4 and _is_srgb(profile, color.shape[2]):
            return None
        if color.dtype != np.uint8:
            notes.append("more than 8 bits per channel were read as 8 to apply the color profile")
        converted = _convert(color, profile)
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("its color profile is damaged: assumed sRGB")
        return None
    name = printable((profile.profile.profile_description or "a profile without a name").strip()[:60])
    share = _out_of_gamut(color, converted, profile) if space == "RGB " else 0
    clipped = f"; {share:.1%} of its pixels are outside the sRGB gamut and got the nearest colors"
    notes.append(f"colors converted from {name} to sRGB{clipped if share >= 0.001 else ''}")
    return converted


def _out_of_gamut(color: Array, converted: Array, profile: ImageCms.ImageCmsProfile) -> float:
    """The share of pixels outside the sRGB gamut: their colors before and after the conversion differ."""
    lab = ImageCms.createProfile("LAB")
    before, after = (_transform(space, lab, "RGB", "LAB") for space in (profile, ImageCms.createProfile("sRGB")))
    count = 0
    for rows in row_bands(*color.shape[:2]):
        difference = _lab(before, color[rows]) - _lab(after, converted[rows])
        count += int((np.square(difference).sum(2) > _GAMUT_TOLERANCE**2).sum())
    return count / converted[..., 0].size


def _lab(transform: ImageCms.ImageCmsTransform, color: Array) -> Array:
    """(H, W, 3) float32: CIE L*, a*, b* of `color`."""
    samples = np.asarray(transform.apply(_as_image(_to_uint8(color))))
    # Pillow's LAB: L* scaled to 255; a* and b* as signed bytes
    return np.dstack([samples[..., 0] * np.float32(100 / 255), samples[..., 1:].view(np.int8).astype(np.float32)])


def _is_srgb(profile: ImageCms.ImageCmsProfile, channels: int) -> bool:
    """Whether `profile` changes no color of a grid by more than one level of 255; its name is not trusted."""
    levels = np.arange(256, dtype=np.uint8) if channels == 1 else np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * channels), axis=-1).reshape(1, -1, channels)
    return int(np.abs(_convert(grid, profile).astype(int) - grid).max()) <= 1


def _convert(color: Array, profile: ImageCms.ImageCmsProfile) -> Array:
    transform = _transform(profile, ImageCms.createProfile("sRGB"), _MODES[color.shape[2]], "RGB")
    return _map_bands(color, transform.apply)


def _transform(source: Any, target: Any, mode: str, target_mode: str) -> ImageCms.ImageCmsTransform:
    """A transform between two profiles: relative colorimetric, with black point compensation."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, target_mode, intent, flags)


def _map_bands(color: Array, convert: Callable[[Image.Image], Image.Image]) -> Array:
    """(H, W, 3) uint8: `color` (H, W, C) in 8 bits through the pixelwise function `convert`."""
    converted = np.empty((*color.shape[:2], 3), np.uint8)
    for rows in row_bands(*color.shape[:2]):
        converted[rows] = np.asarray(convert(_as_image(_to_uint8(color[rows]))))
    return converted


def _to_uint8(color: Array) -> Array:
    """`color` in 8 bits per channel: Pillow's interface to LittleCMS takes no more."""
    if color.dtype == np.uint8:
        return color
    levels: Array = np.rint(color.astype(np.float32) * (255 / peak(color)))
    return levels.astype(np.uint8)


def _as_image(color: Array) -> Image.Image:
    height, width, channels = color.shape
    return Image.frombytes(_MODES[channels], (width, height), color.tobytes())
