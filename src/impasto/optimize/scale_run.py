"""The optimization at one scale, and its recovery when the loss diverges."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.errors import DivergedError
from impasto.loss.objective import Objective, Terms
from impasto.optimize.adam import Adam, IterateAverage
from impasto.optimize.curvature import CurvaturePairs
from impasto.optimize.evaluation import Evaluation
from impasto.optimize.lbfgs import LBFGS
from impasto.optimize.memory_plan import is_large, lbfgs_history_size
from impasto.optimize.optimizer import Optimizer, State
from impasto.optimize.state_check import Expected, ScaleNumbers, check_tensors
from impasto.optimize.step_graph import StepGraph
from impasto.settings.model import Settings
from impasto.vgg import device as devices
from impasto.vgg.backward import GradientRows

RATE_REDUCTION = 0.1
"""Factor on the learning rate: for Adam after L-BFGS, which has stopped near a minimum, and for every recovery."""
DIVERGENCE_FACTOR = 1e3
"""A loss above this multiple of the scale's first loss counts as diverged."""
CHECK_INTERVAL = 10
"""Steps on a GPU between two reads of whether the loss has diverged: a read waits for all steps that are queued."""
MAX_RECOVERIES = 4
"""Returns to the best image before the run is stopped; the learning rate is then a ten-thousandth of the setting."""


class ScaleRun:
    """The optimization of an image at one scale.

    Args:
        objective: the objective to minimize.
        image: (1, 3, H, W) float in [0, 1], the initial image.
        settings: the optimizer and its parameters.
        coarser: the optimizer of the previous scale; another Adam takes over its moments.
    """

    def __init__(self, objective: Objective, image: Tensor, settings: Settings, coarser: Adam | None = None) -> None:
        self.settings = settings
        self._large = is_large(image.numel())
        self._synchronous = devices.is_synchronous(image.device)
        self._evaluation = Evaluation(objective, settings, release=self._large)
        history_size = lbfgs_history_size(image.numel()) if settings.optimizer == "lbfgs" else 0
        if history_size:
            self._use(LBFGS(image, history_size=history_size))
        else:
            self._use(self._adam(image, settings.learning_rate, coarser))
        self.average = IterateAverage(settings.average)
        dtype = devices.accumulation_dtype(image.device)
        self._first_loss, self._lowest_loss = (
            torch.full((), math.inf, dtype=dtype, device=image.device) for _ in range(2)
        )
        self._has_diverged = image.new_zeros((), dtype=torch.bool)
        # the image with the lowest loss, in 8 bits a channel if it is large
        self.best = torch.empty_like(image, dtype=torch.uint8 if self._large else image.dtype)
        self._store_best(image, ~self._has_diverged)
        # After a recovery, or once L-BFGS has stalled, the result is the best image: Adam's next ones may be worse.
        self.shows_best, self.recoveries = False, 0
        self._unchecked = 0  # steps since the last check for divergence

    @property
    def objective(self) -> Objective:
        """The objective that is minimized."""
        return self._evaluation.objective

    def step(self, number: int, *, is_last: bool) -> tuple[Terms, tuple[str, ...]]:
        """Take the run's step `number`; return the terms of the image before it, and notes for the user.

        Raises:
            DivergedError: the loss is not finite or has exploded, and recovery did not help.
        """
        losses = self._graph(self._take_step)
        notes = [*self._evaluation.take_notes(), *self._graph.take_notes()]
        self._unchecked += 1
        if self._synchronous or is_last or self._unchecked == CHECK_INTERVAL:
            notes += self._check(number, losses[0])
        return Terms.from_stacked(losses, self._layers), tuple(notes)

    @property
    def current(self) -> Tensor:
        """The result so far, (1, 3, H, W) float in [0, 1]: the best image, the average of iterates, or the last one.

        Steps modify it in place.
        """
        if self.shows_best or self._has_diverged:
            return self.best.float().div_(255) if self.best.dtype == torch.uint8 else self.best
        return self.optimizer.image if self.average.value is None else self.average.value

    def release_memory(self) -> None:
        """Free the buffers of the last evaluation; the next one allocates them again."""
        self._use(self.optimizer)  # a recorded step would use them
        self.objective.release_memory()

    def state(self) -> State:
        """All that later steps depend on."""
        (optimizer, optimizer_numbers), (average, average_numbers) = self.optimizer.state(), self.average.state()
        tensors = {f"optimizer.{name}": tensor for name, tensor in optimizer.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
        losses = {"first_loss": float(self._first_loss), "lowest_loss": float(self._lowest_loss)}
        return {**tensors, "best": self.best}, {
            "kind": type(self.optimizer).__name__,
            "optimizer": optimizer_numbers,
            "average": average_numbers,
            "shows_best": self.shows_best,
            "recoveries": self.recoveries,
            **{name: loss if math.isfinite(loss) else None for name, loss in losses.items()},  # JSON has no infinity
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        ScaleNumbers.model_validate(numbers)
        if numbers["kind"] == "Adam" and isinstance(self.optimizer, LBFGS):
            self._use(self._adam(self.optimizer.image, self.settings.learning_rate))
        check_tensors(tensors, self._expected_tensors(tensors, numbers))
        self.optimizer.restore(_with_prefix("optimizer.", tensors), numbers["optimizer"])
        self.average.restore(_with_prefix("average.", tensors), numbers["average"])
        self.best.copy_(tensors["best"])
        self.shows_best, self.recoveries = numbers["shows_best"], numbers["recoveries"]
        for loss, name in ((self._first_loss, "first_loss"), (self._lowest_loss, "lowest_loss")):
            loss.fill_(math.inf if numbers[name] is None else numbers[name])

    def _expected_tensors(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> dict[str, Expected]:
        """The tensors of a state with these numbers; of L-BFGS' pairs there may be any number."""
        image = Expected.like(self.optimizer.image, 0, 1)
        expected = {"optimizer.image": image, "best": image}
        if self._large:
            expected["best"] = Expected.like(self.best, 0, 255)
        if numbers["average"]["count"]:
            expected["average.value"] = image
        if isinstance(self.optimizer, Adam):
            expected["optimizer.first_moment"] = Expected.like(self.optimizer.first_moment)
            expected["optimizer.second_moment"] = Expected.like(self.optimizer.second_moment, low=0)
        elif isinstance(self.optimizer, LBFGS):
            lbfgs, size = numbers["optimizer"], self.optimizer.pairs.size
            stored = CurvaturePairs.stored(lbfgs["count"], lbfgs["newest"], size)
            pair = Expected((stored, self.optimizer.image.numel()), self.optimizer.image.dtype)
            expected |= {"optimizer.s": pair, "optimizer.y": pair}
            rows = 2 * (size + 1) + 1
            expected["optimizer.products"] = Expected((rows, rows), self._lowest_loss.dtype)
            if "optimizer.gradient" in tensors:  # from the first step on
                expected["optimizer.gradient"] = Expected.like(self.optimizer.image)
                expected["optimizer.terms"] = Expected((Terms.stacked_size(lbfgs["layers"]),), torch.float32)
        return expected

    def _use(self, optimizer: Optimizer) -> None:
        """Take the next steps with an optimizer."""
        self.optimizer = optimizer
        self._graph = StepGraph(optimizer.image.device)

    def _take_step(self) -> Tensor:
        """One step without any choice that depends on a number; the terms before it, `Terms.stacked`."""
        terms = self.optimizer.step(self._evaluate)
        self._layers = tuple(terms.layers)
        if self.settings.average and isinstance(self.optimizer, Adam):
            self.average.update(self.optimizer.image)
        self._watch(terms.total)
        return terms.stacked()

    def _evaluate(self, image: Tensor) -> tuple[Terms, GradientRows]:
        """Evaluate the objective, and keep the image if its loss is the lowest so far."""
        terms, gradient_rows = self._evaluation(image)
        self._keep_best(image, terms.total)
        return terms, gradient_rows

    def _keep_best(self, image: Tensor, loss: Tensor) -> None:
        is_best = loss < self._lowest_loss
        if self._synchronous and not is_best:
            return
        self._lowest_loss.copy_(torch.where(is_best, loss, self._lowest_loss))
        self._store_best(image, is_best)

    def _store_best(self, image: Tensor, is_best: Tensor) -> None:
        """Copy an image to `best` where `is_best`."""
        for plane, best in zip(image[0], self.best[0], strict=True):  # one channel's temporaries at a time
            new = plane.mul(255).round_().to(best.dtype) if self._large else plane
            torch.where(is_best, new, best, out=best)

    def _watch(self, loss: Tensor) -> None:
        """Record whether the loss is not finite or has exploded, or the image has values that are not finite."""
        self._first_loss.copy_(torch.where(torch.isinf(self._first_loss), loss, self._first_loss))
        # 0 < ...: a first loss of exactly 0, the content as its own style, is no scale to measure by
        limit = DIVERGENCE_FACTOR * self._first_loss
        exploded = torch.isfinite(limit) & (limit > 0) & (limit < loss)
        # all values are clipped to [0, 1], so that their sum is finite if and only if none of them is NaN
        is_finite = torch.isfinite(loss) & torch.isfinite(self.optimizer.image.sum())
        self._has_diverged |= exploded | ~is_finite

    def _check(self, number: int, loss: Tensor) -> list[str]:
        """Leave a diverged or stalled optimizer for Adam; notes for the user."""
        self._unchecked = 0
        has_diverged, has_stalled = torch.stack([self._has_diverged, self.optimizer.stalled]).tolist()
        if has_diverged:
            return self._recover(number, float(loss))
        return self._continue_with_adam(number) if has_stalled else []

    def _recover(self, number: int, loss: float) -> list[str]:
        """Return to the best image and continue with Adam at a tenth of the learning rate; notes for the user."""
        self.recoveries, self.shows_best = self.recoveries + 1, True
        if torch.isinf(self._lowest_loss) or self.recoveries > MAX_RECOVERIES:
            raise DivergedError(
                f"step {number}: the loss is {loss:g}; the run is stopped; lower the weights or --learning-rate"
            )
        self._use(self._adam(self.current, self.settings.learning_rate * RATE_REDUCTION**self.recoveries))
        self._has_diverged.fill_(False)
        if self.recoveries > 1:
            return []
        return [f"the loss is {loss:g} at step {number}; returning to the best image with a smaller step size"]

    def _continue_with_adam(self, number: int) -> list[str]:
        """Continue with Adam where L-BFGS has stalled; notes for the user."""
        self.shows_best = True
        self._use(self._adam(self.optimizer.image, RATE_REDUCTION * self.settings.learning_rate))
        return [f"L-BFGS cannot lower the loss any further at step {number}; continuing with Adam"]

    def _adam(self, image: Tensor, learning_rate: float, coarser: Adam | None = None) -> Adam:
        settings = self.settings
        adam = Adam(
            image,
            learning_rate=learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            epsilon=settings.adam_epsilon,
            epsilon_hat=settings.optimizer == "keras-adam",
            moments_dtype=torch.bfloat16 if self._large else None,
        )
        if coarser is not None:
            adam.continue_from(coarser)
        return adam


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
