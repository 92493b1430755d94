"""The grain loss, against autograd of a formula of its own in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.loss import functional, grain
from impasto.loss.grain import Grain, mixed, moments


def image(seed: int, height: int = 23, width: int = 31, most: float = 1.0) -> Tensor:
    """Noise (1, 3, H, W) that becomes lighter from left to right."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise * torch.linspace(0, 2 * most, width, dtype=torch.float64)


def guide(seed: int, height: int = 23, width: int = 31) -> Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def means(pixels: Tensor, shares: Tensor | float = 1.0) -> Tensor:
    """E of the three bands, by pooling, with shares by interpolation between nodes."""
    local = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    variance = (pixels - local).square().sum(1)
    lightness = (0.299 * local[:, 0] + 0.587 * local[:, 1] + 0.114 * local[:, 2]).clamp_min(0)
    found = []
    for below, node, above in ((-1.0, 0.0, 0.15), (0.0, 0.15, 0.35), (0.15, 0.35, 0.65)):
        hat = torch.minimum((lightness - below) / (node - below), (above - lightness) / (above - node)).clamp_min(0)
        found.append((hat * shares * variance).sum() / (hat * shares).sum())
    return torch.stack(found) + 1e-5


def smoother(pixels: Tensor) -> Tensor:
    """Less variance at the same lightness."""
    return (pixels + F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)) / 2


def gradient_of(target: Grain, pixels: Tensor, weight: float = 1.0, chunk: int = 1000) -> Tensor:
    """The gradient, in chunks of so many rows."""
    compared, gradient = target.compare(pixels), torch.zeros_like(pixels)
    for start in range(0, pixels.shape[2], chunk):
        rows = slice(start, min(start + chunk, pixels.shape[2]))
        compared.add_gradient(weight, gradient[:, :, rows], rows)
    return gradient


@pytest.mark.parametrize("is_guided", [False, True])
@pytest.mark.parametrize("band", [2**20, 200])
def test_value_and_gradient_equal_autograd(is_guided: bool, band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "BAND", band)  # also in bands of two rows
    pixels, style, weights = image(1).requires_grad_(), smoother(image(2, 40, 28)), guide(3) if is_guided else None
    errors = means(pixels, 1 if weights is None else weights).log() - means(style).log()
    assert bool((errors > 0.5).any())
    expected = 0.6 * errors.clamp_min(0).square().sum()
    (slope,) = torch.autograd.grad(expected, pixels)
    target = Grain(moments(style), weights, 0.6)
    assert float(target.compare(pixels.detach()).loss()) == pytest.approx(expected.item(), rel=1e-12)
    for chunk in (1000, 8, 1):
        torch.testing.assert_close(gradient_of(target, pixels.detach(), 5.0, chunk), 5 * slope, rtol=1e-10, atol=1e-13)


def test_a_style_of_its_own_has_no_loss_and_no_gradient() -> None:
    target = Grain(moments(image(1)))
    assert float(target.compare(image(1)).loss()) == 0
    assert not gradient_of(target, image(1)).any()


def test_more_noise_in_the_dark_counts_but_neither_less_nor_more_in_the_light() -> None:
    """Light: above 0.65, the end of the last band."""
    dark, light = (torch.full((1, 3, 20, 20), value, dtype=torch.float64) for value in (0.1, 0.9))
    noise = 0.05 * (guide(1, 20, 20) - 0.5)
    style = Grain(moments(torch.cat([dark + noise, light + noise], 3)))
    same, less, more = (torch.cat([dark + factor * noise, light + noise], 3) for factor in (1, 0.5, 2))
    assert float(style.compare(same).loss()) == 0
    assert float(style.compare(less).loss()) < 1e-4  # a little at the edge between dark and light
    assert float(style.compare(more).loss()) > 0.5
    assert float(style.compare(torch.cat([dark + noise, light + 2 * noise], 3)).loss()) < 1e-4


@pytest.mark.parametrize("pixels", [image(1) * 0 + 0.9, image(1) * 0], ids=["white", "black"])
def test_a_flat_image_is_finite(pixels: Tensor) -> None:
    """As the image and as the style; without dark pixels on one side nothing is compared."""
    for style, compared in ((pixels, image(2)), (image(2), pixels), (pixels, pixels)):
        target = Grain(moments(style))
        assert torch.isfinite(target.compare(compared).loss())
        assert torch.isfinite(gradient_of(target, compared)).all()
    is_white = bool(pixels.max() > 0.5)
    assert (float(Grain(moments(pixels)).compare(image(2)).loss()) == 0) == is_white


def test_a_mixture_has_the_moments_of_an_image_that_is_composed_so() -> None:
    """Tiles that are apart: two copies of one, one of the other, which has another size."""
    one, other = image(1), image(2, 23, 50)
    expected = (2 * means(one) * dark(one) + means(other) * dark(other)) / (2 * dark(one) + dark(other))
    found = mixed([(2 / 3, moments(one)), (1 / 3, moments(other))])
    torch.testing.assert_close(found.mean + 1e-5, expected, rtol=1e-10, atol=0)


def dark(pixels: Tensor) -> Tensor:
    """The share of each band in the pixels."""
    return moments(pixels).weight / pixels[0, 0].numel()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_images(height: int, width: int) -> None:
    pixels, target = image(1, height, width, 0.3), Grain(moments(image(2)))
    assert torch.isfinite(target.compare(pixels).loss())
    assert gradient_of(target, pixels).shape == pixels.shape


def test_bands_of_few_pixels_are_not_compared() -> None:
    """A single dark pixel of 713 is below 0.2 %."""
    light = image(1) * 0 + 0.9
    style = Grain(moments(image(2)))
    light[:, :, 5, 5] = 0.0
    assert float(style.compare(light).loss()) == 0
    assert grain.LEAST_SHARE == 0.002
