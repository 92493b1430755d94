"""The interface between the optimization at one scale and its optimizer."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from impasto.loss.objective import Terms
from impasto.vgg.backward import GradientRows

Evaluate = Callable[[Tensor], tuple[Terms, GradientRows]]
"""image (1, 3, H, W) -> its terms, and the gradient of the total in bands of rows, which the optimizer may overwrite.

The bands are computed while they are iterated over; all of them must be read before the next evaluation.
"""

State = tuple[dict[str, Tensor], dict[str, Any]]
"""What a checkpoint stores of an object so that it continues bit for bit: tensors, and JSON-serializable values."""


class Optimizer(Protocol):
    """An optimizer of one image, which it keeps within [0, 1]: what is optimized is what gets saved.

    Attributes:
        image: (1, 3, H, W) float in [0, 1], the current iterate, modified in place by every step.
        stalled: bool scalar: the optimizer cannot lower the loss any further.
    """

    image: Tensor
    stalled: Tensor

    def step(self, evaluate: Evaluate) -> Terms:
        """Replace `image` by the next iterate; return the terms of the previous one.

        All that a step changes are tensors, in place, so that a step can be recorded and replayed; from the second step
        on it reads no value of a GPU.
        """

    def state(self) -> State:
        """The state for a checkpoint; the tensors are views, not copies."""

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state, whose tensors are copied."""
