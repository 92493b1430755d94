from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.loss import functional


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class LargestResult(TorchDispatchMode):
    """The number of values of each operator's largest result."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[object, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.values[func.overloadpacket] = max(self.values.get(func.overloadpacket, 0), result.numel())
        return result


def test_the_gram_matrix_of_two_channels_at_four_positions_equals_a_hand_calculation() -> None:
    features = torch.tensor([[[[1.0, 2], [3, 4]], [[0, 1], [0, -2]]]])
    # <a, a> = 1 + 4 + 9 + 16, <a, b> = 2 - 8, <b, b> = 1 + 4; over 4 positions
    assert functional.gram(features).tolist() == [[[7.5, -1.5], [-1.5, 1.25]]]


def test_each_image_of_a_batch_has_its_own_gram_matrix() -> None:
    features = noise(3, 2, 4, 5)
    alone = torch.cat([functional.gram(image[None]) for image in features])
    torch.testing.assert_close(functional.gram(features), alone, rtol=1e-14, atol=0)


def test_a_gram_matrix_does_not_depend_on_the_order_of_positions() -> None:
    features = noise(1, 5, 6, 7)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(1))
    shuffled = features.flatten(2)[..., order].view(1, 5, 7, 6)
    torch.testing.assert_close(functional.gram(shuffled), functional.gram(features), rtol=1e-13, atol=0)


def test_a_gram_matrix_does_not_change_when_the_image_is_tiled() -> None:
    features = noise(1, 5, 6, 7)
    torch.testing.assert_close(
        functional.gram(features.repeat(1, 1, 2, 3)), functional.gram(features), rtol=1e-13, atol=0
    )


def test_a_gram_matrix_grows_with_the_square_of_the_features() -> None:
    features = noise(1, 5, 6, 7)
    torch.testing.assert_close(functional.gram(3 * features), 9 * functional.gram(features), rtol=1e-13, atol=0)


def test_a_gram_matrix_is_symmetric_and_positive_semi_definite() -> None:
    gram = functional.gram(noise(1, 6, 2, 2) - 0.5)[0]
    assert torch.equal(gram, gram.T)
    assert float(torch.linalg.eigvalsh(gram).min()) > -1e-15


def test_features_in_bfloat16_are_accumulated_in_float32() -> None:
    features = noise(1, 4, 100, 100, dtype=torch.float32).bfloat16()
    gram = functional.gram(features)
    assert gram.dtype == torch.float32
    exact = functional.gram(features.double())
    assert float(((gram - exact) / exact).square().mean().sqrt()) < 5e-4  # one rounding to bfloat16 alone: 1.6e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("chunk", [1, 7, 256, 640, 10_000])  # one, several and no whole chunks, on CPUs and on GPUs
def test_a_sum_of_products_does_not_depend_on_its_chunks(chunk: int, dtype: torch.dtype) -> None:
    left, right = (noise(2, 640, 5, seed=seed).to(dtype) for seed in (1, 2))
    tolerance = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 4e-3}[dtype]  # one rounding to bfloat16
    found = functional.product_sum(left, right, chunk)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.double(), left.double().mT @ right.double(), rtol=tolerance, atol=0)


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (100, 100), (1024, 1024)])
def test_products_of_an_accelerator_take_less_memory_than_the_features(size: tuple[int, int], guided: bool) -> None:
    features = torch.empty(1, 64, *size, dtype=torch.bfloat16, device="meta", memory_format=torch.channels_last)
    guide = torch.empty(1, 1, *size, device="meta") if guided else None
    with LargestResult() as largest:
        functional.gram_sum(features, guide)
    assert largest.values[torch.ops.aten.bmm] <= 16 * 64**2
    assert max(largest.values.values()) <= max(features.numel(), 16 * 64**2)


@pytest.mark.parametrize("positions", [(1, 1), (3, 5), (16, 16), (25, 41)])
def test_a_gram_matrix_counts_every_position_once(positions: tuple[int, int]) -> None:
    features = noise(2, 3, *positions)
    expected = torch.einsum("nchw,ndhw->ncd", features, features) / (positions[0] * positions[1])
    torch.testing.assert_close(functional.gram(features), expected, rtol=1e-12, atol=0)


def test_the_gradient_of_a_gram_loss_equals_autograd() -> None:
    features, target = noise(1, 4, 5, 6).requires_grad_(), functional.gram(noise(1, 4, 7, 7, seed=3))
    (expected,) = torch.autograd.grad((functional.gram(features) - target).square().sum(), features)
    upstream = 2 * (functional.gram(features) - target).detach() / 30
    torch.testing.assert_close(
        functional.moments_gradient(features.detach(), upstream), expected, rtol=1e-12, atol=1e-15
    )


def test_a_distance_is_the_mean_of_the_squared_differences() -> None:
    assert float(functional.distance(torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 0, 6]))) == pytest.approx(13 / 3)


def test_a_distance_of_bfloat16_is_taken_in_float32() -> None:
    one, other = torch.tensor([300.0, 256]).bfloat16(), torch.tensor([2.0, 1]).bfloat16()
    distance = functional.distance(one, other)
    assert distance.dtype == torch.float32
    assert float(distance) == (298**2 + 255**2) / 2  # in bfloat16 the square of 255 is 65024


def test_total_variation_of_a_small_image_equals_a_hand_calculation() -> None:
    image = torch.tensor([[0.0, 1, 3], [2, 2, 0]]).expand(1, 3, 2, 3)
    # dx of one channel: 1, 2, 0, -2; dy: 2, 1, -3
    assert float(functional.total_variation(image)) == 5 / 4 + 6 / 3
    assert float(functional.total_variation_sum(image)) == 3 * (5 + 6)
    # squares of dx in the first row, and of dy in the first two columns
    assert float(functional.total_variation_squares(image)) == 3 * 255**2 * (1 + 4 + 4 + 1) / 2


def test_total_variation_equals_a_loop_in_numpy() -> None:
    image = noise(2, 3, 5, 7)
    dx, dy, squares = [], [], 0.0
    for n, c, y, x in np.ndindex(2, 3, 5, 7):
        here = image.numpy()[n, c, y, x]
        dx += [abs(image.numpy()[n, c, y, x + 1] - here)] if x < 6 else []
        dy += [abs(image.numpy()[n, c, y + 1, x] - here)] if y < 4 else []
        if x < 6 and y < 4:
            squares += (dx[-1] ** 2 + dy[-1] ** 2) / 2 * 255**2
    assert float(functional.total_variation(image)) == pytest.approx(np.mean(dx) + np.mean(dy), rel=1e-13)
    assert float(functional.total_variation_sum(image)) == pytest.approx(sum(dx) + sum(dy), rel=1e-13)
    assert float(functional.total_variation_squares(image)) == pytest.approx(squares, rel=1e-13)


@pytest.mark.parametrize("size", [(8, 8), (8, 16), (40, 24)])
def test_mean_total_variation_of_a_pattern_does_not_grow_with_the_image(size: tuple[int, int]) -> None:
    y, x = torch.meshgrid(*[torch.arange(edge, dtype=torch.float64) for edge in size], indexing="ij")
    checks = ((x + y) % 2).expand(1, 3, *size)  # each pixel is 1 from each of its neighbors
    assert float(functional.total_variation(checks)) == 2
    assert float(functional.total_variation_sum(checks)) == 3 * (size[0] * (size[1] - 1) + size[1] * (size[0] - 1))


def test_total_variation_as_a_sum_grows_with_the_image() -> None:
    image = noise(1, 3, 8, 8)
    larger = functional.total_variation_sum(image.repeat(1, 1, 2, 2)) / functional.total_variation_sum(image)
    assert float(larger) > 4
    assert float(functional.total_variation(image.repeat(1, 1, 2, 2)) / functional.total_variation(image)) < 1.1


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 1, 4), (1, 3, 4, 1)])
def test_an_image_of_one_row_or_column_has_a_finite_total_variation(shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    assert float(functional.total_variation(image)) == pytest.approx(
        float(functional.total_variation_sum(image)) / max(3 * (max(shape[2:]) - 1), 1)
    )
    assert float(functional.total_variation_squares(image)) == 0


@pytest.mark.parametrize(
    "function", [functional.total_variation, functional.total_variation_sum, functional.total_variation_squares]
)
def test_total_variation_of_a_constant_image_is_zero_and_so_is_its_gradient(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    image = torch.full((1, 3, 4, 5), 0.3, dtype=torch.float64, requires_grad=True)
    value = function(image)
    (gradient,) = torch.autograd.grad(value, image)
    assert float(value.detach()) == 0
    assert not gradient.any()


@pytest.mark.parametrize(
    "function",
    [
        functional.gram,
        lambda images: functional.distance(images, torch.ones_like(images)),
        functional.total_variation,
        functional.total_variation_sum,
        lambda images: functional.total_variation_squares(images) / 255**2,
    ],
)
def test_gradients_are_those_of_numerical_differences(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    # |x| has no slope at 0: no two neighbors may differ by as little as the 1e-6 of the numerical difference
    image = noise(1, 3, 4, 5)
    assert min(float(difference.abs().min()) for difference in functional.differences(image)) > 1e-4
    assert torch.autograd.gradcheck(function, image.requires_grad_())
