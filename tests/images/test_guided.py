"""Guided upsampling against its definition in float64, with torch's bilinear interpolation instead of Pillow's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images import guided
from impasto.images.bands import band_height
from impasto.images.guided import guided_upsampling
from impasto.images.resize import resize

SIZE, SMALL = (400, 900), (20, 45)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """In [0.3, 0.7], so that nothing is clipped."""
    return 0.3 + 0.4 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def window_means(values: Tensor) -> Tensor:
    """The mean over each window, one position after the other."""
    reach, means = guided.RADIUS, torch.empty_like(values)
    for y in range(values.shape[2]):
        for x in range(values.shape[3]):
            window = values[:, :, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            means[:, :, y, x] = window.mean((2, 3))
    return means


def by_definition(image: Tensor, small: Tensor, content: Tensor) -> Tensor:
    weights = torch.tensor(guided.LUMA).double()[:, None, None]
    guide, full = ((weights * each.double()).sum(1, keepdim=True) for each in (small, content))
    mean, means = window_means(guide), window_means(image.double())
    covariance = window_means((guide - 0.5) * image) - (mean - 0.5) * means
    slopes = covariance / (window_means((guide - 0.5) ** 2) - (mean - 0.5) ** 2 + guided.EPSILON)
    slopes = window_means(slopes.clamp(-guided.MAX_SLOPE, guided.MAX_SLOPE))
    enlarged, low = (
        F.interpolate(each, content.shape[2:], mode="bilinear", align_corners=False) for each in (slopes, guide)
    )
    return resize(image, *content.shape[2:]) + enlarged * (full - low)


def test_the_result_is_that_of_the_definition_in_every_band() -> None:
    image, small, content = noise(*SMALL), noise(*SMALL, seed=1), noise(*SIZE, seed=2)
    assert band_height(*SIZE) < SIZE[0]
    image = 0.5 * image + 0.5 * small
    found = guided_upsampling(image, small, content)
    torch.testing.assert_close(found.double(), by_definition(image, small, content), rtol=0, atol=1e-4)


def test_the_content_image_may_be_overwritten() -> None:
    image, small, content = noise(*SMALL), noise(*SMALL, seed=1), noise(*SIZE, seed=2)
    apart = guided_upsampling(image, small, content)
    assert torch.equal(guided_upsampling(image, small, content, out=content[0]), apart)
    assert torch.equal(content, apart)


def test_without_detail_in_the_content_image_it_is_an_enlargement() -> None:
    image, flat = noise(*SMALL), torch.full((1, 3, *SMALL), 0.4)
    found = guided_upsampling(image, flat, torch.full((1, 3, *SIZE), 0.4))
    torch.testing.assert_close(found, resize(image, *SIZE), rtol=0, atol=1e-6)


def test_edges_are_as_sharp_as_those_of_the_content_image_and_strokes_stay() -> None:
    content = torch.full((1, 3, *SIZE), 0.3)
    content[..., 443:] = 0.7
    small = resize(content, *SMALL)
    strokes = 0.1 * torch.sin(torch.arange(SMALL[0]))[:, None].expand(SMALL)  # none of it in the content image
    found = guided_upsampling(0.2 + 0.5 * small + strokes, small, content)
    without = guided_upsampling(0.2 + 0.5 * small, small, content)
    step = without[..., 443] - without[..., 442]
    assert float(step.min()) > 0.15  # of 0.2; enlarged without guidance it is a tenth of that
    lines = (found - without)[0, 0, :, 100]
    torch.testing.assert_close(lines, resize(strokes[None, None] + 0.5, *SIZE)[0, 0, :, 100] - 0.5, rtol=0, atol=0.02)
