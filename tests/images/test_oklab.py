"""sRGB, linear RGB and Oklab: published values, round trips, and gamut mapping."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.images import oklab

XYZ_TO_LINEAR = torch.tensor(  # IEC 61966-2-1, white point D65
    [
        [3.2404541621141045, -1.5371385127977166, -0.4985314095560161],
        [-0.9692660305051868, 1.8760108454466942, 0.0415560175303498],
        [0.0556434309591147, -0.2040259135167538, 1.0572251882231791],
    ],
    dtype=torch.float64,
)
CUBE = torch.cartesian_prod(*[torch.linspace(0, 1, 17, dtype=torch.float64)] * 3).T


def hue(lab: torch.Tensor) -> torch.Tensor:
    return torch.atan2(lab[2], lab[1])


@pytest.mark.parametrize(
    ("xyz", "lab"),
    [
        ((0.950, 1.000, 1.089), (1.000, 0.000, 0.000)),
        ((1.000, 0.000, 0.000), (0.450, 1.236, -0.019)),
        ((0.000, 1.000, 0.000), (0.922, -0.671, 0.263)),
        ((0.000, 0.000, 1.000), (0.153, -1.415, -0.449)),
    ],
)
def test_oklab_is_the_table_that_ottosson_published(xyz, lab):
    light = XYZ_TO_LINEAR @ torch.tensor(xyz, dtype=torch.float64)
    assert oklab.from_linear(light).tolist() == pytest.approx(lab, abs=2e-3)


@pytest.mark.parametrize(
    ("srgb", "lab"),  # CSS Color Module Level 4
    [
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0.627955, 0.224863, 0.125846)),
        ((0, 1, 0), (0.866440, -0.233888, 0.179498)),
        ((0, 0, 1), (0.452014, -0.032457, -0.311528)),
        ((0.5, 0.5, 0.5), (0.598181, 0, 0)),
    ],
)
def test_the_primaries_of_srgb_lie_where_css_has_them(srgb, lab):
    assert oklab.from_srgb(torch.tensor(srgb, dtype=torch.float64)).tolist() == pytest.approx(lab, abs=1e-5)


@pytest.mark.parametrize(
    ("level", "light"), [(0, 0), (0.04045, 0.0031308), (0.5, 0.21404114), (0.75, 0.52252155), (1, 1)]
)
def test_linear_rgb_is_that_of_the_standard(level, light):
    assert float(oklab.srgb_to_linear(torch.tensor(level, dtype=torch.float64))) == pytest.approx(light, abs=1e-7)
    assert float(oklab.linear_to_srgb(torch.tensor(light, dtype=torch.float64))) == pytest.approx(level, abs=1e-6)


def test_every_8_bit_level_survives_the_round_trip():
    levels = torch.arange(256) / 255
    assert torch.equal((oklab.linear_to_srgb(oklab.srgb_to_linear(levels)) * 255).round(), torch.arange(256.0))
    for dtype, error in ((torch.float64, 1e-7), (torch.float32, 2e-5)):
        cube = CUBE.to(dtype)
        assert float((oklab.to_srgb(oklab.from_srgb(cube)) - cube).abs().max()) < error
    outside = torch.tensor([[1.3], [-0.2], [0.4]], dtype=torch.float64)
    assert torch.allclose(oklab.to_linear(oklab.from_linear(outside)), outside, atol=1e-12)


def test_any_shape_is_converted_pixelwise():
    picture = torch.rand(3, 4, 5)
    assert torch.allclose(oklab.from_srgb(picture)[:, 2, 3], oklab.from_srgb(picture[:, 2, 3]), atol=1e-6)


@given(st.floats(0.05, 0.98), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
@settings(max_examples=200)
def test_a_color_outside_the_gamut_keeps_lightness_and_hue(lightness, a, b):
    wanted = torch.tensor([lightness, a, b], dtype=torch.float64)
    srgb = oklab.to_srgb(wanted[:, None])[:, 0]
    assert 0 <= float(srgb.min()) <= float(srgb.max()) <= 1
    found = oklab.from_srgb(srgb)
    chroma, before = (float(each[1:].norm()) for each in (found, wanted))
    assert float(found[0]) == pytest.approx(lightness, abs=1e-3)
    assert chroma <= before + 1e-3
    if chroma > 0.02:
        assert float((hue(found) - hue(wanted)).cos()) > 0.999
    if chroma < before - 1e-3:  # as much chroma as the gamut has: a channel is at its limit
        light = oklab.srgb_to_linear(srgb)
        assert float(torch.minimum(light, 1 - light).min()) < 1e-3


def test_lightness_out_of_range_is_white_or_black():
    beyond = torch.tensor([[1.4, -0.3, 1.0, 0.0], [0.0, 0.1, 0.2, -0.2], [0.1, 0.0, 0.0, 0.1]])
    assert torch.allclose(oklab.to_srgb(beyond), torch.tensor([1.0, 0, 1, 0]).expand(3, 4), atol=1e-4)


def test_gamut_mapping_changes_only_colors_outside_the_gamut():
    colors = torch.tensor([[0.2, 1.2, 1.0], [0.3, 0.5, 0.0], [0.9, -0.1, 1.0]])
    found = oklab.map_to_gamut(colors)
    assert torch.equal(found[:, [0, 2]], colors[:, [0, 2]])
    wide, narrow = (oklab.from_srgb(each[:, 1].double()) for each in (colors, found))
    assert float(narrow[0]) == pytest.approx(float(wide[0]), abs=1e-4)
    assert float(hue(narrow)) == pytest.approx(float(hue(wide)), abs=1e-3)
    clipped = oklab.from_srgb(colors[:, 1].clamp(0, 1).double())
    assert abs(float(clipped[0] - wide[0])) > 0.03  # what clipping the channels would have done
