"""Tone: lightness, contrast and saturation are transferred, hues stay."""

import pytest
import torch

from impasto import Picture
from impasto.images import oklab
from impasto.images.tone import Tone, match_tone, mix_tones, tone


def picture(seed: int, low: float = 0.2, high: float = 0.7) -> Picture:
    return Picture(low + (high - low) * torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(seed)))


def test_the_tone_is_that_of_the_values_in_oklab() -> None:
    lab = oklab.from_srgb(picture(1).tensor)
    expected = float(lab[0].mean()), float(lab[0].std(correction=0)), float(lab[1:].square().sum(0).mean().sqrt())
    assert tone(picture(1)) == pytest.approx(expected, rel=1e-4)


def test_a_matched_image_has_the_contrast_and_chroma_asked_for_and_its_own_hues() -> None:
    image, source = picture(1), tone(picture(1))
    target = Tone(source.lightness + 0.04, 1.2 * source.contrast, 0.8 * source.chroma)
    matched = match_tone(image.tensor, source, target)
    found = tone(Picture(matched))
    assert found == pytest.approx((source.lightness + 0.02, target.contrast, target.chroma), rel=0.01)
    before, after = (torch.atan2(*oklab.from_srgb(each)[1:]) for each in (image.tensor, matched))
    assert float((before - after).abs().median()) < 1e-3


def test_an_image_keeps_its_own_tone() -> None:
    own = tone(picture(1))
    torch.testing.assert_close(match_tone(picture(1).tensor, own, own), picture(1).tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_image_of_one_color_stays_one(value: float) -> None:
    flat = torch.full((3, 8, 8), value)
    matched = match_tone(flat, tone(Picture(flat)), tone(picture(2)))
    assert bool(matched.isfinite().all())
    assert float(matched.std()) < 1e-3


def test_tones_are_mixed_by_their_means() -> None:
    assert mix_tones([Tone(0, 0.2, 0.4), Tone(1, 0.4, 0)]) == pytest.approx((0.5, 0.3, 0.2))
