"""The hand-written gradients of total variation against autograd of its value."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.loss import functional
from impasto.loss.conventions import CONVENTIONS


@given(
    convention=st.sampled_from(list(CONVENTIONS)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    levels=st.sampled_from([1, 3, 10**6]),
    band=st.sampled_from([1, 40, 2**20]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_gradient_equals_autograd_for_any_size_band_and_equal_neighbors(  # noqa: PLR0917
    convention: str, height: int, width: int, levels: int, band: int, dtype: torch.dtype
) -> None:
    variation = CONVENTIONS[convention].variation
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height), dtype=dtype)
    image = ((noise * levels).round() / levels).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "BAND", band)
        (expected,) = torch.autograd.grad(variation(image) * image.new_tensor(0.37), image)
        assert torch.equal(variation.gradient(image.detach(), 0.37), expected)
