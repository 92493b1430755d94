"""Similarity of images, against the definitions."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import PictureError, SettingError
from impasto.images.picture import Picture
from impasto.sweeps.compare import compare, draw_sheet, similarity


@pytest.fixture
def saved(tmp_path):
    """A PNG of these levels, (H, W, 3) or (H, W, 4)."""

    def save(name, levels):
        Image.fromarray(np.asarray(levels, np.uint8)).save(tmp_path / name)
        return tmp_path / name

    return save


def noise(seed, height=20, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_similarity_matches_the_definitions():
    one, other = noise(1), noise(2)
    result = similarity(one, Picture(torch.from_numpy(other.transpose(2, 0, 1).astype(np.float32) / 255)))
    rms = math.sqrt(np.mean((one.astype(float) - other) ** 2))
    assert result.rms == pytest.approx(rms)
    assert result.psnr == pytest.approx(20 * math.log10(255 / rms))
    assert result.correlation == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    assert not result.resized


def test_an_image_equals_itself_and_is_anticorrelated_with_its_negative(saved):
    path, negative = saved("a.png", noise(1)), saved("b.png", 255 - noise(1))
    _, same, other = compare([path, path, negative]).images
    assert (same.similarity.rms, same.similarity.psnr) == (0, math.inf)
    assert same.similarity.correlation == pytest.approx(1)
    assert other.similarity.correlation == pytest.approx(-1)


def test_an_image_of_a_single_level_has_no_correlation(saved):
    _, flat = compare([saved("a.png", noise(1)), saved("b.png", np.full((20, 30, 3), 7))]).images
    assert flat.similarity.correlation is None


def test_an_image_of_another_size_is_resized_with_a_note(saved):
    _, other = compare([saved("a.png", noise(1)), saved("b.png", noise(1, 40, 30))]).images
    assert (other.width, other.height, other.similarity.resized) == (30, 40, True)
    assert other.notes == ("resized to the size of the first image for the comparison",)


def test_transparent_pixels_count_as_white(saved):
    clear = np.dstack([noise(1), np.zeros((20, 30), np.uint8)])
    _, white = compare([saved("a.png", clear), saved("b.png", np.full((20, 30, 3), 255))]).images
    assert white.similarity.rms == 0


def test_a_sheet_has_four_images_in_a_row(saved):
    comparison = compare([saved(f"{number}.png", noise(number, 900, 1200)) for number in range(6)])
    assert 4 * 640 < draw_sheet(comparison).width < 4 * 700
    assert comparison.differences == {}


def test_a_single_or_missing_image_is_refused(saved):
    with pytest.raises(SettingError, match="got 1 image; give two or more"):
        compare([saved("a.png", noise(1))])
    with pytest.raises(PictureError, match="does not exist"):
        compare([saved("a.png", noise(1)), saved("a.png", noise(1)).with_name("none.png")])


def test_a_damaged_recipe_is_noted_and_the_similarity_is_given(saved):
    image, path = Picture(torch.zeros(3, 20, 30), recipe={"impasto": "?"}), saved("a.png", noise(1))
    image.save(path.with_name("b.png"))
    _, other = compare([path, path.with_name("b.png")]).images
    assert other.recipe is None
    assert other.similarity.rms > 0
    assert "its recipe cannot be used" in other.notes[0]
    assert json.dumps(other.notes)
