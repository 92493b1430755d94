"""L-BFGS with box constraints."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.loss.objective import Terms
from impasto.optimize.optimizer import Evaluate, State
from impasto.vgg.backward import gather_gradient

CHUNK_COLUMNS = 2**16
"""Columns of the basis that are gathered at a time: 10 MiB in float32 at 41 rows."""
CHUNK_VALUES = 2**22
"""Values of an image that a dot product multiplies at a time: temporaries of 16 MiB in float32."""


class LBFGS:
    """Projected L-BFGS: the limited-memory quasi-Newton method (Nocedal 1980) on the box [0, 1]^n.

    Each step splits the values of the image into an active and a free set. The active ones lie at a bound or within
    epsilon of it, and the negative gradient points outwards; they move to the bound along it. The free ones move along
    the quasi-Newton direction of their own subspace (two-metric projection, Bertsekas 1982; without the restriction to
    the free set, a projected quasi-Newton step may go uphill), clipped to [0, 1], with a backtracking line search along
    the projection arc.

    The two-loop recursion needs only inner products of the vectors involved (vector-free L-BFGS, Chen et al. 2014).
    They are stored as a matrix and updated by the three new rows of each step, so that a step reads the history four
    times (once per new row, once for the direction) instead of two passes over every pair in turn. The
    restriction to the free set is a correction of that matrix: the inner products over the active set, usually few
    values, are subtracted.

    Args:
        image: (1, 3, H, W) float in [0, 1]; never modified.
        history_size: number of pairs (s, y) stored at most.

    Attributes:
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
    MIN_CURVATURE = 1e-6
    """Least cosine between s and y on the free set at which a pair is used: keeps s'y > 0 and away from rounding."""
    MAX_EVALUATIONS = 12
    """Of one line search. As the step at least halves each time, the last one is 1/2048 of the first or less."""

    def __init__(self, image: Tensor, *, history_size: int = 20) -> None:
        self.image = image
        self.stalled = False
        self.history_size, self.pair_count, self._newest = history_size, 0, -1
        # Memory layout with m = history_size and n values: rows 0 to m-1 hold the image changes s, rows m to 2m-1 the
        # gradient changes y, both as ring buffers with the latest pair in row `_newest`; row 2m holds the gradient on
        # the free set. `_inner_products` = basis basis^T, float64 on the CPU, as the recursion's few thousand
        # operations on scalars would each cost a kernel launch on a GPU.
        self._basis = image.new_zeros(2 * history_size + 1, image.numel())
        self._inner_products = torch.zeros(2 * history_size + 1, 2 * history_size + 1, dtype=torch.float64)
        self._evaluated: tuple[Terms, Tensor] | None = None  # terms and gradient at `image`

    def step(self, evaluate: Evaluate) -> Terms:
        """One step: usually one evaluation, more if the line search has to shorten it."""
        if self._evaluated is None:
            terms, gradient_rows = evaluate(self.image)
            self._evaluated = terms, gather_gradient(gradient_rows, self.image)
        terms, gradient = self._evaluated
        self.stalled = not bool(torch.isfinite(terms.total))
        if not self.stalled and not self._line_search(evaluate, self._direction(gradient)):
            # the quadratic model does not fit here; drop it and retry along the negative gradient
            self.pair_count, self._newest = 0, -1
            self.stalled = not self._line_search(evaluate, self._direction(gradient))
        return terms

    def state(self) -> State:
        """The image with its gradient and terms, the stored pairs and their inner products."""
        s, y = self._basis[: self.pair_count], self._basis[self.history_size :][: self.pair_count]
        tensors = {"image": self.image, "s": s, "y": y, "inner_products": self._inner_products}
        layers: list[str] = []
        if self._evaluated is not None:
            terms, gradient = self._evaluated
            layers = list(terms.layers)
            tensors |= {"terms": torch.stack([*terms[:4], *terms.layers.values()]), "gradient": gradient}
        return tensors, {"newest": self._newest, "layers": layers}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.image, self._inner_products = tensors["image"], tensors["inner_products"].cpu()
        self._newest, self.pair_count = numbers["newest"], len(tensors["s"])
        self._basis[: self.pair_count] = tensors["s"]
        self._basis[self.history_size :][: self.pair_count] = tensors["y"]
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
            slope = _dot(gradient, image, minus=self.image)  # g'(x(a) - x), the change of the loss to first order
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
                self._add_pair(s=image - self.image, y=gradient.neg_().add_(new_gradient))
                self.image, self._evaluated = image, (new_terms, new_gradient)
                return True
            length *= _backtracking_factor(loss, slope, new_loss)
        return False

    def _add_pair(self, s: Tensor, y: Tensor) -> None:
        """Store a pair, replacing the oldest, if the curvature s'y is positive: else the Hessian is not either."""
        if _dot(y, s) <= 0:
            return
        self._newest = (self._newest + 1) % self.history_size
        self._set_row(self._newest, s)
        self._set_row(self.history_size + self._newest, y)
        self.pair_count = min(self.pair_count + 1, self.history_size)

    def _set_row(self, row: int, values: Tensor) -> None:
        """Write a row of the basis, and its inner products with all rows."""
        self._basis[row] = values.flatten()
        self._inner_products[row] = self._inner_products[:, row] = (self._basis @ self._basis[row]).double().cpu()

    def _direction(self, gradient: Tensor) -> Tensor:
        """The search direction, shaped like `gradient`: quasi-Newton on the free set, to the bounds on the active."""
        if self.pair_count == 0:
            # Steepest descent with a mean change of INITIAL_STEP. The smallest normal number as the least mean avoids
            # 0 / 0 at a stationary point, where the direction is then 0.
            free_gradient = gradient.masked_fill(self._active(gradient, 0.0), 0)
            mean = free_gradient.abs().mean().clamp_min(torch.finfo(free_gradient.dtype).tiny)
            return free_gradient * (-self.INITIAL_STEP / float(mean))
        projected = torch.add(self.image, gradient, alpha=-self._scale()).clamp_(0, 1).sub_(self.image)
        # As Bertsekas 1982: epsilon is at most the length of a projected gradient step, here its largest entry.
        active = self._active(gradient, min(self.EPSILON, float(projected.abs().max())))
        self._set_row(2 * self.history_size, gradient.masked_fill(active, 0))
        on_free_set = self._inner_products - self._inner_products_over(active.flatten().nonzero().flatten())
        coefficients = self._two_loop_recursion(on_free_set)
        direction = (coefficients.to(self._basis) @ self._basis).view_as(gradient)
        return torch.where(active, projected, direction, out=direction)

    def _active(self, gradient: Tensor, epsilon: float) -> Tensor:
        """Which values are within `epsilon` of a bound that the negative gradient points to."""
        return ((self.image <= epsilon) & (gradient > 0)) | ((self.image >= 1 - epsilon) & (gradient < 0))

    def _scale(self) -> float:
        """gamma = s'y / y'y of the newest pair, the scale of the inverse Hessian (Nocedal & Wright, eq. 7.20)."""
        s, y = self._newest, self.history_size + self._newest
        return float(self._inner_products[s, y] / self._inner_products[y, y])

    def _inner_products_over(self, columns: Tensor) -> Tensor:
        """The rows' inner products restricted to some columns of the basis, (2m + 1, 2m + 1) float64."""
        products = torch.zeros_like(self._inner_products)
        for chunk in torch.split(columns, CHUNK_COLUMNS):
            part = self._basis[:, chunk]
            products += (part @ part.T).double().cpu()
        return products

    def _two_loop_recursion(self, products: Tensor) -> Tensor:
        """The L-BFGS direction -H g as coefficients (2m + 1,) on the rows of the basis.

        Nocedal & Wright, algorithm 7.4, with every vector replaced by its coefficients: v'w becomes v @ products @ w.
        """
        rows = [(self._newest - age) % self.history_size for age in range(self.pair_count)]  # newest first
        pairs = [(row, self.history_size + row) for row in rows]  # indices of s and y
        norms = products.diagonal().sqrt()
        # restricted to the free set, a pair may have lost its positive curvature
        pairs = [(s, y) for s, y in pairs if products[s, y] > self.MIN_CURVATURE * norms[s] * norms[y]]
        q = torch.zeros(len(products), dtype=products.dtype)
        q[-1] = -1  # -g
        alphas = []
        for s, y in pairs:
            alphas.append(q @ products[s] / products[s, y])
            q[y] -= alphas[-1]
        if pairs:  # initial inverse Hessian gamma I with gamma = s'y / y'y of the newest pair (eq. 7.20)
            s, y = pairs[0]
            q *= products[s, y] / products[y, y]
        for (s, y), alpha in zip(reversed(pairs), reversed(alphas), strict=True):
            beta = q @ products[y] / products[s, y]
            q[s] += alpha - beta
        return q


def _dot(a: Tensor, b: Tensor, minus: Tensor | None = None) -> float:
    """The inner product of `a` and `b`, or `b - minus`, summed in float64 a chunk at a time.

    float32 sums of millions of terms of both signs would lose the sign of a small slope or curvature.
    """
    total = 0.0
    for start in range(0, a.numel(), CHUNK_VALUES):
        chunk = slice(start, start + CHUNK_VALUES)
        factor = b.flatten()[chunk] if minus is None else b.flatten()[chunk] - minus.flatten()[chunk]
        total += float(torch.sum(a.flatten()[chunk] * factor, dtype=torch.float64))
    return total


def _backtracking_factor(loss: float, slope: float, new_loss: float) -> float:
    """The factor for the step length: the minimizer of the parabola through f(0), f'(0) and f(1), within [0.1, 0.5].

    p(t) = loss + slope t + (new_loss - loss - slope) t^2 has its minimum at t = -slope / (2 (new_loss - loss - slope)).
    The limits are the customary safeguards (Nocedal & Wright, section 3.5). A loss that is not finite gives 0.1.
    """
    curvature = new_loss - loss - slope
    return min(max(-slope / (2 * curvature), 0.1), 0.5) if curvature < float("inf") else 0.1
