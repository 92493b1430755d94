"""L-BFGS with box constraints."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.loss.objective import Terms
from impasto.optimize.curvature import CurvaturePairs, dot
from impasto.optimize.optimizer import Evaluate, State
from impasto.vgg import device as devices
from impasto.vgg.backward import gather_gradient


class LBFGS:
    """Projected L-BFGS: the limited-memory quasi-Newton method (Nocedal 1980) on the box [0, 1]^n.

    Each step splits the values of the image into an active and a free set. The active ones lie at a bound or within
    epsilon of it, and the negative gradient points outwards; they move to the bound along it. The free ones move along
    the quasi-Newton direction of their own subspace (two-metric projection, Bertsekas 1982; without the restriction to
    the free set, a projected quasi-Newton step may go uphill), clipped to [0, 1], with a backtracking line search along
    the projection arc.

    All numbers that depend on the image are tensors on its device, and choices are made by `torch.where`: a step on a
    GPU never waits for it. It is one evaluation there, whether its trial is accepted or not. A CPU queues nothing, so
    that reading a value costs nothing: a step there goes on until a trial is accepted, and skips what a rejected trial
    does not need.

    Args:
        image: (1, 3, H, W) float in [0, 1], the initial image; it is copied.
        history_size: number of pairs stored at most, see `CurvaturePairs`.

    Attributes:
        image: the current iterate, modified in place.
        pairs: the history.
        stalled: bool scalar: no step along the negative gradient lowers the loss any more, or the loss is not finite.
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
    MAX_TRIALS = 12
    """Of one line search. As the step at least halves each time, the last one is 1/2048 of the first or less."""

    def __init__(self, image: Tensor, *, history_size: int = 20) -> None:
        self.image = image.clone()
        self.pairs = CurvaturePairs(image, history_size)
        self.stalled = image.new_zeros((), dtype=torch.bool)
        self._synchronous = devices.is_synchronous(image.device)
        self._gradient, self._direction = torch.zeros_like(image), torch.zeros_like(image)
        # at `image`, like the gradient: the numbers of its terms, and the names of their layers
        self._losses: Tensor | None = None
        self._layers: tuple[str, ...] = ()
        # of the line search: the step length, and the number of trials rejected
        self._length = image.new_ones((), dtype=devices.accumulation_dtype(image.device))
        self._rejected = image.new_zeros((), dtype=torch.int64)

    def step(self, evaluate: Evaluate) -> Terms:
        """One step: usually one evaluation; the first one takes two. Returns the terms of the image before it."""
        if self._losses is None:
            self._losses = self._start(evaluate)
        before = Terms.from_stacked(self._losses.clone(), self._layers)
        if not self._synchronous:
            self._try(evaluate)
            return before
        is_over = self.stalled
        while not is_over:
            is_over = self._try(evaluate)
        return before

    def state(self) -> State:
        """The image with its gradient and terms, the stored pairs and their inner products, and the line search."""
        pairs, numbers = self.pairs.state()
        tensors = {"image": self.image, **pairs}
        numbers |= {"length": float(self._length), "rejected": int(self._rejected), "stalled": bool(self.stalled)}
        if self._losses is not None:
            tensors |= {"terms": self._losses, "gradient": self._gradient}
        return tensors, {**numbers, "layers": list(self._layers)}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.image.copy_(tensors["image"])
        self.pairs.restore(tensors, numbers)
        self._length.fill_(numbers["length"])
        self._rejected.fill_(numbers["rejected"])
        self.stalled.fill_(numbers["stalled"])
        if "gradient" in tensors:
            self._losses, self._layers = tensors["terms"].clone(), tuple(numbers["layers"])
            self._gradient.copy_(tensors["gradient"])
            self._direction.copy_(self.direction(self._gradient))

    def _start(self, evaluate: Evaluate) -> Tensor:
        """Evaluate the initial image; return the numbers of its terms."""
        terms, gradient_rows = evaluate(self.image)
        self._layers = tuple(terms.layers)
        self._gradient.copy_(gather_gradient(gradient_rows, self.image))
        self.stalled.copy_(~torch.isfinite(terms.total))
        self._direction.copy_(self.direction(self._gradient))
        return terms.stacked()

    def _try(self, evaluate: Evaluate) -> Tensor:
        """Evaluate one point of the projection arc x(a) = clip(x + a d), and move there if it is accepted.

        Accepted is the first a with f(x(a)) <= f(x) + ARMIJO g'(x(a) - x): the Armijo condition with the slope taken
        along the arc (Bertsekas 1976). Clipping can turn a long step uphill; the first part of the arc goes downhill.

        Returns:
            Whether the line search is over: the trial was accepted, or nothing lowers the loss any more.
        """
        assert self._losses is not None
        loss = self._losses[0].to(self._length.dtype)
        trial = torch.addcmul(self.image, self._direction, self._length.to(self.image.dtype)).clamp_(0, 1)
        slope = dot(self._gradient, trial, minus=self.image)  # g'(x(a) - x), the change of the loss to first order
        terms, gradient_rows = evaluate(trial)
        new_loss = terms.total.to(loss.dtype)
        accepted = (slope < 0) & (new_loss <= loss + self.ARMIJO * slope) & ~self.stalled
        if not self._synchronous or accepted:
            self._move(accepted, trial, gather_gradient(gradient_rows, trial))
            torch.where(accepted, terms.stacked(), self._losses, out=self._losses)
        self._end_trial(_backtracking_factor(loss, slope, new_loss), accepted)
        is_new_search = self._rejected == 0
        if not self._synchronous or is_new_search:
            torch.where(is_new_search, self.direction(self._gradient), self._direction, out=self._direction)
        return accepted | self.stalled

    def _move(self, accepted: Tensor, image: Tensor, gradient: Tensor) -> None:
        """Go to the image of a trial where it was accepted."""
        self.pairs.add(image - self.image, gradient - self._gradient, accepted)
        for current, new in ((self.image, image), (self._gradient, gradient)):
            torch.where(accepted, new, current, out=current)

    def _end_trial(self, factor: Tensor, accepted: Tensor) -> None:
        """Shorten the step for the next trial, or start the next line search where the trial was accepted.

        After MAX_TRIALS the quadratic model does not fit here: the history is dropped, and the next line search is
        along the negative gradient. If that fails, too, the optimizer has stalled.
        """
        self._length.mul_(factor)
        self._rejected.add_(1).masked_fill_(accepted, 0)
        exhausted = self._rejected >= self.MAX_TRIALS
        self.stalled |= exhausted & (self.pairs.count == 0)
        self.pairs.clear(exhausted)
        self._rejected.masked_fill_(exhausted, 0)
        self._length.masked_fill_(self._rejected == 0, 1)

    def direction(self, gradient: Tensor) -> Tensor:
        """The search direction, shaped like `gradient`: quasi-Newton on the free set, to the bounds on the active."""
        scale = self._scale(gradient)
        projected = torch.addcmul(self.image, gradient, scale.to(gradient.dtype), value=-1).clamp_(0, 1)
        projected.sub_(self.image)
        # As Bertsekas 1982: epsilon is at most the length of a projected gradient step, here its largest entry.
        epsilon = projected.abs().max().clamp_max(self.EPSILON)
        active = self._active(gradient, epsilon)
        newton = self.pairs.newton_direction(gradient, active, scale)
        return torch.where(active, projected, newton, out=projected)

    def _scale(self, gradient: Tensor) -> Tensor:
        """The scale of the inverse Hessian; without pairs that of a step with a mean change of INITIAL_STEP."""
        if self._synchronous and self.pairs.count > 0:
            return self.pairs.scale
        mean = gradient.masked_fill(self._active(gradient, 0.0), 0).abs().mean()
        # The smallest normal number as the least mean avoids 0 / 0 at a stationary point, where the direction is 0.
        first = self.INITIAL_STEP / mean.clamp_min(torch.finfo(gradient.dtype).tiny)
        return torch.where(self.pairs.count == 0, first.to(self.pairs.scale.dtype), self.pairs.scale)

    def _active(self, gradient: Tensor, epsilon: Tensor | float) -> Tensor:
        """Which values are within `epsilon` of a bound that the negative gradient points to."""
        return ((self.image <= epsilon) & (gradient > 0)) | ((self.image >= 1 - epsilon) & (gradient < 0))


def _backtracking_factor(loss: Tensor, slope: Tensor, new_loss: Tensor) -> Tensor:
    """The factor for the step length: the minimizer of the parabola through f(0), f'(0) and f(1), within [0.1, 0.5].

    p(t) = loss + slope t + (new_loss - loss - slope) t^2 has its minimum at t = -slope / (2 (new_loss - loss - slope)).
    The limits are the customary safeguards (Nocedal & Wright, section 3.5). A loss that is not finite gives 0.1.
    """
    curvature = new_loss - loss - slope
    factor = (-slope / (2 * curvature)).clamp(0.1, 0.5)
    return factor.masked_fill(~(curvature < float("inf")), 0.1)
