from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from impasto.loss.objective import Terms
from impasto.optimize.optimizers import LBFGS, Adam, Average, Evaluate
from impasto.vgg.backward import GradientRows, gather_gradient

SHAPE = (1, 3, 4, 5)
SIZE = 60
Loss = Callable[[Tensor], Tensor]


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.rand(*(shape or SHAPE), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def evaluation(loss: Loss) -> Evaluate:
    """What an objective gives an optimizer, for any loss; the gradient in two pieces."""

    def evaluate(picture: Tensor) -> tuple[Terms, GradientRows]:
        picture = picture.detach().requires_grad_()
        value = loss(picture)
        (gradient,) = torch.autograd.grad(value, picture)
        value = value.detach()
        pieces = [(rows, gradient[:, :, rows].clone()) for rows in (slice(0, 1), slice(1, picture.shape[2]))]
        return Terms(value, value, value * 0, value * 0), iter(pieces)

    return evaluate


def quadratic(seed: int, *, low: float, high: float) -> tuple[Loss, Tensor, Tensor]:
    """1/2 (x - c)' A (x - c), A of condition 100, c within [low, high]; with A and c."""
    turn, _ = torch.linalg.qr(numbers(seed, SIZE, SIZE) - 0.5)
    matrix = turn @ torch.diag(torch.logspace(0, 2, SIZE, dtype=torch.float64)) @ turn.T
    center = low + (high - low) * numbers(seed + 1, SIZE)
    return lambda x: (x.flatten() - center) @ matrix @ (x.flatten() - center) / 2, matrix, center


def rosenbrock(picture: Tensor) -> Tensor:
    """Rosenbrock's valley in 60 dimensions, its minimum moved to 0.7."""
    x = picture.flatten() + 0.3
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def descend(optimizer: Adam | LBFGS, loss: Loss, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        losses.append(float(optimizer.step(evaluation(loss)).total))
        assert 0 <= float(optimizer.picture.min()) <= float(optimizer.picture.max()) <= 1
        if optimizer.stalled:
            break
    return losses


# -- Adam --


@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_adam_is_torchs_where_nothing_is_clipped(epsilon: float) -> None:
    loss, _, _ = quadratic(0, low=0.4, high=0.6)
    start = 0.3 + 0.4 * numbers(2)
    mine = Adam(start, learning_rate=0.005, betas=(0.8, 0.95), epsilon=epsilon)
    theirs = start.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.005, betas=(0.8, 0.95), eps=epsilon)
    for _ in range(20):
        mine.step(evaluation(loss))
        reference.zero_grad()
        loss(theirs).backward()
        reference.step()
        torch.testing.assert_close(mine.picture, theirs.detach(), rtol=1e-12, atol=1e-12)
    assert 0 < float(mine.picture.min()) < float(mine.picture.max()) < 1
    assert float((mine.picture - start).abs().max()) > 0.03


def test_kerass_adam_adds_epsilon_before_the_bias_is_corrected() -> None:
    loss, _, _ = quadratic(0, low=0.4, high=0.6)
    x = 0.3 + 0.4 * numbers(2)
    mine = Adam(x, learning_rate=0.02, betas=(0.99, 0.999), epsilon=0.1, epsilon_hat=True)
    m, v = torch.zeros_like(x), torch.zeros_like(x)
    for t in range(1, 21):
        g = gather_gradient(evaluation(loss)(x)[1], x)
        m = 0.99 * m + 0.01 * g
        v = 0.999 * v + 0.001 * g**2
        x = x - 0.02 * (1 - 0.999**t) ** 0.5 / (1 - 0.99**t) * m / (v.sqrt() + 0.1)
        mine.step(evaluation(loss))
        torch.testing.assert_close(mine.picture, x, rtol=1e-12, atol=1e-12)
    plain = Adam(0.3 + 0.4 * numbers(2), learning_rate=0.02, betas=(0.99, 0.999), epsilon=0.1)
    descend(plain, loss, 20)
    assert float((plain.picture - x).abs().max()) > 1e-3  # another algorithm


@pytest.mark.parametrize("rate", [0.01, 0.5, 10])
def test_adam_stays_within_bounds_and_reaches_them(rate: float) -> None:
    adam = Adam(numbers(2), learning_rate=rate)
    descend(adam, lambda x: (x - torch.linspace(-2, 3, SIZE, dtype=x.dtype).view(SHAPE)).square().sum(), 150)
    assert float(adam.picture.flatten()[0]) == 0
    assert float(adam.picture.flatten()[-1]) == 1


@pytest.mark.parametrize("make", [lambda x: Adam(x, learning_rate=0.1), LBFGS])
def test_a_step_gives_the_terms_before_it_and_a_new_picture(make: Callable[[Tensor], Adam | LBFGS]) -> None:
    start = numbers(2)
    kept, optimizer = start.clone(), make(start)
    first = optimizer.picture
    terms = optimizer.step(evaluation(rosenbrock))
    assert float(terms.total) == float(rosenbrock(kept))
    assert torch.equal(first, kept)
    assert torch.equal(start, kept)
    assert not torch.equal(optimizer.picture, kept)


# -- L-BFGS --


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (-0.5, 1.5), (1.5, 2.0)])
def test_lbfgs_finds_the_bounded_minimum_that_scipy_finds(low: float, high: float) -> None:
    loss, matrix, center = quadratic(3, low=low, high=high)
    found = scipy.optimize.minimize(
        lambda x: (x - center.numpy()) @ matrix.numpy() @ (x - center.numpy()) / 2,
        np.full(SIZE, 0.5),
        jac=lambda x: matrix.numpy() @ (x - center.numpy()),
        method="L-BFGS-B",
        bounds=[(0, 1)] * SIZE,
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 5000},
    )
    optimizer = LBFGS(numbers(4))
    descend(optimizer, loss, 120)
    np.testing.assert_allclose(optimizer.picture.flatten().numpy(), found.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_the_path_of_lbfgs_does_not_depend_on_the_scale_of_the_loss(scale: float) -> None:
    loss, _, _ = quadratic(3, low=-0.5, high=1.5)
    plain, scaled = LBFGS(numbers(4)), LBFGS(numbers(4))
    descend(plain, loss, 15)
    descend(scaled, lambda x: scale * loss(x), 15)
    torch.testing.assert_close(scaled.picture, plain.picture, rtol=0, atol=1e-9)


def test_lbfgs_goes_down_rosenbrocks_valley_with_every_step() -> None:
    optimizer = LBFGS(numbers(5))
    losses = descend(optimizer, rosenbrock, 150)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-12
    assert float((optimizer.picture - 0.7).abs().max()) < 1e-6


def test_lbfgs_needs_far_fewer_evaluations_than_steepest_descent() -> None:
    loss, _, _ = quadratic(3, low=0.2, high=0.8)
    evaluations = 0

    def counted(picture: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return loss(picture)

    optimizer = LBFGS(numbers(4))
    losses = descend(optimizer, counted, 60)
    assert losses[-1] < 1e-4 * losses[0]  # steepest scale_run with the best of lengths reaches 0.1
    assert evaluations < 75


def test_lbfgs_stalls_at_a_minimum_and_leaves_it_as_it_is() -> None:
    center = numbers(6)
    optimizer = LBFGS(center)
    losses = descend(optimizer, lambda x: (x - center).square().sum(), 5)
    assert (losses, optimizer.stalled) == ([0], True)
    assert torch.equal(optimizer.picture, center)


def test_lbfgs_stalls_in_the_corner_that_the_gradient_pushes_it_into() -> None:
    optimizer = LBFGS(numbers(6))
    losses = descend(optimizer, lambda x: x.sum(), 100)
    assert optimizer.stalled
    assert losses[-1] == 0
    assert not optimizer.picture.any()


def test_lbfgs_that_does_not_stall_says_so() -> None:
    optimizer = LBFGS(numbers(5))
    assert len(descend(optimizer, rosenbrock, 10)) == 10
    assert not optimizer.stalled


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_lbfgs_steps_back_from_where_the_loss_is_no_number(bad: float) -> None:
    moves: list[float] = []
    start = 0.5 + 0.5 * numbers(5)

    def holed(picture: Tensor) -> Tensor:
        moves.append(float((picture.detach() - start).abs().max()))
        return (picture - 0.2).square().sum() * (bad if len(moves) in {2, 3, 4} else 1)

    optimizer = LBFGS(start)
    descend(optimizer, holed, 1)
    assert not optimizer.stalled
    assert moves == pytest.approx([0, *(moves[1] / 10**tries for tries in range(4))])
    descend(optimizer, holed, 30)
    assert float((optimizer.picture - 0.2).abs().max()) < 1e-6


def test_lbfgs_on_a_loss_that_is_no_number_stalls_and_keeps_the_picture() -> None:
    start = numbers(5)
    optimizer = LBFGS(start)
    descend(optimizer, lambda x: (x * float("nan")).sum(), 3)
    assert optimizer.stalled
    assert torch.equal(optimizer.picture, start)


def test_lbfgs_takes_up_no_pair_along_which_the_loss_curves_downwards() -> None:
    optimizer = LBFGS(numbers(5))
    descend(optimizer, lambda x: -(x - 0.4).square().sum(), 1)
    assert not torch.equal(optimizer.picture, numbers(5))
    assert optimizer.remembered == 0
    losses = descend(optimizer, lambda x: -(x - 0.4).square().sum(), 100)
    assert losses[-1] == float(-(optimizer.picture - 0.4).square().sum())
    assert set(optimizer.picture.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("taken", [1, 5, 13])  # fewer, as many and more than are remembered
def test_the_recursion_on_inner_products_is_the_classical_one_on_vectors(taken: int) -> None:
    loss, matrix, _ = quadratic(7, low=0.4, high=0.6)
    optimizer = LBFGS(0.3 + 0.4 * numbers(8), memory=5)
    pairs = []
    for seed in range(5):  # forgotten
        optimizer._remember(numbers(40 + seed), numbers(50 + seed))
    optimizer.remembered = 0
    for seed in range(taken):
        move = 0.1 * (numbers(20 + seed) - 0.5)
        pairs.append((move.flatten(), matrix @ move.flatten()))
        optimizer._remember(move, pairs[-1][1].view(SHAPE))
    gradient = gather_gradient(evaluation(loss)(optimizer.picture)[1], optimizer.picture)
    # Nocedal and Wright, algorithm 7.4
    q, shares = gradient.flatten(), []
    for s, y in reversed(pairs[-5:]):
        shares.append((s @ q) / (y @ s))
        q = q - shares[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), share in zip(pairs[-5:], reversed(shares), strict=True):
        r = r + s * (share - (y @ r) / (y @ s))
    torch.testing.assert_close(optimizer._direction(gradient).flatten(), -r, rtol=1e-9, atol=1e-12)


def test_a_value_at_a_bound_that_is_pushed_outwards_is_held_and_one_pushed_inwards_is_not() -> None:
    _, matrix, _ = quadratic(7, low=0.4, high=0.6)
    start = 0.3 + 0.4 * numbers(8)
    start.view(-1)[:4] = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    optimizer = LBFGS(start)
    move = 0.1 * (numbers(20) - 0.5)
    optimizer._remember(move, (matrix @ move.flatten()).view(SHAPE))
    gradient = numbers(9) - 0.5
    gradient.view(-1)[:4] = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    direction = optimizer._direction(gradient).flatten()
    assert (direction[[0, 3]] == 0).all()
    assert (direction[[1, 2]] != 0).all()


# -- the average --


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.95])
def test_an_average_is_polynomial_first_and_exponential_later(decay: float) -> None:
    average, pictures = Average(decay), [numbers(seed) for seed in range(100)]
    weights: list[float] = []
    for count, picture in enumerate(pictures, start=1):
        average.update(picture)
        share = max(4 / (count + 3), 1 - decay)
        weights = [weight * (1 - share) for weight in weights] + [share]
    assert sum(weights) == pytest.approx(1)
    assert weights[-1] / weights[-2] == pytest.approx(1 / decay)
    torch.testing.assert_close(average.value, sum(w * p for w, p in zip(weights, pictures, strict=True)))


def test_an_average_of_a_short_run_rests_on_its_end() -> None:
    average = Average(0.95)
    for number in range(25):
        average.update(torch.full(SHAPE, number / 24))
    assert float(average.value.mean()) > 0.8


def test_an_average_without_decay_is_the_last_picture() -> None:
    average = Average(0)
    for seed in range(4):
        average.update(numbers(seed))
        assert torch.equal(average.value, numbers(seed))


def test_an_average_changes_neither_what_it_took_nor_what_it_gave() -> None:
    average, first = Average(0.5), numbers(0)
    average.update(first)
    given = average.value
    average.update(numbers(1))
    assert torch.equal(given, numbers(0))
    assert torch.equal(first, numbers(0))
