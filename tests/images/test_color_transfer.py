"""Whose colors a picture has: palettes moved, lightness and chroma of two pictures."""

import pytest
import torch
from torch import Tensor

from impasto import Picture
from impasto.errors import PictureError, SettingError
from impasto.images import oklab, samples
from impasto.images.color_transfer import luminance, match, mixed, moved, palette


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


def recolored(tensor: Tensor, other: Tensor) -> Tensor:
    return match(tensor, palette(of(tensor)), palette(of(other)))


# -- palettes --


def test_a_palette_is_mean_and_covariance():
    colors = WARM.flatten(1).double()
    found = palette(of(WARM))
    assert torch.allclose(found.mean, colors.mean(1))
    assert torch.allclose(found.covariance, torch.cov(colors, correction=0))


def test_bands_change_nothing_in_a_palette_and_in_what_is_made_by_it(monkeypatch):
    whole = palette(of(WARM)), recolored(WARM, COLD), luminance(WARM, COLD)
    monkeypatch.setattr(samples, "_BAND", 150)
    banded = palette(of(WARM)), recolored(WARM, COLD), luminance(WARM, COLD)
    assert torch.allclose(whole[0].covariance, banded[0].covariance, rtol=1e-9)
    for before, after in zip(whole[1:], banded[1:], strict=True):
        assert torch.allclose(before, after, atol=1e-6)


def test_what_cannot_be_seen_is_not_in_the_palette():
    alpha = torch.ones(1, 40, 50)
    alpha[:, 20:] = 0
    hidden = torch.cat([WARM[:, :20], torch.rand(3, 20, 50)], 1)
    found, wanted = palette(of(hidden, alpha)), palette(of(WARM[:, :20].contiguous()))
    assert torch.allclose(found.mean, wanted.mean)
    assert torch.allclose(found.covariance, wanted.covariance)
    nothing = palette(of(WARM, torch.zeros(1, 40, 50)))
    assert torch.equal(nothing.mean, palette(of(WARM)).mean)


def test_a_mixture_is_the_pictures_side_by_side_each_in_an_equal_share():
    both = palette(of(torch.cat([WARM, COLD], 2)))
    twice = torch.cat([COLD, COLD], 1)  # larger, and of the same share
    found = mixed([palette(of(WARM)), palette(of(twice))])
    assert torch.allclose(found.mean, both.mean)
    assert torch.allclose(found.covariance, both.covariance)


# -- a palette moved to another --


def test_the_palette_becomes_the_one_wanted():
    found, wanted = palette(of(recolored(WARM, COLD))), palette(of(COLD))
    assert torch.allclose(found.mean, wanted.mean, atol=2e-3)  # a few colors lie beyond sRGB and are brought in
    assert torch.allclose(found.covariance, wanted.covariance, atol=2e-4)


def test_its_own_palette_leaves_a_picture_as_it_was():
    assert torch.allclose(recolored(WARM, WARM), WARM, atol=1e-5)


def test_there_and_back_is_where_it_was():
    assert torch.allclose(recolored(recolored(WARM, COLD), WARM), WARM, atol=0.02)


def test_colors_are_moved_by_one_linear_map_that_does_not_turn_them():
    """The map of least motion is symmetric and has no negative value: no color changes sides with another."""
    before, after = (each.flatten(1).double() for each in (WARM, recolored(WARM, COLD)))
    before, after = (each - each.mean(1, keepdim=True) for each in (before, after))
    motion = torch.linalg.lstsq(before.T, after.T).solution.T
    assert torch.allclose(motion, motion.T, atol=0.02)
    assert float(torch.linalg.eigvalsh(motion).min()) > 0


def test_a_gray_picture_brings_gray_and_a_plain_one_its_color():
    gray = recolored(WARM, GRAY)
    assert float((gray.amax(0) - gray.amin(0)).max()) < 1e-4
    assert float(gray.std()) == pytest.approx(float(GRAY.std()), rel=0.05)
    plain = torch.tensor([0.3, 0.6, 0.2])[:, None, None].expand(3, 5, 5).contiguous()
    assert torch.allclose(recolored(WARM, plain), plain[:, :1, :1], atol=1e-4)


def test_a_gray_picture_gets_color_along_its_grays_and_a_plain_one_becomes_the_mean():
    tinted = recolored(GRAY, COLD)
    centerd = tinted.flatten(1) - tinted.flatten(1).mean(1, keepdim=True)
    spread = torch.linalg.svdvals(centerd)
    assert float(spread[1]) < 0.02 * float(spread[0])  # as before, colors lie on one line
    assert torch.allclose(tinted.mean((1, 2)), COLD.mean((1, 2)), atol=1e-3)
    plain = torch.full((3, 5, 5), 0.3)
    assert torch.allclose(recolored(plain, COLD), COLD.mean((1, 2))[:, None, None].expand(3, 5, 5), atol=1e-4)
    assert torch.allclose(recolored(torch.full((3, 1, 1), 0.7), plain), torch.full((3, 1, 1), 0.3), atol=1e-4)


def test_the_rounding_of_an_almost_gray_picture_is_not_made_a_pattern_of_colors():
    noisy = (GRAY + torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(1)) / 255).clamp(0, 1)
    wide = torch.rand(3, 30, 30, generator=torch.Generator().manual_seed(2))
    found = recolored(noisy, wide)
    chroma = found - found.mean(0, keepdim=True)
    assert float(chroma.std()) < 0.03  # five times a level; the wide palette has 0.2


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_pictures_the_result_is_one(seed):
    generator = torch.Generator().manual_seed(seed)
    hard = torch.rand(3, 20, 20, generator=generator).round()
    for one, other in ((hard, WARM), (WARM, hard), (torch.zeros(3, 2, 2), hard), (hard, torch.ones(3, 2, 2))):
        Picture(recolored(one, other))  # which refuses what is not in [0, 1]


# -- lightness and chroma --


def test_luminance_has_the_lightness_of_one_and_the_chroma_of_the_other():
    found = oklab.from_srgb(luminance(WARM, COLD))
    assert torch.allclose(found[0], oklab.from_srgb(WARM)[0], atol=1e-3)
    assert torch.allclose(found[1:], oklab.from_srgb(COLD)[1:], atol=2e-3)  # all of these colors there are


def test_luminance_of_a_picture_with_itself_is_the_picture():
    cube = torch.rand(3, 20, 20)
    assert torch.allclose(luminance(cube, cube), cube, atol=2e-5)


def test_luminance_with_a_gray_picture_is_gray_and_white_stays_white():
    found = luminance(WARM[:, :30, :30].contiguous(), GRAY)
    assert float((found.amax(0) - found.amin(0)).max()) < 1e-3
    for value in (0.0, 1.0):
        end = torch.full((3, 5, 5), value)
        assert torch.allclose(luminance(end, WARM[:, :5, :5]), end, atol=1e-3)


def test_lightness_and_chroma_of_two_sizes_are_refused():
    with pytest.raises(PictureError, match=r"got \(3, 40, 50\) and \(3, 30, 30\); resize one"):
        luminance(WARM, GRAY)


# -- what a run sees --


def test_only_the_picture_that_is_to_change_is_moved():
    content_image, style_image = (
        Picture(WARM, name="photo.png", sha256="1" * 64),
        Picture(COLD, torch.rand(1, 40, 50), "p.png"),
    )
    for color in ("style", "luminance"):
        content, (style,) = moved(content_image, [style_image], color)
        assert content is content_image
        assert style is style_image
    content, (style,) = moved(content_image, [style_image], "content")
    assert content is content_image
    assert torch.allclose(palette(style).mean, palette(content_image).mean, atol=5e-3)
    assert (style.name, style.alpha is style_image.alpha) == ("p.png", True)
    content, (style,) = moved(content_image, [style_image], "match")
    assert style is style_image
    assert torch.allclose(palette(content).mean, palette(style_image).mean, atol=5e-3)
    assert (content.name, content.sha256) == (content_image.name, content_image.sha256)


def test_several_paintings_are_each_moved_and_wanted_as_a_mixture():
    content_image, style_images = of(WARM), [of(COLD), of(GRAY)]
    _, styles = moved(content_image, style_images, "content")
    for style in styles:
        assert torch.allclose(palette(style).mean, palette(content_image).mean, atol=5e-3)
    content, _ = moved(content_image, style_images, "match")
    assert torch.allclose(palette(content).mean, mixed([palette(each) for each in style_images]).mean, atol=5e-3)


@pytest.mark.parametrize("color", ["content", "luminance", "match"])
def test_a_texture_has_no_photograph_to_take_colors_from(color):
    with pytest.raises(SettingError, match=f"color: got '{color}' but a texture has no photograph"):
        moved(None, [of(WARM)], color)


@pytest.mark.parametrize("color", ["content", "match"])
def test_a_reconstruction_has_no_painting_to_bring_together_with_the_photograph(color):
    with pytest.raises(SettingError, match=f"color: got '{color}' but a reconstruction has no painting"):
        moved(of(WARM), [], color)
