"""Small optimization problems with known minima, in float64."""

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.loss.objective import Terms
from impasto.optimize.adam import Adam
from impasto.optimize.lbfgs import LBFGS
from impasto.optimize.optimizer import Evaluate
from impasto.vgg.backward import GradientRows

SHAPE = (1, 3, 4, 5)
SIZE = 60
Loss = Callable[[Tensor], Tensor]


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(*(shape or SHAPE), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def evaluation(loss: Loss) -> Evaluate:
    """What an objective gives an optimizer, for any loss; the gradient in two bands of rows."""

    def evaluate(image: Tensor) -> tuple[Terms, GradientRows]:
        image = image.detach().requires_grad_()
        value = loss(image)
        (gradient,) = torch.autograd.grad(value, image)
        value = value.detach()
        bands = [(rows, gradient[:, :, rows].clone()) for rows in (slice(0, 1), slice(1, image.shape[2]))]
        return Terms(value, value, *[value * 0] * 3), iter(bands)

    return evaluate


def quadratic(seed: int, *, low: float, high: float) -> tuple[Loss, Tensor, Tensor]:
    """1/2 (x - c)' A (x - c), A of condition 100, c within [low, high]; with A and c."""
    rotation, _ = torch.linalg.qr(uniform(seed, SIZE, SIZE) - 0.5)
    matrix = rotation @ torch.diag(torch.logspace(0, 2, SIZE, dtype=torch.float64)) @ rotation.T
    center = low + (high - low) * uniform(seed + 1, SIZE)
    return lambda x: (x.flatten() - center) @ matrix @ (x.flatten() - center) / 2, matrix, center


def rosenbrock(image: Tensor) -> Tensor:
    """Rosenbrock's valley in 60 dimensions, its minimum moved to 0.7."""
    x = image.flatten() + 0.3
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def minimize(optimizer: Adam | LBFGS, loss: Loss, steps: int) -> list[float]:
    """Take up to `steps` steps; the loss before each."""
    losses = []
    for _ in range(steps):
        losses.append(float(optimizer.step(evaluation(loss)).total))
        assert 0 <= float(optimizer.image.min()) <= float(optimizer.image.max()) <= 1
        if optimizer.stalled:
            break
    return losses
