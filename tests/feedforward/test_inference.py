"""One pass on cells and in strips against the network as it is written down, with random weights."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.feedforward.inference import SMALLEST, StripInference
from impasto.feedforward.network import NORMALIZED, Affines, Transformer
from impasto.feedforward.space_to_depth import doubling, halving, mirrored, on_cells, uncelled

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

    def drawn(width: int) -> Tensor:
        return torch.randn(width, generator=generator)

    return [(1 + 0.3 * drawn(width), 0.5 * drawn(width)) for width in NORMALIZED]


def content_image(height: int, width: int, seed: int = 2) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


TRANSFORMER, STYLE = network(), style()
ONE_PASS = StripInference(TRANSFORMER)


def plainly(values: Tensor) -> Tensor:
    """The network as it is written down, the picture mirrored up to multiples of 4."""
    height, width = values.shape[1:]
    padded = F.pad(values[None], (0, -width % 4, 0, -height % 4), "reflect")
    with torch.no_grad():
        return TRANSFORMER(padded, STYLE)[0, :, :height, :width]


def differ(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


@settings(max_examples=25)
@given(quarter=st.tuples(st.integers(5, 15), st.integers(5, 15)), strip=st.none() | st.integers(4, 15))
def test_it_paints_what_the_plain_network_does(quarter: tuple[int, int], strip: int | None) -> None:
    values = content_image(4 * quarter[0], 4 * quarter[1])
    torch.testing.assert_close(ONE_PASS.in_strips(values, STYLE, strip), plainly(values), **CLOSE)


def test_no_pixel_is_what_another_photograph_or_style_would_give() -> None:
    values = content_image(32, 40)
    found = ONE_PASS(values, STYLE)
    assert differ(found, ONE_PASS(content_image(32, 40, seed=9), STYLE)) > 0.1
    assert differ(found, ONE_PASS(values, style(9))) > 0.1
    assert differ(found, ONE_PASS(values.flip(1), STYLE).flip(1)) > 0.01
    assert 0 <= float(found.min()) < float(found.max()) <= 1


@settings(max_examples=25)
@given(height=st.integers(17, 60), width=st.integers(17, 60), strip=st.none() | st.integers(4, 15))
def test_any_size_is_kept_and_painted_as_if_mirrored_up_to_multiples_of_4(
    height: int, width: int, strip: int | None
) -> None:
    values = content_image(height, width)
    found = ONE_PASS.in_strips(values, STYLE, strip)
    assert found.shape == (3, height, width)
    torch.testing.assert_close(found, plainly(values), **CLOSE)


@pytest.mark.parametrize(("height", "width"), [(10, 10), (11, 13), (12, 60), (10, 301), (301, 10), (16, 16)])
def test_the_smallest_edges_and_long_strips_of_pictures_are_painted(height: int, width: int) -> None:
    values = content_image(height, width)
    found = ONE_PASS(values, STYLE)
    torch.testing.assert_close(found, plainly(values), **CLOSE)
    torch.testing.assert_close(ONE_PASS(values, STYLE, memory=0), found, **CLOSE)


@settings(max_examples=15)
@given(strip=st.integers(1, 40))
def test_strips_of_any_height_give_the_whole(strip: int) -> None:
    values = content_image(101, 24)
    whole = ONE_PASS(values, STYLE)
    torch.testing.assert_close(
        ONE_PASS.in_strips(values, STYLE, strip), whole, rtol=0, atol=2e-5
    )  # 1/200 of an 8-bit level; sums are split differently


def test_little_memory_is_strips_and_much_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(ONE_PASS, "in_strips", lambda content_image, style, strip, *_: asked.append(strip))
    values = content_image(400, 6000)
    for memory in (None, 10**12, 10**6, 0):
        ONE_PASS(values, STYLE, memory)
    assert asked[:2] == [None, None]
    assert all(strip is not None and 4 <= strip < 100 for strip in asked[2:])


@pytest.mark.parametrize("size", [(9, 40), (40, 9), (1, 1), (0, 40), (SMALLEST - 1, SMALLEST)])
def test_an_edge_too_short_to_be_mirrored_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="give edges of 10 pixels or more"):
        ONE_PASS(torch.zeros(3, *size), STYLE)


def test_the_photograph_and_the_style_are_left_as_they_were() -> None:
    values, before = content_image(24, 28), content_image(24, 28)
    for strip in (None, 4):
        ONE_PASS.in_strips(values, STYLE, strip)
    assert torch.equal(values, before)
    for given_, expected in zip(STYLE, style(), strict=True):
        assert all(map(torch.equal, given_, expected))


@pytest.mark.parametrize("strip", [None, 4, 7])
def test_the_painting_may_take_the_place_of_the_photograph(strip: int | None) -> None:
    values, expected = content_image(45, 50), ONE_PASS(content_image(45, 50), STYLE)
    found = ONE_PASS.in_strips(values, STYLE, strip, values)
    assert found.data_ptr() == values.data_ptr()
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-5)


def test_a_photograph_that_is_a_view_is_painted_like_a_copy() -> None:
    whole = content_image(80, 88)
    views = whole[:, ::2, 8:60], whole.transpose(1, 2), whole[:1].expand(3, -1, -1)
    for values in views:
        copy = values.clone(memory_format=torch.contiguous_format)
        torch.testing.assert_close(ONE_PASS(values, STYLE), ONE_PASS(copy, STYLE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_picture_of_one_color_is_finite(value: float) -> None:
    for strip in (None, 4):
        found = ONE_PASS.in_strips(torch.full((3, 40, 40), value), STYLE, strip)
        assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("strip", [None, 4, 7])
def test_bfloat16_is_as_close_as_the_plain_network_in_bfloat16(strip: int | None) -> None:
    coarse, values = StripInference(TRANSFORMER, dtype=torch.bfloat16), content_image(72, 92)
    found, exact = coarse.in_strips(values, STYLE, strip), ONE_PASS(values, STYLE)
    with torch.no_grad():
        plain = network().bfloat16()(values[None].bfloat16(), [(a.bfloat16(), b.bfloat16()) for a, b in STYLE])[0]
    assert found.dtype == torch.float32
    assert 1e-6 < float((found - exact).abs().mean()) < float((plain - exact).abs().mean()) < 0.03


# -- the network as it is written down --


def test_each_pixel_of_the_plain_network_depends_on_the_photograph_as_differences_say() -> None:
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


def test_gradients_reach_every_weight_and_all_of_the_style() -> None:
    transformer = network().requires_grad_()
    affines = [(scale.clone().requires_grad_(), shift.clone().requires_grad_()) for scale, shift in STYLE]
    wanted = [*transformer.parameters(), *(each for pair in affines for each in pair)]
    loss = (transformer(content_image(24, 24)[None], affines) - content_image(24, 24, seed=3)).square().sum()
    for gradient in torch.autograd.grad(loss, wanted):
        assert bool(torch.isfinite(gradient).all())
        assert float(gradient.abs().max()) > 0


def test_pictures_in_a_batch_are_painted_as_if_alone() -> None:
    both = torch.stack([content_image(24, 24), content_image(24, 24, seed=8)])
    together = TRANSFORMER(both, STYLE)
    for picture, found in zip(both, together, strict=True):
        torch.testing.assert_close(found, TRANSFORMER(picture[None], STYLE)[0], **CLOSE)


# -- kernels on cells --


def cells(values: Tensor) -> Tensor:
    """(1, C, 2h, 2w) -> (1, 4C, h, w), a cell's channels by row, column, and channel."""
    _, channels, height, width = values.shape
    split = values.reshape(channels, height // 2, 2, width // 2, 2)
    return split.permute(2, 4, 0, 1, 3).reshape(1, 4 * channels, height // 2, width // 2)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_what_is_put_into_cells_comes_out_of_them() -> None:
    values = noise(1, 3, 8, 12)
    assert torch.equal(uncelled(cells(values)), values)


@pytest.mark.parametrize("size", [5, 9])
def test_a_kernel_on_cells_is_the_kernel_on_pixels(size: int) -> None:
    values, kernel = noise(1, 3, 24, 32), noise(5, 3, size, size)
    found = F.conv2d(cells(values), on_cells(kernel))
    expected = F.conv2d(values, kernel)
    assert found.shape[1:] == (20, 12 - 2 * (size // 4), 16 - 2 * (size // 4))
    torch.testing.assert_close(uncelled(found), expected, rtol=0, atol=1e-10)


def test_a_kernel_of_stride_2_takes_the_cell_before_and_the_cell() -> None:
    values, kernel = noise(1, 3, 16, 20), noise(5, 3, 3, 3)
    expected = F.conv2d(F.pad(values, (1, 1, 1, 1)), kernel, stride=2)
    found = F.conv2d(F.pad(cells(values), (1, 0, 1, 0)), halving(kernel))
    torch.testing.assert_close(found, expected[:, :, :8, :10], rtol=0, atol=1e-10)


def test_a_kernel_after_doubling_is_one_before_it() -> None:
    values, kernel = noise(1, 3, 7, 9), noise(5, 3, 3, 3)
    doubled = F.interpolate(values, scale_factor=2, mode="nearest")
    expected = F.conv2d(F.pad(doubled, (1, 1, 1, 1), "replicate"), kernel)
    found = F.conv2d(F.pad(values, (1, 1, 1, 1), "replicate"), doubling(kernel))
    torch.testing.assert_close(uncelled(found), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("top", "bottom"), [(2, 2), (0, 2), (2, 0), (0, 0)])
def test_cells_are_mirrored_by_pixels(top: int, bottom: int) -> None:
    values = noise(1, 3, 16, 20)
    expected = F.pad(values, (4, 4, 2 * top, 2 * bottom), "reflect")
    assert torch.equal(uncelled(mirrored(cells(values), top, bottom)), expected)
