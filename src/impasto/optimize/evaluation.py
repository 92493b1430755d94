"""Evaluation of an objective for an optimizer, in narrower strips once memory runs out."""

from torch import Tensor

from impasto.errors import is_out_of_memory
from impasto.loss.objective import MIN_STRIP, Objective, Terms
from impasto.settings.model import Settings
from impasto.vgg.backward import GradientRows


def can_retry_narrower(error: Exception, strip: int | None, settings: Settings) -> bool:
    """Whether an evaluation in strips of `strip` rows (None: whole) failed in a way that narrower ones may avoid."""
    # with circular padding the first row is next to the last one, so that an image must be evaluated whole
    return is_out_of_memory(error) and strip != MIN_STRIP and settings.padding != "circular"


class Evaluation:
    """Evaluates an objective; when memory runs out, halves the height of the strips and computes what is missing.

    Args:
        release: whether to free the network's memory after every gradient, so that the optimizer can use it.
    """

    def __init__(self, objective: Objective, settings: Settings, *, release: bool = False) -> None:
        self.objective, self._settings, self._release = objective, settings, release
        self._notes: list[str] = []

    def __call__(self, image: Tensor) -> tuple[Terms, GradientRows]:
        """(1, 3, H, W) -> its terms, and the gradient of the total in bands of rows."""
        terms, gradient_rows = self._forward(image)
        return terms, self._backward(image, gradient_rows)

    def take_notes(self) -> list[str]:
        """The messages for the user since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _forward(self, image: Tensor) -> tuple[Terms, GradientRows]:
        while True:
            try:
                return self.objective.value_and_grad_rows(image)
            except (MemoryError, RuntimeError) as error:
                if not can_retry_narrower(error, self.objective.strip, self._settings):
                    raise
            # after the except clause, where the traceback no longer keeps the failed evaluation's tensors alive
            self._narrow(image)

    def _backward(self, image: Tensor, gradient_rows: GradientRows) -> GradientRows:
        """Yield every row of the gradient once, even if it has to be started over in narrower strips."""
        done = 0
        while done < image.shape[2]:
            try:
                for rows, gradient in gradient_rows:
                    if rows.stop > done:  # rows before `done` come again after a restart
                        yield slice(done, rows.stop), gradient[:, :, done - rows.start :]
                        done = rows.stop
            except (MemoryError, RuntimeError) as error:
                if not can_retry_narrower(error, self.objective.strip, self._settings):
                    raise
            if done < image.shape[2]:
                self._narrow(image)
                _, gradient_rows = self._forward(image)
        if self._release:
            self.objective.release_memory()

    def _narrow(self, image: Tensor) -> None:
        self.objective.narrow_strips(image.shape[2])
        self._notes.append(f"not enough memory; continuing in strips of {self.objective.strip} rows")
