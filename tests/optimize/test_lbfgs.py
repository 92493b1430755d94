from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import torch
from problems import SHAPE, SIZE, Loss, evaluation, minimize, quadratic, rosenbrock, uniform
from torch import Tensor

from impasto.optimize.adam import Adam
from impasto.optimize.lbfgs import LBFGS
from impasto.vgg.backward import gather_gradient

TRUE = torch.tensor(True)


@pytest.fixture(params=["cpu", "gpu"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of device whose steps are taken: several evaluations a step, or one without a read value.

    The few values of the problems here are multiplied in batches on a GPU, as those of an image are.
    """
    monkeypatch.setattr("impasto.optimize.curvature.PIECE", 4)
    monkeypatch.setattr("impasto.vgg.device.is_synchronous", lambda _: request.param == "cpu")
    return request.param


@pytest.mark.parametrize("make", [lambda x: Adam(x, learning_rate=0.1), LBFGS])
def test_a_step_returns_the_terms_before_it_and_makes_a_new_image(make: Callable[[Tensor], Adam | LBFGS]) -> None:
    start = uniform(2)
    kept, optimizer = start.clone(), make(start)
    terms = optimizer.step(evaluation(rosenbrock))
    assert float(terms.total) == float(rosenbrock(kept))
    assert torch.equal(start, kept)
    assert not torch.equal(optimizer.image, kept)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (-0.5, 1.5), (1.5, 2.0)])
def test_lbfgs_finds_the_same_bounded_minimum_as_scipy(low: float, high: float, kind: str) -> None:
    loss, matrix, center = quadratic(3, low=low, high=high)
    found = scipy.optimize.minimize(
        lambda x: (x - center.numpy()) @ matrix.numpy() @ (x - center.numpy()) / 2,
        np.full(SIZE, 0.5),
        jac=lambda x: matrix.numpy() @ (x - center.numpy()),
        method="L-BFGS-B",
        bounds=[(0, 1)] * SIZE,
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 5000},
    )
    optimizer = LBFGS(uniform(4))
    minimize(optimizer, loss, 120)
    np.testing.assert_allclose(optimizer.image.flatten().numpy(), found.x, rtol=0, atol=1e-6)


def stiff(seed: int, condition: float, low: float, high: float) -> tuple[Loss, np.ndarray, np.ndarray]:
    """1/2 (x - c)' A (x - c) in six dimensions, A of that condition, c within [low, high]; with A and c."""
    rotation, _ = torch.linalg.qr(uniform(seed, 6, 6) - 0.5)
    scales = torch.linspace(0, 1, 6, dtype=torch.float64)
    matrix, center = rotation @ torch.diag(condition**scales) @ rotation.T, low + (high - low) * uniform(seed + 1, 6)
    return (
        lambda x: (x.flatten() - center) @ matrix @ (x.flatten() - center) / 2,
        matrix.numpy(),
        center.numpy(),
    )


@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6])
@pytest.mark.parametrize(("low", "high"), [(-2.0, 3.0), (0.0, 1 / 512), (-0.01, 0.02), (0.99, 1.01)])
def test_lbfgs_keeps_its_history_until_it_has_found_the_minimum_that_scipy_finds(
    condition: float, low: float, high: float, kind: str
) -> None:
    for seed in (7, 13, 19, 36, 48, 49, 50, 58):
        loss, matrix, center = stiff(seed, condition, low, high)
        found = scipy.optimize.lsq_linear(
            np.linalg.cholesky(matrix).T, np.linalg.cholesky(matrix).T @ center, (0, 1), tol=1e-14, method="bvls"
        )
        optimizer, pairs, highest = LBFGS(uniform(seed + 2, 1, 3, 2, 1), history_size=10), 0, 0.0
        for _ in range(200):
            value = float(optimizer.step(evaluation(loss)).total)
            highest = max(highest, value)
            if optimizer.stalled or value - found.cost <= 1e-7 * (highest - found.cost):
                break
            assert optimizer.pairs.count >= min(pairs, 10)
            pairs = optimizer.pairs.count
        assert value - found.cost <= 1e-7 * (highest - found.cost)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_the_path_of_lbfgs_does_not_depend_on_the_scale_of_the_loss(scale: float, kind: str) -> None:
    loss, _, _ = quadratic(3, low=-0.5, high=1.5)
    plain, scaled = LBFGS(uniform(4)), LBFGS(uniform(4))
    minimize(plain, loss, 15)
    minimize(scaled, lambda x: scale * loss(x), 15)
    torch.testing.assert_close(scaled.image, plain.image, rtol=0, atol=1e-9)


def test_lbfgs_lowers_the_rosenbrock_function_with_every_step(kind: str) -> None:
    optimizer = LBFGS(uniform(5))
    losses = minimize(optimizer, rosenbrock, 150)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-12
    assert float((optimizer.image - 0.7).abs().max()) < 1e-6


def test_lbfgs_needs_far_fewer_evaluations_than_steepest_descent(kind: str) -> None:
    loss, _, _ = quadratic(3, low=0.2, high=0.8)
    evaluations = 0

    def counted(image: Tensor) -> Tensor:
        nonlocal evaluations
        evaluations += 1
        return loss(image)

    optimizer = LBFGS(uniform(4))
    losses = minimize(optimizer, counted, 60)
    assert losses[-1] < 1e-4 * losses[0]  # steepest descent with exact line searches reaches 0.1
    assert evaluations < 75


def test_lbfgs_stalls_at_a_minimum_and_leaves_it_unchanged(kind: str) -> None:
    center = uniform(6)
    optimizer = LBFGS(center)
    losses = minimize(optimizer, lambda x: (x - center).square().sum(), 20)
    assert (losses, optimizer.stalled) == ([0] * (1 if kind == "cpu" else LBFGS.MAX_TRIALS), True)
    assert torch.equal(optimizer.image, center)


def test_lbfgs_stalls_in_the_corner_that_the_negative_gradient_points_to(kind: str) -> None:
    optimizer = LBFGS(uniform(6))
    losses = minimize(optimizer, lambda x: x.sum(), 100)
    assert optimizer.stalled
    assert losses[-1] == 0
    assert not optimizer.image.any()


def test_lbfgs_is_not_stalled_while_it_makes_progress() -> None:
    optimizer = LBFGS(uniform(5))
    assert len(minimize(optimizer, rosenbrock, 10)) == 10
    assert not optimizer.stalled


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_line_search_backtracks_from_a_loss_that_is_not_finite(bad: float) -> None:
    moves: list[float] = []
    start = 0.5 + 0.5 * uniform(5)

    def loss_with_holes(image: Tensor) -> Tensor:
        moves.append(float((image.detach() - start).abs().max()))
        return (image - 0.2).square().sum() * (bad if len(moves) in {2, 3, 4} else 1)

    optimizer = LBFGS(start)
    minimize(optimizer, loss_with_holes, 1)
    assert not optimizer.stalled
    assert moves == pytest.approx([0, *(moves[1] / 10**tries for tries in range(4))])
    minimize(optimizer, loss_with_holes, 30)
    assert float((optimizer.image - 0.2).abs().max()) < 1e-6


def test_lbfgs_stalls_on_a_loss_that_is_not_finite_and_keeps_the_image() -> None:
    start = uniform(5)
    optimizer = LBFGS(start)
    minimize(optimizer, lambda x: (x * float("nan")).sum(), 3)
    assert optimizer.stalled
    assert torch.equal(optimizer.image, start)


def test_lbfgs_stores_no_pair_with_negative_curvature(kind: str) -> None:
    optimizer = LBFGS(uniform(5))
    minimize(optimizer, lambda x: -(x - 0.4).square().sum(), 1)
    assert not torch.equal(optimizer.image, uniform(5))
    assert optimizer.pairs.count == 0
    losses = minimize(optimizer, lambda x: -(x - 0.4).square().sum(), 100)
    assert losses[-1] == float(-(optimizer.image - 0.4).square().sum())
    assert set(optimizer.image.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("taken", [1, 5, 13])  # fewer than, as many as and more than the history holds
def test_the_two_loop_recursion_on_inner_products_equals_the_one_on_vectors(taken: int) -> None:
    loss, matrix, _ = quadratic(7, low=0.4, high=0.6)
    optimizer = LBFGS(0.3 + 0.4 * uniform(8), history_size=5)
    pairs = []
    for seed in range(5):  # discarded
        optimizer.pairs.add(uniform(40 + seed), uniform(50 + seed), TRUE)
    optimizer.pairs.clear(TRUE)
    assert optimizer.pairs.count == 0
    for seed in range(taken):
        move = 0.1 * (uniform(20 + seed) - 0.5)
        pairs.append((move.flatten(), matrix @ move.flatten()))
        optimizer.pairs.add(move, pairs[-1][1].view(SHAPE), TRUE)
        optimizer.pairs.add(torch.full_like(move, float("nan")), move, TRUE)  # is not kept
        optimizer.pairs.add(move, move, ~TRUE)  # neither
    gradient = gather_gradient(evaluation(loss)(optimizer.image)[1], optimizer.image)
    # Nocedal and Wright, algorithm 7.4
    q, alphas = gradient.flatten(), []
    for s, y in reversed(pairs[-5:]):
        alphas.append((s @ q) / (y @ s))
        q = q - alphas[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs[-5:], reversed(alphas), strict=True):
        r = r + s * (alpha - (y @ r) / (y @ s))
    torch.testing.assert_close(optimizer.direction(gradient).flatten(), -r, rtol=1e-9, atol=1e-12)


def test_values_at_a_bound_are_active_only_if_the_negative_gradient_points_outwards() -> None:
    _, matrix, _ = quadratic(7, low=0.4, high=0.6)
    start = 0.3 + 0.4 * uniform(8)
    start.view(-1)[:4] = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    optimizer = LBFGS(start)
    move = 0.1 * (uniform(20) - 0.5)
    optimizer.pairs.add(move, (matrix @ move.flatten()).view(SHAPE), TRUE)
    gradient = uniform(9) - 0.5
    gradient.view(-1)[:4] = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    direction = optimizer.direction(gradient).flatten()
    assert (direction[[0, 3]] == 0).all()
    assert (direction[[1, 2]] != 0).all()


def test_values_near_a_bound_are_active_too_and_move_there_along_the_negative_gradient() -> None:
    _, matrix, _ = quadratic(7, low=0.4, high=0.6)
    near = LBFGS.EPSILON / 2
    start = 0.3 + 0.4 * uniform(8)
    start.view(-1)[:6] = torch.tensor([near, near, 1 - near, 1 - near, 3 * near, near], dtype=torch.float64)
    optimizer = LBFGS(start)
    move = 0.1 * (uniform(20) - 0.5)
    change = (matrix @ move.flatten()).view(SHAPE)
    optimizer.pairs.add(move, change, TRUE)
    gradient = uniform(9) - 0.5
    gradient.view(-1)[:6] = torch.tensor([9.0, -9.0, 9.0, -9.0, 9.0, 1e-3], dtype=torch.float64)
    direction = optimizer.direction(gradient).flatten()
    assert direction[[0, 3]].tolist() == pytest.approx([-near, near])  # to the bound
    gamma = float((move * change).sum() / change.square().sum())
    assert float(direction[5]) == pytest.approx(-gamma * 1e-3)  # less far than the bound
    # The others are free: their direction is that of the quasi-Newton matrix restricted to them.
    free = torch.ones(SIZE, dtype=torch.bool)
    free[[0, 3, 5]] = False
    s, y, g = move.flatten()[free], change.flatten()[free], gradient.flatten()[free]
    rho = 1 / (y @ s)
    left = torch.eye(len(s), dtype=torch.float64) - rho * torch.outer(s, y)
    inverse = (y @ s) / (y @ y) * left @ left.T + rho * torch.outer(s, s)
    torch.testing.assert_close(direction[free], -inverse @ g, rtol=1e-9, atol=1e-12)
