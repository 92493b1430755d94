"""Inference on cells and in strips against the plain transformer module, with random weights."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.feedforward.inference import MIN_EDGE, TransformerInference
from impasto.feedforward.network import NORMALIZED_CHANNELS, Affines, Transformer, reflect_pad
from impasto.feedforward.space_to_depth import (
    cell_kernel,
    reflect_pad_cells,
    stride_2_cell_kernel,
    upsampling_kernel,
)

CLOSE = {"rtol": 0, "atol": 1e-4}


def network(seed: int = 0) -> Transformer:
    """A transformer of small weights, none of which is 0."""
    torch.manual_seed(seed)
    transformer = Transformer()
    for values in transformer.parameters():
        torch.nn.init.normal_(values, std=0.5 / max(values[0].numel(), 4) ** 0.5)
    return transformer.requires_grad_(False)


def style(seed: int = 1) -> Affines:
    generator = torch.Generator().manual_seed(seed)

    def normal(width: int) -> Tensor:
        return torch.randn(width, generator=generator)

    return [(1 + 0.3 * normal(width), 0.5 * normal(width)) for width in NORMALIZED_CHANNELS]


def content_image(height: int, width: int, seed: int = 2) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


TRANSFORMER, STYLE = network(), style()
INFERENCE = TransformerInference(TRANSFORMER)


def plain_result(values: Tensor) -> Tensor:
    """The result of the plain module, the image padded by reflection to multiples of 4."""
    height, width = values.shape[1:]
    padded = F.pad(values[None], (0, -width % 4, 0, -height % 4), "reflect")
    with torch.no_grad():
        return TRANSFORMER(padded, STYLE)[0, :, :height, :width]


def differ(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@settings(max_examples=25)
@given(quarter=st.tuples(st.integers(5, 15), st.integers(5, 15)), strip=st.none() | st.integers(4, 15))
def test_inference_equals_the_plain_module(quarter: tuple[int, int], strip: int | None) -> None:
    values = content_image(4 * quarter[0], 4 * quarter[1])
    torch.testing.assert_close(INFERENCE.run_in_strips(values, STYLE, strip), plain_result(values), **CLOSE)


def test_the_result_depends_on_the_content_image_and_on_the_style() -> None:
    values = content_image(32, 40)
    result = INFERENCE(values, STYLE)
    assert differ(result, INFERENCE(content_image(32, 40, seed=9), STYLE)) > 0.1
    assert differ(result, INFERENCE(values, style(9))) > 0.1
    assert differ(result, INFERENCE(values.flip(1), STYLE).flip(1)) > 0.01
    assert 0 <= float(result.min()) < float(result.max()) <= 1


@settings(max_examples=25)
@given(height=st.integers(17, 60), width=st.integers(17, 60), strip=st.none() | st.integers(4, 15))
def test_any_size_is_kept_and_evaluated_with_reflection_padding_to_multiples_of_4(
    height: int, width: int, strip: int | None
) -> None:
    values = content_image(height, width)
    result = INFERENCE.run_in_strips(values, STYLE, strip)
    assert result.shape == (3, height, width)
    torch.testing.assert_close(result, plain_result(values), **CLOSE)


@pytest.mark.parametrize(("height", "width"), [(10, 10), (11, 13), (12, 60), (10, 301), (301, 10), (16, 16)])
def test_the_smallest_and_the_most_elongated_images_equal_the_plain_module(height: int, width: int) -> None:
    values = content_image(height, width)
    result = INFERENCE(values, STYLE)
    torch.testing.assert_close(result, plain_result(values), **CLOSE)
    torch.testing.assert_close(INFERENCE(values, STYLE, memory=0), result, **CLOSE)


@settings(max_examples=15)
@given(strip=st.integers(1, 40))
def test_strips_of_any_height_give_the_result_of_the_whole_image(strip: int) -> None:
    values = content_image(101, 24)
    whole = INFERENCE(values, STYLE)
    # 1/200 of an 8-bit level; sums are split differently
    torch.testing.assert_close(INFERENCE.run_in_strips(values, STYLE, strip), whole, rtol=0, atol=2e-5)


def test_strips_are_used_only_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    strips: list[int | None] = []
    monkeypatch.setattr(INFERENCE, "run_in_strips", lambda content, style, strip, *_: strips.append(strip))
    values = content_image(400, 6000)
    for memory in (None, 10**12, 10**6, 0):
        INFERENCE(values, STYLE, memory)
    assert strips[:2] == [None, None]
    assert all(strip is not None and 4 <= strip < 100 for strip in strips[2:])


@pytest.mark.parametrize("size", [(9, 40), (40, 9), (1, 1), (0, 40), (MIN_EDGE - 1, MIN_EDGE)])
def test_an_edge_too_short_for_reflection_padding_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="give edges of 10 pixels or more"):
        INFERENCE(torch.zeros(3, *size), STYLE)


def test_the_content_image_and_the_style_are_not_modified() -> None:
    values, before = content_image(24, 28), content_image(24, 28)
    for strip in (None, 4):
        INFERENCE.run_in_strips(values, STYLE, strip)
    assert torch.equal(values, before)
    for affine, original in zip(STYLE, style(), strict=True):
        assert all(map(torch.equal, affine, original))


@pytest.mark.parametrize("strip", [None, 4, 7])
def test_the_output_may_overwrite_the_content_image(strip: int | None) -> None:
    values, expected = content_image(45, 50), INFERENCE(content_image(45, 50), STYLE)
    result = INFERENCE.run_in_strips(values, STYLE, strip, values)
    assert result.data_ptr() == values.data_ptr()
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-5)


def test_a_view_as_content_image_gives_the_result_of_its_copy() -> None:
    whole = content_image(80, 88)
    views = whole[:, ::2, 8:60], whole.transpose(1, 2), whole[:1].expand(3, -1, -1)
    for values in views:
        copy = values.clone(memory_format=torch.contiguous_format)
        torch.testing.assert_close(INFERENCE(values, STYLE), INFERENCE(copy, STYLE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_an_image_of_one_color_gives_finite_values(value: float) -> None:
    for strip in (None, 4):
        result = INFERENCE.run_in_strips(torch.full((3, 40, 40), value), STYLE, strip)
        assert bool(torch.isfinite(result).all())


@pytest.mark.parametrize("strip", [None, 4, 7])
def test_bfloat16_is_closer_to_float32_than_the_plain_module_in_bfloat16(strip: int | None) -> None:
    reduced, values = TransformerInference(TRANSFORMER, dtype=torch.bfloat16), content_image(72, 92)
    result, exact = reduced.run_in_strips(values, STYLE, strip), INFERENCE(values, STYLE)
    with torch.no_grad():
        plain = network().bfloat16()(values[None].bfloat16(), [(a.bfloat16(), b.bfloat16()) for a, b in STYLE])[0]
    assert result.dtype == torch.float32
    assert 1e-6 < float((result - exact).abs().mean()) < float((plain - exact).abs().mean()) < 0.03


# -- the plain module --


def test_the_gradient_of_the_plain_module_equals_finite_differences() -> None:
    transformer = network().double()
    affines = [(scale.double(), shift.double()) for scale, shift in STYLE]
    values = content_image(20, 24).double()[None]
    weights = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(5)).double()

    def total(images: Tensor) -> Tensor:
        return (transformer(images, affines) * weights).sum()

    leaf = values.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    for place in [(0, 0, 0, 0), (0, 1, 19, 23), (0, 2, 7, 11), (0, 0, 12, 0)]:
        step = torch.zeros_like(values)
        step[place] = 1e-6
        difference = (total(values + step) - total(values - step)) / 2e-6
        assert float(gradient[place]) == pytest.approx(float(difference), rel=1e-4, abs=1e-7)
        assert abs(float(difference)) > 1e-6


@pytest.mark.parametrize("width", [1, 4])
def test_padding_composed_of_copies_equals_torchs_with_its_gradient(width: int) -> None:
    values = torch.rand(2, 3, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    padded, expected = reflect_pad(values, width), F.pad(values, [width] * 4, "reflect")
    assert torch.equal(padded, expected)
    factors = torch.rand(padded.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, wanted = (torch.autograd.grad((each * factors).sum(), values)[0] for each in (padded, expected))
    torch.testing.assert_close(found, wanted)


def test_every_weight_and_every_style_parameter_has_a_gradient() -> None:
    transformer = network().requires_grad_()
    affines = [(scale.clone().requires_grad_(), shift.clone().requires_grad_()) for scale, shift in STYLE]
    leaves = [*transformer.parameters(), *(each for pair in affines for each in pair)]
    loss = (transformer(content_image(24, 24)[None], affines) - content_image(24, 24, seed=3)).square().sum()
    for gradient in torch.autograd.grad(loss, leaves):
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().max()) > 0


@pytest.mark.parametrize("image_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gradient_format", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_does_not_depend_on_memory_formats(
    image_format: torch.memory_format, gradient_format: torch.memory_format
) -> None:
    """torch's own for instance normalization does, on a CPU."""
    transformer = network().requires_grad_()
    image, gradient = content_image(24, 24)[None], content_image(24, 24, seed=5)[None]

    def gradients(image: Tensor, gradient: Tensor) -> Tensor:
        parts = torch.autograd.grad(transformer(image, STYLE), list(transformer.parameters()), gradient)
        return torch.cat([part.flatten() for part in parts])

    found = gradients(image.contiguous(memory_format=image_format), gradient.contiguous(memory_format=gradient_format))
    expected = gradients(image, gradient)
    assert float((found - expected).norm()) <= 1e-4 * float(expected.norm())


def test_images_in_a_batch_are_independent() -> None:
    both = torch.stack([content_image(24, 24), content_image(24, 24, seed=8)])
    together = TRANSFORMER(both, STYLE)
    for image, result in zip(both, together, strict=True):
        torch.testing.assert_close(result, TRANSFORMER(image[None], STYLE)[0], **CLOSE)


# -- space-to-depth --


def cells(values: Tensor) -> Tensor:
    """(1, C, 2h, 2w) -> (1, 4C, h, w), channels_last."""
    return F.pixel_unshuffle(values, 2).contiguous(memory_format=torch.channels_last)


def pixels(values: Tensor) -> Tensor:
    """(1, 4C, h, w) -> (1, C, 2h, 2w)."""
    return F.pixel_shuffle(values, 2)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("size", [5, 9])
def test_a_cell_kernel_equals_the_kernel_on_pixels(size: int) -> None:
    values, kernel = noise(1, 3, 24, 32), noise(5, 3, size, size)
    result = F.conv2d(cells(values), cell_kernel(kernel))
    expected = F.conv2d(values, kernel)
    assert result.shape[1:] == (20, 12 - 2 * (size // 4), 16 - 2 * (size // 4))
    torch.testing.assert_close(pixels(result), expected, rtol=0, atol=1e-10)


def test_a_kernel_of_stride_2_on_cells_reads_the_cell_before_and_the_cell() -> None:
    values, kernel = noise(1, 3, 16, 20), noise(5, 3, 3, 3)
    expected = F.conv2d(F.pad(values, (1, 1, 1, 1)), kernel, stride=2)
    result = F.conv2d(F.pad(cells(values), (1, 0, 1, 0)), stride_2_cell_kernel(kernel))
    torch.testing.assert_close(result, expected[:, :, :8, :10], rtol=0, atol=1e-10)


def test_an_upsampling_kernel_equals_upsampling_followed_by_the_kernel() -> None:
    values, kernel = noise(1, 3, 7, 9), noise(5, 3, 3, 3)
    upsampled = F.interpolate(values, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(upsampled, (1, 1, 1, 1), "replicate"), kernel)
    result = F.conv2d(F.pad(values, (1, 1, 1, 1), "replicate"), upsampling_kernel(kernel))
    torch.testing.assert_close(pixels(result), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("top", "bottom"), [(2, 2), (0, 2), (2, 0), (0, 0)])
def test_cells_are_padded_by_reflection_of_pixels(top: int, bottom: int) -> None:
    values = noise(1, 3, 16, 20)
    expected = F.pad(values, (4, 4, 2 * top, 2 * bottom), "reflect")
    assert torch.equal(pixels(reflect_pad_cells(cells(values), top, bottom)), expected)
