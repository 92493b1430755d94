import math

import numpy as np
import pytest
import torch
from benchmarks import faces, grain, palette
from scipy.ndimage import median_filter

from impasto.images import oklab


def noise(seed: int, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def test_an_image_has_no_distance_from_its_mirror_image_and_a_gray_one_has() -> None:
    image = noise(0)
    assert palette.distance(image, image.flip(2)) < 1e-6
    assert palette.distance(image, image.mean(0).expand(3, -1, -1)) > 0.05


def test_the_distance_of_two_flat_colors_of_one_band_is_that_of_the_colors() -> None:
    colors = torch.tensor([[0.5, 0.4, 0.4], [0.4, 0.45, 0.4]])
    one, other = (color[:, None, None].expand(3, 4, 4) for color in colors)
    lab = [oklab.from_srgb(color.double()[:, None])[:, 0] for color in colors]
    assert palette.distance(one, other) == pytest.approx(float((lab[0] - lab[1]).norm()), rel=1e-6)


def test_grain_is_the_mean_distance_from_the_median_of_scipy_in_each_band() -> None:
    image = noise(1, 48, 64)
    lightness = oklab.from_srgb(image)[0].numpy()
    median = median_filter(lightness, 3, mode="nearest")
    for number, value in enumerate(grain.grain(image)):
        within = (median >= number / palette.BANDS) & (median < (number + 1) / palette.BANDS)
        if within.mean() < palette.LEAST_SHARE:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(float(np.abs(lightness - median)[within].mean()), rel=1e-5)


def test_the_displacement_of_a_shifted_image_is_its_shift() -> None:
    image = torch.nn.functional.interpolate(noise(2, 12, 16)[None], scale_factor=8.0, mode="bicubic")
    points = torch.tensor([[40.0, 40.0], [70.0, 40.0], [55.0, 50.0], [45.0, 60.0], [65.0, 60.0]])
    assert faces.displacement(image, image, points) == 0
    recolored = 0.3 + 0.4 * image.flip(1)  # other colors and less contrast move nothing
    assert faces.displacement(image, recolored.roll((3, -2), (2, 3)), points) == pytest.approx(math.sqrt(13) / 30)
