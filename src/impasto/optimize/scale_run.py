"""One scale of a run: a picture goes down one objective, and what is done where its numbers blow up."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.errors import DivergedError, is_out_of_memory
from impasto.loss.objective import MIN_STRIP, Objective, Terms
from impasto.optimize import optimizers
from impasto.settings.model import Settings
from impasto.vgg.backward import GradientRows

FALLBACK_RATE = 0.1
"""Adam's step after L-BFGS, which stops near a minimum, as a share of the learning rate."""
EXPLODED = 1e3
"""A loss of so many times the first one at a scale is an explosion."""
RECOVERIES = 4
"""Times that a scale goes back to its best picture, with a tenth of the step each time, before it is given up."""
MEMORY, SHORTEST = 20, 3
"""Steps that L-BFGS remembers at most and at least."""
HISTORY = 96 * 2**20
"""Values that it remembers, as far as they are SHORTEST steps: MEMORY steps at 1024x768, 5 at 2048x1536."""
LARGE = 64 * 2**20
"""Values of a picture beyond which Adam takes its place, its moments in half precision, the best picture in 8 bits."""


def remembered(values: int) -> int:
    """Steps that L-BFGS remembers for a picture of so many values; 0 where Adam takes its place."""
    return 0 if values > LARGE else max(min(HISTORY // (2 * values), MEMORY), SHORTEST)


def _is_large(picture: Tensor) -> bool:
    """Whether a picture is so large that what is not shown must do with less precision."""
    return picture.numel() > LARGE


class ScaleRun:
    """The steps at one scale.

    Args:
        objective: what is minimized.
        picture: (1, 3, H, W) float in [0, 1], where to begin.
        settings: which optimizer, and its numbers.
        before: the optimizer of the scale before; the moments of an Adam go on.
    """

    def __init__(
        self, objective: Objective, picture: Tensor, settings: Settings, before: optimizers.Optimizer | None = None
    ) -> None:
        self.objective, self.settings = objective, settings
        memory = remembered(picture.numel()) if settings.optimizer == "lbfgs" else 0
        self.optimizer: optimizers.Optimizer
        if memory:
            self.optimizer = optimizers.LBFGS(picture, memory=memory)
        else:
            self.optimizer = self._adam(picture, settings.learning_rate, before)
        self.average = optimizers.Average(settings.average)
        self.first = self.lowest = math.inf
        self.best = _kept(picture)  # the picture with the lowest loss
        self.shows_best, self.recoveries = False, 0
        self._notes: list[str] = []

    def step(self, number: int) -> tuple[Terms, tuple[str, ...]]:
        """The run's step `number`: the terms of the picture before it, and what is to be told.

        Raises:
            DivergedError: the loss is no longer a number, and no way back helped.
        """
        before = self.optimizer.picture
        terms = self.optimizer.step(self._evaluate)
        total = float(terms.total)
        if math.isinf(self.first):
            self.first = total
        if not self._is_sane(total):
            self._recover(number, total)
        else:
            if total < self.lowest:
                self.lowest, self.best = total, _kept(before)
            if self.optimizer.stalled:
                self._fall_back(number)
            elif isinstance(self.optimizer, optimizers.Adam):
                self.average.update(self.optimizer.picture)
        notes, self._notes = tuple(self._notes), []
        return terms, notes

    @property
    def current(self) -> Tensor:
        """The picture to look at and to save, (1, 3, H, W)."""
        if self.shows_best:
            return self.best.float().div_(255) if self.best.dtype == torch.uint8 else self.best
        return self.average.value if self.average.count else self.optimizer.picture

    def state(self) -> optimizers.State:
        """All that the steps to come depend on."""
        (optimizer, numbers), (average, count) = self.optimizer.state(), self.average.state()
        tensors = {f"optimizer.{name}": each for name, each in optimizer.items()}
        tensors |= {f"average.{name}": each for name, each in average.items()}
        known = {"first": self.first, "lowest": self.lowest}
        return {**tensors, "best": self.best}, {
            "kind": type(self.optimizer).__name__,
            "optimizer": numbers,
            "average": count,
            "shows_best": self.shows_best,
            "recoveries": self.recoveries,
            **{name: loss if math.isfinite(loss) else None for name, loss in known.items()},
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from a state."""
        if numbers["kind"] == "Adam" and isinstance(self.optimizer, optimizers.LBFGS):
            self.optimizer = self._adam(self.optimizer.picture, self.settings.learning_rate)
        self.optimizer.restore(_part(tensors, "optimizer."), numbers["optimizer"])
        self.average.restore(_part(tensors, "average."), numbers["average"])
        self.best, self.shows_best, self.recoveries = tensors["best"], numbers["shows_best"], numbers["recoveries"]
        self.first, self.lowest = (math.inf if numbers[name] is None else numbers[name] for name in ("first", "lowest"))

    def _is_sane(self, total: float) -> bool:
        exploded = math.isfinite(self.first) and 0 < EXPLODED * self.first < total
        # clipped as it is, a picture's sum is a number as long as all its values are
        return math.isfinite(total) and not exploded and math.isfinite(self.optimizer.picture.sum())

    def _recover(self, number: int, total: float) -> None:
        """Go back to the best picture with a tenth of the step, by Adam."""
        self.recoveries, self.shows_best = self.recoveries + 1, True
        if math.isinf(self.lowest) or self.recoveries > RECOVERIES:
            raise DivergedError(
                f"step {number}: the loss is {total:g}; the run ends; lower the weights or --learning-rate"
            )
        if self.recoveries == 1:
            self._notes.append(f"the loss is {total:g} at step {number}; back to the best picture, with smaller steps")
        rate = self.settings.learning_rate * FALLBACK_RATE**self.recoveries
        self.optimizer = self._adam(self.current, rate)

    def _fall_back(self, number: int) -> None:
        """Go on with Adam where L-BFGS finds no way down, keeping the best picture from here on."""
        self.shows_best = True
        self._notes.append(f"L-BFGS can lower the loss no further at step {number}; going on with Adam")
        self.optimizer = self._adam(self.optimizer.picture, FALLBACK_RATE * self.settings.learning_rate)

    def _adam(
        self, picture: Tensor, learning_rate: float, before: optimizers.Optimizer | None = None
    ) -> optimizers.Adam:
        settings = self.settings
        adam = optimizers.Adam(
            picture,
            learning_rate=learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            epsilon=settings.adam_epsilon,
            epsilon_hat=settings.optimizer == "keras-adam",
            moments=torch.bfloat16 if _is_large(picture) else None,
        )
        if isinstance(before, optimizers.Adam):
            adam.inherit(before)
        return adam

    def _evaluate(self, picture: Tensor) -> tuple[Terms, GradientRows]:
        """The objective's value and gradient; in narrower strips from now on where the memory does not suffice."""
        terms, rows = self._begun(picture)
        return terms, self._gradient(picture, rows)

    def _begun(self, picture: Tensor) -> tuple[Terms, GradientRows]:
        while True:
            try:
                return self.objective.value_and_grad_rows(picture)
            except (MemoryError, RuntimeError) as error:
                self._check_narrowable(error)
            self._narrow(picture)

    def _gradient(self, picture: Tensor, rows: GradientRows) -> GradientRows:
        taken = 0
        while taken < picture.shape[2]:
            try:
                for here, gradient in rows:
                    if here.stop > taken:  # begun once more in narrower strips, the first rows come again
                        yield slice(taken, here.stop), gradient[:, :, taken - here.start :]
                        taken = here.stop
            except (MemoryError, RuntimeError) as error:
                self._check_narrowable(error)
            if taken < picture.shape[2]:
                self._narrow(picture)
                _, rows = self._begun(picture)
        if _is_large(picture):
            self.objective.release()  # for the optimizer's use

    def _check_narrowable(self, error: Exception) -> None:
        circular = self.settings.padding == "circular"
        if not is_out_of_memory(error) or self.objective.strip == MIN_STRIP or circular:
            raise error

    def _narrow(self, picture: Tensor) -> None:
        self.objective.narrow(picture.shape[2])
        self._notes.append(f"not enough memory; going on in strips of {self.objective.strip} rows")


def _kept(picture: Tensor) -> Tensor:
    """The picture, which is not changed any more, or a copy in eight bits if it is large."""
    if not _is_large(picture):
        return picture
    levels = torch.empty_like(picture, dtype=torch.uint8)
    for plane, to in zip(picture[0], levels[0], strict=True):
        to.copy_(plane.mul(255).round_())
    return levels


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
