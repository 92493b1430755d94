import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from impasto.images.resize import resize, rotate, scaled_size


def noise(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))


def half_pixel_bilinear(image: Tensor, height: int, width: int) -> Tensor:
    """`tf.image.resize`: bilinear between the centers of pixels, nothing averaged."""
    resized = torch.empty(image.shape[0], height, width)
    for y in range(height):
        for x in range(width):
            down = min(max((y + 0.5) * image.shape[1] / height - 0.5, 0), image.shape[1] - 1)
            right = min(max((x + 0.5) * image.shape[2] / width - 0.5, 0), image.shape[2] - 1)
            top, left = math.floor(down), math.floor(right)
            bottom, far = min(top + 1, image.shape[1] - 1), min(left + 1, image.shape[2] - 1)
            above = image[:, top, left] * (1 - right + left) + image[:, top, far] * (right - left)
            below = image[:, bottom, left] * (1 - right + left) + image[:, bottom, far] * (right - left)
            resized[:, y, x] = above * (1 - down + top) + below * (down - top)
    return resized


@pytest.mark.parametrize("size", [(7, 5), (20, 13), (3, 30), (11, 17)])
def test_tensorflows_resampling_is_bilinear_with_half_pixel_centers(size: tuple[int, int]) -> None:
    image = noise(11, 17)
    found = resize(image, *size, "tensorflow")
    torch.testing.assert_close(found[0], half_pixel_bilinear(image[0], *size), rtol=0, atol=2e-6)


@pytest.mark.parametrize("resampling", ["antialiased", "tensorflow"])
def test_a_picture_of_that_size_is_left_as_it_is(resampling: str) -> None:
    image = noise(11, 17)
    assert torch.equal(resize(image, 11, 17, resampling), image)


@pytest.mark.parametrize("resampling", ["antialiased", "tensorflow"])
@pytest.mark.parametrize("size", [(4, 9), (40, 31)])
def test_a_constant_picture_stays_so(resampling: str, size: tuple[int, int]) -> None:
    resized = resize(torch.full((1, 3, 11, 17), 0.7), *size, resampling)
    torch.testing.assert_close(resized, torch.full((1, 3, *size), 0.7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("resampling", ["antialiased", "tensorflow"])
def test_hard_edges_stay_within_black_and_white(resampling: str) -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[..., 8:] = 1
    for size in ((7, 7), (50, 41)):
        resized = resize(image, *size, resampling)
        assert (float(resized.min()), float(resized.max())) == (0, 1)


def test_shrinking_averages_what_a_pixel_covers_and_tensorflow_does_not() -> None:
    stripes = (torch.arange(60) % 3 == 1).float().expand(1, 3, 60, 60)  # a third is white: the middle of each three
    shrunk, skipped = (resize(stripes, 4, 20, how) for how in ("antialiased", "tensorflow"))
    assert float((shrunk[..., 2:-2] - 1 / 3).abs().max()) < 0.02
    assert float(skipped.min()) == 1


def test_resizing_commutes_with_rotation() -> None:
    image = noise(9, 12)
    turned = resize(image.rot90(1, (2, 3)), 20, 15)
    torch.testing.assert_close(turned, resize(image, 15, 20).rot90(1, (2, 3)), rtol=0, atol=1e-5)


@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    size=st.integers(16, 65_535),
    resampling=st.sampled_from(["antialiased", "tensorflow"]),
)
def test_the_long_edge_is_the_size_and_the_other_in_proportion(
    height: int, width: int, size: int, resampling: str
) -> None:
    found = scaled_size(height, width, size, resampling)
    tolerance = 0.51 if resampling == "antialiased" else 1.01
    for got, edge in zip(found, (height, width), strict=True):
        assert abs(got - edge * size / max(height, width)) <= tolerance
        assert got <= size
    assert resampling == "tensorflow" or max(found) == size


def test_landscape_and_portrait_are_scaled_alike() -> None:
    assert scaled_size(480, 640, 512) == (384, 512)
    assert scaled_size(640, 480, 512) == (512, 384)


def test_tensorflow_truncates_where_we_round() -> None:
    assert scaled_size(427, 640, 512, "tensorflow") == (341, 512)
    assert scaled_size(427, 640, 512) == (342, 512)


def test_antialiased_is_the_lanczos_filter_of_pillow_without_rounding() -> None:
    # grays, so that nothing overshoots: Pillow would cut it off between the two
    levels = torch.randint(90, 166, (3, 30, 40), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    pillow = Image.fromarray(levels.permute(1, 2, 0).numpy()).resize((23, 17), Image.Resampling.LANCZOS)
    rounded = torch.from_numpy(np.asarray(pillow).copy()).permute(2, 0, 1)
    resized = resize(levels[None] / 255, 17, 23)[0] * 255
    assert float((resized - rounded).abs().max()) < 1.01  # rounded twice: after rows and after columns


@pytest.mark.parametrize("degrees", [1, 30, 45, -60, 89, 135, 179])
@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50), (10, 200)])
def test_rotation_shows_no_corner_from_outside_the_image(degrees: float, shape: tuple[int, int]) -> None:
    turned = rotate(torch.ones(1, 1, *shape), degrees)
    assert float(turned.min()) > 0.99
    assert 0 < turned.numel() <= shape[0] * shape[1]


def test_quarter_turns_are_exact_and_counterclockwise() -> None:
    image = torch.rand(1, 3, 4, 6)
    assert torch.equal(rotate(image, 90), torch.rot90(image, 1, (2, 3)))
    assert torch.equal(rotate(image, 180), image.flip(2, 3))
    assert torch.equal(rotate(rotate(image, 90), -90), image)


def test_stripes_are_rotated_counterclockwise_and_keep_their_width() -> None:
    x = torch.arange(200.0)
    stripes = (0.5 + 0.5 * torch.sin(x * 0.3)).expand(1, 1, 200, 200)
    turned = rotate(stripes, 30)[0, 0]
    across, down = turned.diff(dim=1).abs().mean(), turned.diff(dim=0).abs().mean()
    # the wave runs along (cos 30, -sin 30): up to the right, as rows are counted downwards
    assert float(down / across) == pytest.approx(0.5 / 0.75**0.5, rel=0.05)
    falling = (turned[1:, 1:] - turned[:-1, :-1]).abs().mean()
    rising = (turned[:-1, 1:] - turned[1:, :-1]).abs().mean()
    assert rising > 2 * falling
    assert float(across) == pytest.approx(float(stripes.diff(dim=3).abs().mean()) * 0.75**0.5, rel=0.05)
