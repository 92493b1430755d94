"""The quasi-Newton matrix of L-BFGS, from pairs of image and gradient changes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.optimize.optimizer import State

CHUNK_COLUMNS = 2**16
"""Columns of the basis that are gathered at a time: 10 MiB in float32 at 41 rows."""
CHUNK_VALUES = 2**22
"""Values of an image that a dot product multiplies at a time: temporaries of 16 MiB in float32."""


class CurvaturePairs:
    """The latest pairs (s, y) of changes of the image and of the gradient.

    The two-loop recursion needs only inner products of the vectors involved (vector-free L-BFGS, Chen et al. 2014).
    They are stored as a matrix and updated by the three new rows of each step, so that a step reads the history four
    times (once per new row, once for the direction) instead of two passes over every pair in turn. The
    restriction to the free set is a correction of that matrix: the inner products over the active set, usually few
    values, are subtracted.

    Args:
        image: as many values as the pairs have, of their dtype and on their device.
        size: number of pairs stored at most.

    Attributes:
        count: number of pairs stored.
    """

    MIN_CURVATURE = 1e-6
    """Least cosine between s and y on the free set at which a pair is used: keeps s'y > 0 and away from rounding."""

    def __init__(self, image: Tensor, size: int) -> None:
        self.size, self.count, self._newest = size, 0, -1
        # Memory layout with m = size and n values: rows 0 to m-1 hold the image changes s, rows m to 2m-1 the
        # gradient changes y, both as ring buffers with the latest pair in row `_newest`; row 2m holds the gradient on
        # the free set. `_inner_products` = basis basis^T, float64 on the CPU, as the recursion's few thousand
        # operations on scalars would each cost a kernel launch on a GPU.
        self._basis = image.new_zeros(2 * size + 1, image.numel())
        self._inner_products = torch.zeros(2 * size + 1, 2 * size + 1, dtype=torch.float64)

    def add(self, s: Tensor, y: Tensor) -> None:
        """Store a pair, replacing the oldest, if the curvature s'y is positive: else the Hessian is not either."""
        if dot(y, s) <= 0:
            return
        self._newest = (self._newest + 1) % self.size
        self._set_row(self._newest, s)
        self._set_row(self.size + self._newest, y)
        self.count = min(self.count + 1, self.size)

    def clear(self) -> None:
        """Forget all pairs."""
        self.count, self._newest = 0, -1

    def newton_direction(self, gradient: Tensor, active: Tensor) -> Tensor:
        """-H g, shaped like `gradient`, of the quasi-Newton matrix H restricted to the values that are not `active`."""
        self._set_row(2 * self.size, gradient.masked_fill(active, 0))
        on_free_set = self._inner_products - self._inner_products_over(active.flatten().nonzero().flatten())
        coefficients = self._two_loop_recursion(on_free_set)
        return (coefficients.to(self._basis) @ self._basis).view_as(gradient)

    def state(self) -> State:
        """The pairs and their inner products; the row of the latest pair."""
        s, y = self._basis[: self.count], self._basis[self.size :][: self.count]
        return {"s": s, "y": y, "inner_products": self._inner_products}, {"newest": self._newest}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._inner_products = tensors["inner_products"].cpu()
        self._newest, self.count = numbers["newest"], len(tensors["s"])
        self._basis[: self.count] = tensors["s"]
        self._basis[self.size :][: self.count] = tensors["y"]

    def _set_row(self, row: int, values: Tensor) -> None:
        """Write a row of the basis, and its inner products with all rows."""
        self._basis[row] = values.flatten()
        self._inner_products[row] = self._inner_products[:, row] = (self._basis @ self._basis[row]).double().cpu()

    @property
    def scale(self) -> float:
        """gamma = s'y / y'y of the newest pair, the scale of the inverse Hessian (Nocedal & Wright, eq. 7.20)."""
        s, y = self._newest, self.size + self._newest
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
        rows = [(self._newest - age) % self.size for age in range(self.count)]  # newest first
        pairs = [(row, self.size + row) for row in rows]  # indices of s and y
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


def dot(a: Tensor, b: Tensor, minus: Tensor | None = None) -> float:
    """The inner product of `a` and `b`, or `b - minus`, summed in float64 a chunk at a time.

    float32 sums of millions of terms of both signs would lose the sign of a small slope or curvature.
    """
    total = 0.0
    for start in range(0, a.numel(), CHUNK_VALUES):
        chunk = slice(start, start + CHUNK_VALUES)
        factor = b.flatten()[chunk] if minus is None else b.flatten()[chunk] - minus.flatten()[chunk]
        total += float(torch.sum(a.flatten()[chunk] * factor, dtype=torch.float64))
    return total
