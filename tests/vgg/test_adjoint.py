"""The hand-written gradients of pools and of the image's preparation against autograd."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.vgg.adjoint import pool_gradient, preprocess_gradient
from impasto.vgg.model import VGG19

WIDTHS = (4, 6, 8, 8, 8)
NETWORKS = {
    dtype: VGG19.random(WIDTHS, seed=1, dtype=dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)
}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autograd(output: Tensor, at: Tensor, gradient: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(output, at, gradient)
    return result


@given(
    pooling=st.sampled_from(["max", "avg"]),
    dtype=st.sampled_from(list(NETWORKS)),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    levels=st.sampled_from([1, 2, 4, 10**6]),
    layout=st.sampled_from(LAYOUTS),
)
def test_the_gradient_of_a_pool_equals_autograd_for_odd_sizes_and_equal_maxima(  # noqa: PLR0917
    pooling: str, dtype: torch.dtype, height: int, width: int, levels: int, layout: torch.memory_format
) -> None:
    vgg = NETWORKS[dtype].configured(pooling=pooling, padding="zeros")  # type: ignore[arg-type]
    values = (noise(height * width, 1, 8, height, width) * levels).round() / levels  # with few levels, many are equal
    values = values.to(dtype, memory_format=layout).requires_grad_()
    gradient = noise(7, 1, 8, height // 2, width // 2).to(dtype)
    expected = autograd(vgg.pool(values), values, gradient)
    assert torch.equal(pool_gradient(vgg, values.detach(), gradient), expected)


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    vgg, gradient = NETWORKS[torch.float64], torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
    values = torch.tensor([[[[1.0, 2.0], [2.0, 2.0]]]], dtype=torch.float64)
    assert pool_gradient(vgg, values, gradient).tolist() == [[[[0, 3], [0, 0]]]]


@given(
    padding=st.sampled_from(["zeros", "replicate", "circular"]),
    dtype=st.sampled_from(list(NETWORKS)),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    edges=st.tuples(st.booleans(), st.booleans()),
    layout=st.sampled_from(LAYOUTS),
)
def test_the_gradient_of_the_preparation_equals_autograd_for_any_padding_and_rows(  # noqa: PLR0917
    padding: str,
    dtype: torch.dtype,
    height: int,
    width: int,
    edges: tuple[bool, bool],
    layout: torch.memory_format,
) -> None:
    vgg = NETWORKS[dtype].configured(pooling="max", padding=padding)  # type: ignore[arg-type]
    top, bottom = (True, True) if padding == "circular" else edges  # which is evaluated whole
    image = noise(1, 1, 3, height, width).to(torch.promote_types(dtype, torch.float32)).requires_grad_()
    prepared = vgg.preprocess(image, top=top, bottom=bottom)
    gradient = noise(2, *prepared.shape).to(dtype, memory_format=layout)
    found = preprocess_gradient(vgg, gradient, image.dtype, top=top, bottom=bottom)
    assert found.dtype == image.dtype
    assert torch.equal(found, autograd(prepared, image, gradient))


@pytest.mark.parametrize("padding", ["zeros", "replicate", "circular"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_both_are_the_slopes_of_numerical_differences(pooling: str, padding: str) -> None:
    vgg = NETWORKS[torch.float64].configured(pooling=pooling, padding=padding)  # type: ignore[arg-type]
    image, direction = noise(1, 1, 3, 5, 6), noise(2, 1, 3, 5, 6)
    weights = noise(3, 1, 3, 3, 4)

    def value(at: Tensor) -> float:
        return float((vgg.pool(vgg.preprocess(at)) * weights).sum())

    slope = (value(image + 1e-7 * direction) - value(image - 1e-7 * direction)) / 2e-7
    prepared = vgg.preprocess(image)
    gradient = preprocess_gradient(vgg, pool_gradient(vgg, prepared, weights), image.dtype)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-6)
