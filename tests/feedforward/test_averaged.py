import math

import pytest
import torch
from torch import Tensor

from impasto import FastNetwork, Picture, Style
from impasto.feedforward import averaged
from impasto.feedforward.averaged import averaged_pass, mean_over_shifts
from impasto.feedforward.inference import MIN_EDGE
from impasto.images.guided import guided_upsampling
from impasto.images.resize import resize


def noise(height: int, width: int) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("down", "right"), [(0, 1), (1, 0), (1, 1), (1, 3), (1, 2), (2, 1), (0, 2), (2, 0)])
def test_a_pattern_of_the_lattice_is_averaged_out(down: int, right: int) -> None:
    """All patterns of 4x4 pixels are sums of such waves; (2, 2), single pixels in turn, is not one of the network's."""

    def stylize(image: Tensor) -> Tensor:
        y, x = torch.meshgrid(*map(torch.arange, image.shape[1:]), indexing="ij")
        return image + torch.cos(math.tau / 4 * (down * y + right * x) + 1)

    content = noise(14, 19)
    torch.testing.assert_close(mean_over_shifts(stylize, content), content, rtol=0, atol=3e-6)


def test_what_does_not_depend_on_the_lattice_is_kept() -> None:
    content = noise(14, 19)
    torch.testing.assert_close(mean_over_shifts(torch.sqrt, content), content.sqrt(), rtol=0, atol=1e-6)


def test_a_large_image_is_stylized_at_the_working_size_and_upsampled() -> None:
    content, sizes = noise(700, 1050), set()

    def stylize(image: Tensor) -> Tensor:
        sizes.add(image.shape[1:])
        return image.flip(0)

    small = resize(content[None], 341, 512)
    expected = guided_upsampling(small.flip(1), small, content[None])[0]
    torch.testing.assert_close(averaged_pass(stylize, content), expected, rtol=0, atol=1e-5)
    assert all(max(size) <= averaged.WORKING_EDGE + 4 for size in sizes)
    averaged_pass(stylize, content, out=content)
    torch.testing.assert_close(content, expected, rtol=0, atol=1e-5)


def test_a_long_and_narrow_image_stays_large_enough_for_the_network() -> None:
    shapes = set()

    def stylize(image: Tensor) -> Tensor:
        shapes.add(min(image.shape[1:]))
        return image

    assert averaged_pass(stylize, noise(12, 3000)).shape == (3, 12, 3000)
    assert min(shapes) >= MIN_EDGE


@pytest.mark.weights
def test_the_lattice_hardly_shows_in_a_flat_area() -> None:
    """The variance of the mean 4x4 pattern: a single pass has it, since grain alone would leave almost none."""
    generator = torch.Generator().manual_seed(0)
    content = (0.6 + 0.01 * torch.randn(3, 128, 160, generator=generator)).clamp(0, 1)
    content[:, :, :40] = noise(128, 40)
    network, picture = FastNetwork("cpu", "float32"), Picture(noise(64, 64))
    affines = network.affines_for([Style(picture)], picture, 0.5)

    def pattern(stylized: Tensor) -> float:
        flat = stylized[:, 16:112, 64:144].reshape(3, 24, 4, 20, 4)
        return float(flat.mean((1, 3)).var((1, 2)).mean())

    single = network.stylize(content, affines)
    assert pattern(averaged_pass(lambda image: network.stylize(image, affines), content)) < 0.1 * pattern(single)
