"""Color transfer: palettes matched, lightness and chroma of two images combined."""

import pytest
import torch
from torch import Tensor

from impasto import Picture
from impasto.errors import PictureError, SettingError
from impasto.images import bands, oklab
from impasto.images.color_transfer import (
    apply_color_setting,
    match_palette,
    mix_palettes,
    palette,
    transfer_luminance,
)


def cloud(mean: tuple[float, ...], spread: tuple[float, ...], seed: int = 0) -> Tensor:
    """(3, 40, 50): colors around `mean`, spread along mixed directions, all within [0, 1]."""
    noise = torch.randn(3, 2000, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).clamp(-2.5, 2.5)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64))[0]
    colors = turn @ (noise * torch.tensor(spread).double()[:, None]) + torch.tensor(mean).double()[:, None]
    assert 0 <= float(colors.min()) <= float(colors.max()) <= 1
    return colors.float().reshape(3, 40, 50)


WARM = cloud((0.6, 0.5, 0.4), (0.08, 0.04, 0.02))
COLD = cloud((0.4, 0.5, 0.55), (0.03, 0.06, 0.09), 5)
GRAY = (0.3 + 0.2 * torch.rand(1, 30, 30, generator=torch.Generator().manual_seed(3))).expand(3, -1, -1).contiguous()


def of(tensor: Tensor, alpha: Tensor | None = None) -> Picture:
    return Picture(tensor, alpha)


def matched(tensor: Tensor, other: Tensor) -> Tensor:
    return match_palette(tensor, palette(of(tensor)), palette(of(other)))


# -- palettes --


def test_a_palette_is_mean_and_covariance():
    colors = WARM.flatten(1).double()
    found = palette(of(WARM))
    assert torch.allclose(found.mean, colors.mean(1))
    assert torch.allclose(found.covariance, torch.cov(colors, correction=0))


def test_band_size_does_not_change_the_result(monkeypatch):
    whole = palette(of(WARM)), matched(WARM, COLD), transfer_luminance(WARM, COLD)
    monkeypatch.setattr(bands, "_BAND_PIXELS", 150)
    banded = palette(of(WARM)), matched(WARM, COLD), transfer_luminance(WARM, COLD)
    assert torch.allclose(whole[0].covariance, banded[0].covariance, rtol=1e-9)
    for before, after in zip(whole[1:], banded[1:], strict=True):
        assert torch.allclose(before, after, atol=1e-6)


def test_transparent_pixels_are_not_in_the_palette():
    alpha = torch.ones(1, 40, 50)
    alpha[:, 20:] = 0
    hidden = torch.cat([WARM[:, :20], torch.rand(3, 20, 50)], 1)
    found, wanted = palette(of(hidden, alpha)), palette(of(WARM[:, :20].contiguous()))
    assert torch.allclose(found.mean, wanted.mean)
    assert torch.allclose(found.covariance, wanted.covariance)
    nothing = palette(of(WARM, torch.zeros(1, 40, 50)))
    assert torch.equal(nothing.mean, palette(of(WARM)).mean)


def test_mixed_palettes_are_those_of_the_images_side_by_side_in_equal_shares():
    both = palette(of(torch.cat([WARM, COLD], 2)))
    twice = torch.cat([COLD, COLD], 1)  # larger, and of the same share
    found = mix_palettes([palette(of(WARM)), palette(of(twice))])
    assert torch.allclose(found.mean, both.mean)
    assert torch.allclose(found.covariance, both.covariance)


# -- matching a palette --


def test_the_palette_becomes_the_target():
    found, wanted = palette(of(matched(WARM, COLD))), palette(of(COLD))
    assert torch.allclose(found.mean, wanted.mean, atol=2e-3)  # a few colors are outside the gamut
    assert torch.allclose(found.covariance, wanted.covariance, atol=2e-4)


def test_its_own_palette_changes_nothing():
    assert torch.allclose(matched(WARM, WARM), WARM, atol=1e-5)


def test_matching_back_restores_the_image():
    assert torch.allclose(matched(matched(WARM, COLD), WARM), WARM, atol=0.02)


def test_the_map_is_linear_symmetric_and_positive():
    """As the optimal transport map between normal distributions is: it does not rotate or mirror colors."""
    before, after = (each.flatten(1).double() for each in (WARM, matched(WARM, COLD)))
    before, after = (each - each.mean(1, keepdim=True) for each in (before, after))
    transport = torch.linalg.lstsq(before.T, after.T).solution.T
    assert torch.allclose(transport, transport.T, atol=0.02)
    assert float(torch.linalg.eigvalsh(transport).min()) > 0


def test_a_gray_target_gives_gray_and_a_plain_one_its_color():
    gray = matched(WARM, GRAY)
    assert float((gray.amax(0) - gray.amin(0)).max()) < 1e-4
    assert float(gray.std()) == pytest.approx(float(GRAY.std()), rel=0.05)
    plain = torch.tensor([0.3, 0.6, 0.2])[:, None, None].expand(3, 5, 5).contiguous()
    assert torch.allclose(matched(WARM, plain), plain[:, :1, :1], atol=1e-4)


def test_a_gray_image_gets_colors_on_a_line_and_a_plain_one_the_mean():
    tinted = matched(GRAY, COLD)
    centered = tinted.flatten(1) - tinted.flatten(1).mean(1, keepdim=True)
    spread = torch.linalg.svdvals(centered)
    assert float(spread[1]) < 0.02 * float(spread[0])  # as before, colors lie on one line
    assert torch.allclose(tinted.mean((1, 2)), COLD.mean((1, 2)), atol=1e-3)
    plain = torch.full((3, 5, 5), 0.3)
    assert torch.allclose(matched(plain, COLD), COLD.mean((1, 2))[:, None, None].expand(3, 5, 5), atol=1e-4)
    assert torch.allclose(matched(torch.full((3, 1, 1), 0.7), plain), torch.full((3, 1, 1), 0.3), atol=1e-4)


def test_rounding_noise_of_an_almost_gray_image_is_not_amplified():
    noisy = (GRAY + torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(1)) / 255).clamp(0, 1)
    wide = torch.rand(3, 30, 30, generator=torch.Generator().manual_seed(2))
    found = matched(noisy, wide)
    chroma = found - found.mean(0, keepdim=True)
    assert float(chroma.std()) < 0.03  # five times a level; the wide palette has 0.2


@pytest.mark.parametrize("seed", range(3))
def test_the_result_is_always_in_range(seed):
    generator = torch.Generator().manual_seed(seed)
    hard = torch.rand(3, 20, 20, generator=generator).round()
    for one, other in ((hard, WARM), (WARM, hard), (torch.zeros(3, 2, 2), hard), (hard, torch.ones(3, 2, 2))):
        Picture(matched(one, other))  # which rejects values outside [0, 1]


# -- lightness and chroma --


def test_luminance_has_the_lightness_of_one_and_the_chroma_of_the_other():
    found = oklab.from_srgb(transfer_luminance(WARM, COLD))
    assert torch.allclose(found[0], oklab.from_srgb(WARM)[0], atol=1e-3)
    assert torch.allclose(found[1:], oklab.from_srgb(COLD)[1:], atol=2e-3)  # all of these colors are in the gamut


def test_luminance_of_an_image_with_itself_is_the_image():
    cube = torch.rand(3, 20, 20)
    assert torch.allclose(transfer_luminance(cube, cube), cube, atol=2e-5)


def test_luminance_with_a_gray_image_is_gray_and_white_stays_white():
    found = transfer_luminance(WARM[:, :30, :30].contiguous(), GRAY)
    assert float((found.amax(0) - found.amin(0)).max()) < 1e-3
    for value in (0.0, 1.0):
        end = torch.full((3, 5, 5), value)
        assert torch.allclose(transfer_luminance(end, WARM[:, :5, :5]), end, atol=1e-3)


def test_lightness_and_chroma_of_two_sizes_are_refused():
    with pytest.raises(PictureError, match=r"got \(3, 40, 50\) and \(3, 30, 30\); resize one"):
        transfer_luminance(WARM, GRAY)


# -- the setting --


def test_only_the_image_that_the_setting_names_is_changed():
    content_image, style_image = (
        Picture(WARM, name="photo.png", sha256="1" * 64),
        Picture(COLD, torch.rand(1, 40, 50), "p.png"),
    )
    for color in ("style", "luminance"):
        content, (style,) = apply_color_setting(content_image, [style_image], color)
        assert content is content_image
        assert style is style_image
    content, (style,) = apply_color_setting(content_image, [style_image], "content")
    assert content is content_image
    assert torch.allclose(palette(style).mean, palette(content_image).mean, atol=5e-3)
    assert (style.name, style.alpha is style_image.alpha) == ("p.png", True)
    content, (style,) = apply_color_setting(content_image, [style_image], "match")
    assert style is style_image
    assert torch.allclose(palette(content).mean, palette(style_image).mean, atol=5e-3)
    assert (content.name, content.sha256) == (content_image.name, content_image.sha256)


def test_several_style_images_are_matched_one_by_one_and_are_a_target_together():
    content_image, style_images = of(WARM), [of(COLD), of(GRAY)]
    _, styles = apply_color_setting(content_image, style_images, "content")
    for style in styles:
        assert torch.allclose(palette(style).mean, palette(content_image).mean, atol=5e-3)
    content, _ = apply_color_setting(content_image, style_images, "match")
    assert torch.allclose(palette(content).mean, mix_palettes([palette(each) for each in style_images]).mean, atol=5e-3)


@pytest.mark.parametrize("color", ["content", "luminance", "match"])
def test_a_texture_has_no_content_image_to_take_colors_from(color):
    with pytest.raises(SettingError, match=f"color: got '{color}' but a texture has no content image"):
        apply_color_setting(None, [of(WARM)], color)


@pytest.mark.parametrize("color", ["content", "match"])
def test_a_reconstruction_has_no_style_image_to_match(color):
    with pytest.raises(SettingError, match=f"color: got '{color}' but a reconstruction has no style image"):
        apply_color_setting(of(WARM), [], color)
