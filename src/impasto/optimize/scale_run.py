"""The optimization at one scale, and its recovery when the loss diverges."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.errors import DivergedError
from impasto.loss.objective import Objective, Terms
from impasto.optimize.adam import Adam, IterateAverage
from impasto.optimize.evaluation import Evaluation
from impasto.optimize.lbfgs import LBFGS
from impasto.optimize.memory_plan import is_large, lbfgs_history_size
from impasto.optimize.optimizer import Optimizer, State
from impasto.optimize.state_check import Expected, ScaleNumbers, check_tensors
from impasto.settings.model import Settings

RATE_REDUCTION = 0.1
"""Factor on the learning rate: for Adam after L-BFGS, which has stopped near a minimum, and for every recovery."""
DIVERGENCE_FACTOR = 1e3
"""A loss above this multiple of the scale's first loss counts as diverged."""
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
        self._evaluation = Evaluation(objective, settings, release=self._large)
        history_size = lbfgs_history_size(image.numel()) if settings.optimizer == "lbfgs" else 0
        self.optimizer: Optimizer
        if history_size:
            self.optimizer = LBFGS(image, history_size=history_size)
        else:
            self.optimizer = self._adam(image, settings.learning_rate, coarser)
        self.average = IterateAverage(settings.average)
        self.first_loss = self.lowest_loss = math.inf
        self.best = self._stored(image)  # the image with the lowest loss
        # After a recovery, or once L-BFGS has stalled, the result is the best image: Adam's next ones may be worse.
        self.shows_best, self.recoveries = False, 0

    @property
    def objective(self) -> Objective:
        """The objective that is minimized."""
        return self._evaluation.objective

    def step(self, number: int) -> tuple[Terms, tuple[str, ...]]:
        """Take the run's step `number`; return the terms of the image before it, and notes for the user.

        Raises:
            DivergedError: the loss is not finite or has exploded, and recovery did not help.
        """
        before = self.optimizer.image
        terms = self.optimizer.step(self._evaluation)
        loss = float(terms.total)
        if math.isinf(self.first_loss):
            self.first_loss = loss
        notes = []
        if self._has_diverged(loss):
            notes = self._recover(number, loss)
        else:
            if loss < self.lowest_loss:
                self.lowest_loss, self.best = loss, self._stored(before)
            if self.optimizer.stalled:
                notes = self._continue_with_adam(number)
            elif isinstance(self.optimizer, Adam):
                self.average.update(self.optimizer.image)
        return terms, (*self._evaluation.take_notes(), *notes)

    @property
    def current(self) -> Tensor:
        """The result so far, (1, 3, H, W) float in [0, 1]: the best image, the average of iterates, or the last one."""
        if self.shows_best:
            return self.best.float().div_(255) if self.best.dtype == torch.uint8 else self.best
        return self.average.value if self.average.count else self.optimizer.image

    def state(self) -> State:
        """All that later steps depend on."""
        (optimizer, optimizer_numbers), (average, average_numbers) = self.optimizer.state(), self.average.state()
        tensors = {f"optimizer.{name}": tensor for name, tensor in optimizer.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
        losses = {"first_loss": self.first_loss, "lowest_loss": self.lowest_loss}
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
            self.optimizer = self._adam(self.optimizer.image, self.settings.learning_rate)
        check_tensors(tensors, self._expected_tensors(tensors, numbers))
        self.optimizer.restore(_with_prefix("optimizer.", tensors), numbers["optimizer"])
        self.average.restore(_with_prefix("average.", tensors), numbers["average"])
        self.best, self.shows_best, self.recoveries = tensors["best"], numbers["shows_best"], numbers["recoveries"]
        self.first_loss, self.lowest_loss = (
            math.inf if numbers[name] is None else numbers[name] for name in ("first_loss", "lowest_loss")
        )

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
            rows, pairs = 2 * self.optimizer.pairs.size + 1, len(tensors["optimizer.s"])
            if max(pairs, numbers["optimizer"]["newest"] + 1) > self.optimizer.pairs.size:
                raise ValueError(f"L-BFGS has {pairs} pairs, at most {self.optimizer.pairs.size} are kept")
            pair = Expected((pairs, self.optimizer.image.numel()), self.optimizer.image.dtype)
            expected |= {"optimizer.s": pair, "optimizer.y": pair}
            expected["optimizer.inner_products"] = Expected((rows, rows), torch.float64)
            if "optimizer.gradient" in tensors:  # from the first step on
                expected["optimizer.gradient"] = Expected.like(self.optimizer.image)
                expected["optimizer.terms"] = Expected((4 + len(numbers["optimizer"]["layers"]),), torch.float32)
        return expected

    def _has_diverged(self, loss: float) -> bool:
        """Whether the loss is not finite or has exploded, or the image has values that are not finite."""
        # 0 < ...: a first loss of exactly 0, the content as its own style, is no scale to measure by
        exploded = math.isfinite(self.first_loss) and 0 < DIVERGENCE_FACTOR * self.first_loss < loss
        # all values are clipped to [0, 1], so that their sum is finite if and only if none of them is NaN
        return not math.isfinite(loss) or exploded or not math.isfinite(self.optimizer.image.sum())

    def _recover(self, number: int, loss: float) -> list[str]:
        """Return to the best image and continue with Adam at a tenth of the learning rate; notes for the user."""
        self.recoveries, self.shows_best = self.recoveries + 1, True
        if math.isinf(self.lowest_loss) or self.recoveries > MAX_RECOVERIES:
            raise DivergedError(
                f"step {number}: the loss is {loss:g}; the run is stopped; lower the weights or --learning-rate"
            )
        self.optimizer = self._adam(self.current, self.settings.learning_rate * RATE_REDUCTION**self.recoveries)
        if self.recoveries > 1:
            return []
        return [f"the loss is {loss:g} at step {number}; returning to the best image with a smaller step size"]

    def _continue_with_adam(self, number: int) -> list[str]:
        """Continue with Adam where L-BFGS has stalled; notes for the user."""
        self.shows_best = True
        self.optimizer = self._adam(self.optimizer.image, RATE_REDUCTION * self.settings.learning_rate)
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

    def _stored(self, image: Tensor) -> Tensor:
        """The image itself, which no optimizer modifies, or a copy in 8 bits a channel if it is large."""
        if not self._large:
            return image
        levels = torch.empty_like(image, dtype=torch.uint8)
        for plane, plane_levels in zip(image[0], levels[0], strict=True):  # one channel's temporaries at a time
            plane_levels.copy_(plane.mul(255).round_())
        return levels


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
