"""The quasi-Newton matrix of L-BFGS, from pairs of image and gradient changes."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from impasto.optimize.optimizer import State
from impasto.vgg import device as devices

CPU_CHUNK_BYTES, GPU_CHUNK_BYTES = 2**24, 2**28
"""Bytes of temporaries for sums over an image or the history: on a CPU they stay in its caches."""
PIECE = 2**13
"""GPU: columns of the history that one product of a batch multiplies: 96 products at 512x512."""


class CurvaturePairs:
    """The latest pairs (s, y) of changes of the image and of the gradient.

    The recursion of L-BFGS needs only inner products of the vectors involved (vector-free L-BFGS, Chen et al. 2014).
    They are stored as a matrix and updated by the three new rows of each step, so that a step reads the history four
    times (twice for the new rows, once each for the free set and the direction) instead of two passes over every pair
    in turn. The restriction to the free set is a correction of that matrix: the inner products over the active set are
    subtracted.

    Nothing here waits for a GPU: which pair is the newest, and how many there are, are tensors.

    Args:
        image: as many values as the pairs have, of their dtype and on their device.
        size: number of pairs stored at most.

    Attributes:
        count: number of pairs stored, int64 scalar.
        scale: gamma = s'y / y'y of the newest pair, the scale of the inverse Hessian (Nocedal & Wright, eq. 7.20).
    """

    MIN_CURVATURE = 1e-6
    """Least cosine between s and y on the free set at which a pair is used: keeps s'y > 0 and away from rounding."""

    def __init__(self, image: Tensor, size: int) -> None:
        self.size, self._slots = size, size + 1
        # Memory layout with k = size + 1 slots and n values: rows 0 to k-1 hold the image changes s, rows k to 2k-1 the
        # gradient changes y, both as ring buffers with the latest pair in slot `newest`; row 2k holds the gradient on
        # the free set. A pair is written to the slot after the newest before it is known whether it counts, so that
        # one slot is always unused. `_products` = basis basis^T.
        rows = 2 * self._slots + 1
        dtype = devices.accumulation_dtype(image.device)
        self._basis = image.new_zeros(rows, image.numel())
        self._products = image.new_zeros(rows, rows, dtype=dtype)
        self.scale = image.new_zeros((), dtype=dtype)
        self.count, self._newest = (torch.zeros((), dtype=torch.int64, device=image.device) for _ in range(2))
        self.clear(self.count == 0)

    def add(self, s: Tensor, y: Tensor, wanted: Tensor) -> None:
        """Store a pair, replacing the oldest, where `wanted` (bool scalar) and the curvature s'y is positive.

        With a curvature that is not positive the Hessian is not positive definite either.
        """
        curvature = dot(y, s)
        kept = wanted & (curvature > 0)
        slot = (self._newest + 1).view(1) % self._slots
        # 0 instead of what may not be finite: all rows are factors of a direction, if only with a coefficient of 0
        self._basis[slot] = s.masked_fill(~kept, 0).flatten()
        self._basis[slot + self._slots] = y.masked_fill(~kept, 0).flatten()
        self._update_products(torch.cat([slot, slot + self._slots]))
        self.scale.copy_(torch.where(kept, curvature / dot(y, y), self.scale))
        self._newest.copy_(torch.where(kept, slot[0], self._newest))
        self.count.copy_(torch.where(kept, (self.count + 1).clamp_max(self.size), self.count))

    def clear(self, wanted: Tensor) -> None:
        """Forget all pairs where `wanted` (bool scalar)."""
        self.count.masked_fill_(wanted, 0)
        self._newest.masked_fill_(wanted, self.size)  # the next slot is 0

    def newton_direction(self, gradient: Tensor, active: Tensor, scale: Tensor) -> Tensor:
        """-H g, shaped like `gradient`, of the quasi-Newton matrix H restricted to the values that are not `active`.

        `scale`: of H if no pair has a positive curvature there.
        """
        last = torch.full_like(self._newest, len(self._basis) - 1).view(1)
        self._basis[-1] = gradient.masked_fill(active, 0).flatten()
        self._update_products(last)
        coefficients = self._coefficients(self._products - self._products_over(active.flatten()), scale)
        return (coefficients.to(self._basis.dtype) @ self._basis).view_as(gradient)

    def state(self) -> State:
        """The pairs in the order of their slots, and their inner products; the number of pairs, and the newest slot."""
        count, newest = int(self.count), int(self._newest)
        stored = self.stored(count, newest, self.size)
        s, y = self._basis[:stored], self._basis[self._slots :][:stored]
        numbers = {"count": count, "newest": newest, "scale": float(self.scale)}
        return {"s": s, "y": y, "products": self._products}, numbers

    @staticmethod
    def stored(count: int, newest: int, size: int) -> int:
        """How many slots of a state hold pairs: all of them once the ring has wrapped around.

        Raises:
            ValueError: no history of `size` pairs has `count` pairs and this newest slot.
        """
        if count > size or newest > size or (count < size and newest != (count - 1) % (size + 1)):
            raise ValueError(f"L-BFGS has {count} of {size} pairs, the newest in slot {newest}")
        return count if newest == (count - 1) % (size + 1) else size + 1

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state."""
        used = len(tensors["s"])
        self._basis[:used], self._basis[self._slots :][:used] = tensors["s"], tensors["y"]
        self._products.copy_(tensors["products"])
        self.count.fill_(numbers["count"])
        self._newest.fill_(numbers["newest"])
        self.scale.fill_(numbers["scale"])

    def _update_products(self, rows: Tensor) -> None:
        """Compute the inner products of some rows of the basis, (k,) int64, with all rows."""
        new = self._products.new_zeros(len(rows), len(self._products))
        for chunk in self._chunks():
            part = self._basis[:, chunk]
            new += _inner_products(part[rows], part).to(new.dtype)
        self._products[rows] = new
        self._products[:, rows] = new.T

    def _products_over(self, active: Tensor) -> Tensor:
        """The rows' inner products restricted to the `active` columns of the basis, (n,) bool."""
        products = torch.zeros_like(self._products)
        if devices.is_synchronous(active.device):
            # They are few: gathering them takes a fraction of the time of multiplying all.
            for columns in torch.split(active.nonzero().flatten(), self._chunk_columns):
                part = self._basis[:, columns]
                products += (part @ part.T).to(products.dtype)
        else:
            # A GPU would have to wait for their number.
            for chunk in self._chunks():
                part = self._basis[:, chunk]
                products += _inner_products(part * active[chunk], part).to(products.dtype)
        return products

    def _coefficients(self, products: Tensor, scale: Tensor) -> Tensor:
        """The L-BFGS direction -H g as coefficients on the rows of the basis.

        The compact representation (Byrd, Nocedal, Schnabel 1994, theorem 2.2), with R the upper triangle of S'Y, D its
        diagonal, and p = R^-1 S'g:

            H g = gamma g + S R^-T ((D + gamma Y'Y) p - gamma Y'g) - gamma Y p
        """
        age = torch.arange(self.size - 1, -1, -1, device=products.device)  # oldest pair first
        s_rows = (self._newest - age) % self._slots
        y_rows, last = s_rows + self._slots, len(products) - 1
        by_y = products[:, y_rows]
        sy, yy = by_y[s_rows], by_y[y_rows]
        curvatures, norms = sy.diagonal(), products.diagonal().sqrt()
        # restricted to the free set, a pair may have lost its positive curvature
        used = (age < self.count) & (curvatures > self.MIN_CURVATURE * norms[s_rows] * norms[y_rows])
        # Pairs that are not used drop out with the row and column of an identity in R, and zeros elsewhere.
        identity = torch.eye(self.size, dtype=products.dtype, device=products.device)
        triangle = torch.where(used & used[:, None], sy.triu(), identity)
        newest = used & (used.flip(0).cumsum(0).flip(0) == 1)
        newest_scale = (curvatures / yy.diagonal()).masked_fill(~newest, 0).sum()
        gamma = torch.where(used.any(), newest_scale, scale)
        p = _solve(triangle, products[s_rows, last].masked_fill(~used, 0), transposed=False)
        inner = curvatures * p + gamma * (yy @ p - products[y_rows, last])
        of_s = _solve(triangle, inner.masked_fill(~used, 0), transposed=True)
        coefficients = torch.zeros_like(products[0])
        coefficients[s_rows], coefficients[y_rows] = -of_s, gamma * p
        coefficients[-1] = -gamma
        return coefficients

    @property
    def _chunk_columns(self) -> int:
        return max(_chunk_values(self._basis) // len(self._basis), 1)

    def _chunks(self) -> Iterator[slice]:
        """The columns of the basis in chunks."""
        columns = self._chunk_columns
        return (slice(start, start + columns) for start in range(0, self._basis.shape[1], columns))


def _solve(triangle: Tensor, right: Tensor, *, transposed: bool) -> Tensor:
    """x with R x = right, or R' x = right, for an upper triangular R."""
    matrix = triangle.T if transposed else triangle
    solution: Tensor = torch.linalg.solve_triangular(matrix, right[:, None], upper=not transposed)
    return solution[:, 0]


def _inner_products(left: Tensor, right: Tensor) -> Tensor:
    """(j, n), (k, n) -> the inner products of their rows (j, k), with n much larger than j and k."""
    pieces = 0 if devices.is_synchronous(left.device) else left.shape[1] // PIECE
    if not pieces:
        return left @ right.T
    # As a batch of products: in a single one of so few rows and columns, most of a GPU would have nothing to do.
    end = pieces * PIECE
    batch = torch.bmm(
        left[:, :end].view(-1, pieces, PIECE).transpose(0, 1), right[:, :end].view(-1, pieces, PIECE).permute(1, 2, 0)
    )
    return batch.sum(0) + left[:, end:] @ right[:, end:].T


def _chunk_values(values: Tensor) -> int:
    """How many values of a tensor are summed at a time."""
    limit = CPU_CHUNK_BYTES if values.device.type == "cpu" else GPU_CHUNK_BYTES
    return limit // values.element_size()


def dot(a: Tensor, b: Tensor, minus: Tensor | None = None) -> Tensor:
    """The inner product of `a` and `b`, or `b - minus`, a scalar, summed a chunk at a time in the dtype for sums.

    float32 sums of millions of terms of both signs would lose the sign of a small slope or curvature.
    """
    dtype = devices.accumulation_dtype(a.device)
    total = a.new_zeros((), dtype=dtype)
    size = _chunk_values(a)
    for start in range(0, a.numel(), size):
        chunk = slice(start, start + size)
        factor = b.flatten()[chunk] if minus is None else b.flatten()[chunk] - minus.flatten()[chunk]
        total += torch.sum(a.flatten()[chunk] * factor, dtype=dtype)
    return total
