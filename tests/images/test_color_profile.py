"""ICC profiles: colors are converted to sRGB, damaged profiles are ignored."""

import re
import struct
import zlib

import numpy as np
import pytest
import torch
from image_files import (
    DEEP,
    RGB,
    RGBA,
    RNG,
    chunk,
    cmyk_profile,
    deep_png,
    display_p3,
    gamma,
    icc,
    levels,
    png,
    saved,
    srgb_profile,
    xyz,
)
from PIL import Image

from impasto.images import oklab


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_an_srgb_profile_changes_nothing(read, mode):
    image = Image.fromarray(RGBA).convert(mode)
    plain, profiled = read(saved(image, "PNG")), read(saved(image, "PNG", icc_profile=srgb_profile()))
    assert torch.equal(plain.tensor, profiled.tensor)
    assert profiled.notes == ()


def test_a_16_bit_srgb_image_stays_at_16_bits(read):
    profile = chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))
    found = read(deep_png(DEEP[..., :3], profile))
    assert np.array_equal(levels(found.tensor, 65535), DEEP[..., :3])
    assert found.notes == ()


def test_a_wide_gamut_profile_is_converted(read):
    """The red of Display P3 lies outside sRGB: it becomes the purest red; white and alpha stay."""
    samples = np.array([[[255, 0, 0, 9], [255, 255, 255, 8], [180, 100, 100, 7]]], np.uint8)
    found = read(saved(Image.fromarray(samples), "PNG", icc_profile=display_p3()))
    red, white, rose = levels(found.tensor)[0]
    assert red.tolist() == [255, 0, 0]
    assert min(white) >= 254
    assert rose[0] > 185
    assert levels(found.alpha).ravel().tolist() == [9, 8, 7]
    lost = "33.3% of its pixels are outside the sRGB gamut and got the nearest colors"
    assert found.notes == (f"colors converted from Test space to sRGB; {lost}",)


def test_colors_outside_the_srgb_gamut_keep_hue_and_lightness(read):
    """Display P3 -> linear sRGB by CSS Color Module Level 4; what is lost is chroma, not hue and lightness."""
    corners = np.array(np.meshgrid([0, 77, 153, 255], [0, 77, 153, 255], [0, 77, 153, 255]), np.uint8).reshape(3, 1, -1)
    corners = corners[:, :, corners.max(0)[0] > 0]
    found = read(saved(Image.fromarray(corners.transpose(1, 2, 0).copy()), "PNG", icc_profile=display_p3()))
    light = (torch.from_numpy(corners).double() / 255) ** 2.2
    to_srgb = torch.tensor(
        [[1.22494018, -0.22494018, 0], [-0.04205695, 1.04205695, 0], [-0.01963755, -0.07863605, 1.09827360]]
    )
    wanted, got = oklab.from_linear(oklab.apply_matrix(to_srgb, light)), oklab.from_srgb(found.tensor.double())
    assert float((got[0] - wanted[0]).abs().max()) < 0.05
    chroma = wanted[1:].norm(dim=0)
    assert float((got[1:].norm(dim=0) - chroma).max()) < 0.01
    turned = torch.rad2deg(torch.acos(torch.cosine_similarity(got[1:], wanted[1:], dim=0).clamp(-1, 1)))
    assert float(turned[chroma > 0.05].max()) < 8
    assert re.search(r"; [1-9]\d\.\d% of its pixels are outside", found.notes[0])


def test_a_wide_gamut_profile_with_colors_inside_srgb_loses_none(read):
    pale = Image.fromarray(RNG.integers(100, 160, (20, 20, 3), dtype=np.uint8))
    assert read(saved(pale, "PNG", icc_profile=display_p3())).notes == ("colors converted from Test space to sRGB",)


def test_values_that_a_profile_maps_to_one_color_are_not_outside_the_gamut(read):
    """An extended-range profile: everything below 64 is black, everything from 192 on is white."""
    ramp = ((np.arange(256) - 64) / 128).clip(0, 1) ** 2.2
    curve = b"curv" + bytes(4) + struct.pack(">I256H", 256, *(ramp * 65535).astype(int))
    primaries = {b"rXYZ": xyz(0.4361, 0.2225, 0.0139), b"gXYZ": xyz(0.3851, 0.7169, 0.0971)}
    primaries[b"bXYZ"] = xyz(0.1431, 0.0606, 0.7141)
    profile = icc(b"RGB ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    found = read(saved(Image.fromarray(gray), "PNG", icc_profile=profile))
    assert found.notes == ("colors converted from Test space to sRGB",)
    assert levels(found.tensor)[3, -1].tolist() == [0, 0, 0]


def test_conversion_is_done_in_linear_light(read):
    """With gamma 1 the samples are light itself: 128 of 255 is 188 in sRGB."""
    linear = icc(b"GRAY", {b"kTRC": gamma(1)})
    for mode in ("L", "LA"):
        found = read(saved(Image.new(mode, (2, 2), 128 if mode == "L" else (128, 50)), "PNG", icc_profile=linear))
        assert np.abs(levels(found.tensor) - 188).max() <= 1
        assert "converted" in found.notes[0]


def test_a_profile_on_16_bit_samples_is_applied_at_8_bits(read):
    profile = chunk(b"iCCP", b"P3\0\0" + zlib.compress(display_p3()))
    deep = np.full((2, 2, 3), 128 * 257, np.uint16)
    found = read(deep_png(deep, profile))
    shallow = read(saved(Image.new("RGB", (2, 2), (128, 128, 128)), "PNG", icc_profile=display_p3()))
    assert torch.equal(found.tensor, shallow.tensor)
    assert "read as 8" in found.notes[0]


def test_cmyk_is_converted_by_its_profile(read):
    inks = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    paper = Image.new("CMYK", (1, 1), (0, 0, 0, 0))
    ink = read(saved(inks, "TIFF", icc_profile=cmyk_profile()))
    assert levels(ink.tensor).max() < 20
    assert levels(read(saved(paper, "TIFF", icc_profile=cmyk_profile())).tensor).min() > 235
    assert "converted" in ink.notes[0]


@pytest.mark.parametrize("broken", [b"junk" * 50, display_p3()[:200], display_p3()[:132] + bytes(400)])
def test_a_damaged_profile_is_ignored_and_noted(read, broken):
    found = read(saved(Image.fromarray(RGB), "PNG", icc_profile=broken))
    assert np.array_equal(levels(found.tensor), RGB)
    assert found.notes == ("its color profile is damaged: assumed sRGB",)


def test_a_profile_that_cannot_be_decompressed_is_noted(read):
    data = png(1, 1, 8, 2, [b"\1\2\3"], chunk(b"iCCP", b"x\0\0no deflate"))
    assert read(data).notes == ("its color profile is damaged: assumed sRGB",)


def test_a_profile_for_another_color_space_is_ignored_and_noted(read):
    found = read(saved(Image.fromarray(RGB), "PNG", icc_profile=cmyk_profile()))
    assert np.array_equal(levels(found.tensor), RGB)
    assert "another color space" in found.notes[0]
