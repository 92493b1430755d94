"""L-BFGS with box constraints."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.loss.objective import Terms
from impasto.optimize.curvature import CurvaturePairs, dot
from impasto.optimize.optimizer import Evaluate, State
from impasto.vgg.backward import gather_gradient


class LBFGS:
    """Projected L-BFGS: the limited-memory quasi-Newton method (Nocedal 1980) on the box [0, 1]^n.

    Each step splits the values of the image into an active and a free set. The active ones lie at a bound or within
    epsilon of it, and the negative gradient points outwards; they move to the bound along it. The free ones move along
    the quasi-Newton direction of their own subspace (two-metric projection, Bertsekas 1982; without the restriction to
    the free set, a projected quasi-Newton step may go uphill), clipped to [0, 1], with a backtracking line search along
    the projection arc.

    Args:
        image: (1, 3, H, W) float in [0, 1]; never modified.
        history_size: number of pairs stored at most, see `CurvaturePairs`.

    Attributes:
        pairs: the history.
        stalled: no step along the negative gradient lowers the loss any more, or the loss is not finite.
    """

    INITIAL_STEP = 0.01
    """Mean change of a free value in the first step, when the curvature is unknown: a visible but safe change."""
    ARMIJO = 1e-4
    """c1 of the Armijo condition (Nocedal & Wright, eq. 3.4), the customary value."""
    EPSILON = 1 / 512
    """Largest distance from a bound at which a value may be active: half a level of 8 bits.

    A value closer to its bound than the step is long would be clipped at once, and the direction of the others, which
    assumes that it moves, would be wrong. At a minimum in the interior epsilon falls to 0 with the gradient.
    """
    MAX_EVALUATIONS = 12
    """Of one line search. As the step at least halves each time, the last one is 1/2048 of the first or less."""

    def __init__(self, image: Tensor, *, history_size: int = 20) -> None:
        self.image = image
        self.stalled = False
        self.pairs = CurvaturePairs(image, history_size)
        self._evaluated: tuple[Terms, Tensor] | None = None  # terms and gradient at `image`

    def step(self, evaluate: Evaluate) -> Terms:
        """One step: usually one evaluation, more if the line search has to shorten it."""
        if self._evaluated is None:
            terms, gradient_rows = evaluate(self.image)
            self._evaluated = terms, gather_gradient(gradient_rows, self.image)
        terms, gradient = self._evaluated
        self.stalled = not bool(torch.isfinite(terms.total))
        if not self.stalled and not self._line_search(evaluate, self.direction(gradient)):
            # the quadratic model does not fit here; drop it and retry along the negative gradient
            self.pairs.clear()
            self.stalled = not self._line_search(evaluate, self.direction(gradient))
        return terms

    def state(self) -> State:
        """The image with its gradient and terms, the stored pairs and their inner products."""
        pairs, numbers = self.pairs.state()
        tensors = {"image": self.image, **pairs}
        layers: list[str] = []
        if self._evaluated is not None:
            terms, gradient = self._evaluated
            layers = list(terms.layers)
            tensors |= {"terms": torch.stack([*terms[:4], *terms.layers.values()]), "gradient": gradient}
        return tensors, {**numbers, "layers": layers}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.image = tensors["image"]
        self.pairs.restore(tensors, numbers)
        if "gradient" in tensors:
            total, content, style, tv, *layer_losses = tensors["terms"].unbind()
            layers = dict(zip(numbers["layers"], layer_losses, strict=True))
            self._evaluated = Terms(total, content, style, tv, layers), tensors["gradient"]

    def _line_search(self, evaluate: Evaluate, direction: Tensor) -> bool:
        """Backtrack along the projection arc x(a) = clip(x + a d) from a = 1; whether a step was accepted and taken.

        Accepted is the first a with f(x(a)) <= f(x) + ARMIJO g'(x(a) - x): the Armijo condition with the slope taken
        along the arc (Bertsekas 1976).
        """
        assert self._evaluated is not None
        terms, gradient = self._evaluated
        length, loss = 1.0, float(terms.total)
        for _ in range(self.MAX_EVALUATIONS):
            image = torch.add(self.image, direction, alpha=length).clamp_(0, 1)
            slope = dot(gradient, image, minus=self.image)  # g'(x(a) - x), the change of the loss to first order
            if slope >= 0:  # clipping can turn a long step uphill; the first part of the arc goes downhill
                length *= 0.1
                continue
            if not math.isfinite(slope):
                return False
            new_terms, gradient_rows = evaluate(image)
            new_loss = float(new_terms.total)
            if new_loss <= loss + self.ARMIJO * slope:
                del direction  # frees its memory for s below
                new_gradient = gather_gradient(gradient_rows, image)
                # y = g_new - g is computed in place of g, which is not needed any more
                self.pairs.add(s=image - self.image, y=gradient.neg_().add_(new_gradient))
                self.image, self._evaluated = image, (new_terms, new_gradient)
                return True
            length *= _backtracking_factor(loss, slope, new_loss)
        return False

    def direction(self, gradient: Tensor) -> Tensor:
        """The search direction, shaped like `gradient`: quasi-Newton on the free set, to the bounds on the active."""
        if self.pairs.count == 0:
            # Steepest descent with a mean change of INITIAL_STEP. The smallest normal number as the least mean avoids
            # 0 / 0 at a stationary point, where the direction is then 0.
            free_gradient = gradient.masked_fill(self._active(gradient, 0.0), 0)
            mean = free_gradient.abs().mean().clamp_min(torch.finfo(free_gradient.dtype).tiny)
            return free_gradient * (-self.INITIAL_STEP / float(mean))
        projected = torch.add(self.image, gradient, alpha=-self.pairs.scale).clamp_(0, 1).sub_(self.image)
        # As Bertsekas 1982: epsilon is at most the length of a projected gradient step, here its largest entry.
        active = self._active(gradient, min(self.EPSILON, float(projected.abs().max())))
        direction = self.pairs.newton_direction(gradient, active)
        return torch.where(active, projected, direction, out=direction)

    def _active(self, gradient: Tensor, epsilon: float) -> Tensor:
        """Which values are within `epsilon` of a bound that the negative gradient points to."""
        return ((self.image <= epsilon) & (gradient > 0)) | ((self.image >= 1 - epsilon) & (gradient < 0))


def _backtracking_factor(loss: float, slope: float, new_loss: float) -> float:
    """The factor for the step length: the minimizer of the parabola through f(0), f'(0) and f(1), within [0.1, 0.5].

    p(t) = loss + slope t + (new_loss - loss - slope) t^2 has its minimum at t = -slope / (2 (new_loss - loss - slope)).
    The limits are the customary safeguards (Nocedal & Wright, section 3.5). A loss that is not finite gives 0.1.
    """
    curvature = new_loss - loss - slope
    return min(max(-slope / (2 * curvature), 0.1), 0.5) if curvature < float("inf") else 0.1
