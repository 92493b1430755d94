"""Optimisers of a picture. All keep it in [0, 1], where it can be saved: what is saved is what was optimized."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.images.resize import enlarge
from impasto.loss.objective import Terms
from impasto.vgg.backward import GradientRows, gather_gradient

COLUMNS = 2**16
"""Columns of L-BFGS' history that are copied at a time."""
VALUES = 2**22
"""Values of a picture that are multiplied at a time."""

Evaluate = Callable[[Tensor], tuple[Terms, GradientRows]]
"""picture (1, 3, H, W) -> (its terms, the gradient of the total as it comes, which is the optimizer's to write to)."""

State = tuple[dict[str, Tensor], dict[str, Any]]
"""All that must be kept of something so that it goes on as if nothing had been: tensors, and numbers in JSON."""


class Optimizer(Protocol):
    """What a run asks of its optimizer."""

    picture: Tensor
    stalled: bool

    def step(self, evaluate: Evaluate) -> Terms:
        """Put a new tensor in the place of `picture`, one step on; return the terms of the one before."""

    def state(self) -> State:
        """What to keep of it: views, not copies."""

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from a state; the tensors are taken over."""


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), clipped to [0, 1] after every step.

    Args:
        picture: (1, 3, H, W) float in [0, 1]; never changed, every step makes a new one.
        moments: the dtype in which the moments are kept; bfloat16 takes half the memory.
        epsilon_hat: whether `epsilon` is the one of the paper's section 2, added before the bias correction, as in
            Keras. With a large epsilon that is another algorithm: Keras' 0.1 counts as 3.16 at the first step.
    """

    stalled = False

    def __init__(
        self,
        picture: Tensor,
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        epsilon_hat: bool = False,
        moments: torch.dtype | None = None,
    ) -> None:
        self.picture = picture
        self.learning_rate, (self.beta1, self.beta2) = learning_rate, betas
        self.epsilon, self.epsilon_hat = epsilon, epsilon_hat
        self.mean, self.square = (torch.zeros_like(picture, dtype=moments) for _ in range(2))
        self.steps = 0

    def step(self, evaluate: Evaluate) -> Terms:
        """One evaluation, one update."""
        terms, rows = evaluate(self.picture)
        self.steps += 1
        for here, gradient in rows:
            for color in range(3):  # one at a time, for what is only of use on the way
                self._remember(self.mean[0, color, here], self.square[0, color, here], gradient[0, color])
        picture = torch.empty_like(self.picture)
        for color in range(3):
            self._move(picture[0, color], *(each[0, color] for each in (self.picture, self.mean, self.square)))
        self.picture = picture
        return terms

    def _remember(self, mean: Tensor, square: Tensor, gradient: Tensor) -> None:
        mean.copy_(mean.to(gradient.dtype).lerp_(gradient, 1 - self.beta1))
        squares = square.to(gradient.dtype).mul_(self.beta2)
        square.copy_(squares.addcmul_(gradient, gradient, value=1 - self.beta2))

    def _move(self, to: Tensor, picture: Tensor, mean: Tensor, square: Tensor) -> None:
        bias1, root_bias2 = 1 - self.beta1**self.steps, (1 - self.beta2**self.steps) ** 0.5
        epsilon = self.epsilon if self.epsilon_hat else self.epsilon * root_bias2
        rate = self.learning_rate * root_bias2 / bias1
        root = square.to(picture.dtype).sqrt().add_(epsilon)
        torch.addcdiv(picture, mean.to(picture.dtype), root, value=-rate, out=to).clamp_(0, 1)

    def inherit(self, before: "Adam") -> None:
        """Go on with the moments of a run at another size: a pixel's share in a mean falls as pixels get more."""
        height, width = self.picture.shape[2:]
        share = before.picture.numel() / self.picture.numel()
        self.mean = enlarge(before.mean, height, width).mul_(share).to(self.mean.dtype)
        self.square = enlarge(before.square, height, width).mul_(share**2).to(self.square.dtype)
        self.steps = before.steps

    def state(self) -> State:
        """The picture and the moments; steps and learning rate."""
        tensors = {"picture": self.picture, "mean": self.mean, "square": self.square}
        return tensors, {"steps": self.steps, "learning_rate": self.learning_rate}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.picture, self.mean, self.square = (tensors[name] for name in ("picture", "mean", "square"))
        self.steps, self.learning_rate = numbers["steps"], numbers["learning_rate"]


class LBFGS:
    """Projected L-BFGS: the limited-memory quasi-Newton method of Nocedal (1980) within the bounds [0, 1].

    Values at a bound that the gradient pushes outwards are held; the others move along the quasi-Newton direction of
    their own subspace (Bertsekas 1982, two-metric projection), clipped, back-tracking until the loss falls enough
    (Armijo along the projection arc). The two-loop recursion runs on inner products (Chen et al. 2014, vector-free
    L-BFGS), which are kept: a step multiplies the history, one tensor, with its three new rows and once more with the
    coefficients, and takes away what the held values have a share in.

    Args:
        picture: (1, 3, H, W) float in [0, 1]; never changed, every step makes a new one.
        memory: number of steps remembered.

    Attributes:
        stalled: no step along the gradient itself lowers the loss any more, or the loss is not finite.
    """

    FIRST_MOVE = 0.01
    """Mean movement of a value in the first step, when nothing is known of the curvature."""
    SUFFICIENT = 1e-4
    """Share of the decrease that the gradient promises which a step must bring (Armijo)."""
    TRIES = 12

    def __init__(self, picture: Tensor, *, memory: int = 20) -> None:
        self.picture = picture
        self.stalled = False
        self.memory, self.remembered, self.newest = memory, 0, -1
        # rows: the moves s, the gradients' changes y, and the free gradient; and the rows' inner products
        self._basis = picture.new_zeros(2 * memory + 1, picture.numel())
        self._products = torch.zeros(2 * memory + 1, 2 * memory + 1, dtype=torch.float64)
        self._here: tuple[Terms, Tensor] | None = None

    def step(self, evaluate: Evaluate) -> Terms:
        """One move; mostly one evaluation, more when the first length tried is too long."""
        terms, gradient = self._here = self._here or self._found(*evaluate(self.picture))
        self.stalled = not bool(torch.isfinite(terms.total))
        if not self.stalled and not self._search(evaluate, self._direction(gradient)):
            self.remembered, self.newest = 0, -1  # the memory misleads: once more along the gradient
            self.stalled = not self._search(evaluate, self._direction(gradient))
        return terms

    def state(self) -> State:
        """The picture, its gradient and terms, the rows remembered and their inner products."""
        moves, changes = self._basis[: self.remembered], self._basis[self.memory :][: self.remembered]
        tensors = {"picture": self.picture, "moves": moves, "changes": changes, "products": self._products}
        if self._here is not None:
            terms, gradient = self._here
            tensors |= {"terms": torch.stack([*terms[:4], *terms.layers.values()]), "gradient": gradient}
        return tensors, {"newest": self.newest, "layers": [] if self._here is None else list(self._here[0].layers)}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.picture, self._products = tensors["picture"], tensors["products"].cpu()
        self.newest, self.remembered = numbers["newest"], len(tensors["moves"])
        self._basis[: self.remembered] = tensors["moves"]
        self._basis[self.memory :][: self.remembered] = tensors["changes"]
        if "gradient" in tensors:
            total, content, style, tv, *shares = tensors["terms"].unbind()
            layers = dict(zip(numbers["layers"], shares, strict=True))
            self._here = Terms(total, content, style, tv, layers), tensors["gradient"]

    def _found(self, terms: Terms, rows: GradientRows) -> tuple[Terms, Tensor]:
        return terms, gather_gradient(rows, self.picture)

    def _search(self, evaluate: Evaluate, direction: Tensor) -> bool:
        """Move along the projection arc of `direction`, as far as the loss falls enough; whether it did."""
        assert self._here is not None
        terms, gradient = self._here
        length, before = 1.0, float(terms.total)
        for _ in range(self.TRIES):
            picture = torch.add(self.picture, direction, alpha=length).clamp_(0, 1)
            promised = _inner(gradient, picture, self.picture)
            if not promised < 0:
                return False
            found, rows = evaluate(picture)
            after = float(found.total)
            if after <= before + self.SUFFICIENT * promised:
                del direction  # its memory is the move's
                there = self._found(found, rows)
                self._remember(picture - self.picture, gradient.neg_().add_(there[1]))
                self.picture, self._here = picture, there
                return True
            length *= _shorter(before, promised, after)
        return False

    def _remember(self, move: Tensor, change: Tensor) -> None:
        """Keep a move and the gradient's change along it, unless the loss curves downwards there."""
        if _inner(change, move) <= 0:
            return
        self.newest = (self.newest + 1) % self.memory
        self._put(self.newest, move)
        self._put(self.memory + self.newest, change)
        self.remembered = min(self.remembered + 1, self.memory)

    def _put(self, row: int, values: Tensor) -> None:
        """Write a row of the basis, and its inner products with all rows."""
        self._basis[row] = values.flatten()
        self._products[row] = self._products[:, row] = (self._basis @ self._basis[row]).double().cpu()

    def _direction(self, gradient: Tensor) -> Tensor:
        """The quasi-Newton direction of the values that may move, 0 for the held ones; like `gradient` in shape."""
        held = ((self.picture <= 0) & (gradient > 0)) | ((self.picture >= 1) & (gradient < 0))
        free = gradient.masked_fill(held, 0)
        if self.remembered == 0:
            return free * (-self.FIRST_MOVE / float(free.abs().mean().clamp_min(torch.finfo(free.dtype).tiny)))
        self._put(2 * self.memory, free)
        coefficients = self._two_loops(self._products - self._products_of(held.flatten().nonzero().flatten()))
        return (coefficients.to(self._basis) @ self._basis).view_as(gradient).masked_fill_(held, 0)

    def _products_of(self, columns: Tensor) -> Tensor:
        """The share that some columns of the basis, few as a rule, have in the inner products of its rows."""
        products = torch.zeros_like(self._products)
        for some in torch.split(columns, COLUMNS):
            part = self._basis[:, some]
            products += (part @ part.T).double().cpu()
        return products

    def _two_loops(self, products: Tensor) -> Tensor:
        """The L-BFGS recursion on the inner products of the basis' rows; the direction's coefficients on them."""
        rows = [(self.newest - age) % self.memory for age in range(self.remembered)]  # newest first
        pairs = [(s, self.memory + s) for s in rows]
        lengths = products.diagonal().sqrt()
        pairs = [(s, y) for s, y in pairs if products[s, y] > 1e-6 * lengths[s] * lengths[y]]  # convex here too
        direction = torch.zeros(len(products), dtype=products.dtype)
        direction[-1] = -1
        shares = []
        for s, y in pairs:
            shares.append(direction @ products[s] / products[s, y])
            direction[y] -= shares[-1]
        if pairs:
            s, y = pairs[0]
            direction *= products[s, y] / products[y, y]
        for (s, y), share in zip(reversed(pairs), reversed(shares), strict=True):
            direction[s] += share - direction @ products[y] / products[s, y]
        return direction


def _inner(one: Tensor, other: Tensor, less: Tensor | None = None) -> float:
    """The inner product of `one` and `other`, or `other - less`, in float64, some values at a time."""
    total = 0.0
    for start in range(0, one.numel(), VALUES):
        some = slice(start, start + VALUES)
        factor = other.flatten()[some] if less is None else other.flatten()[some] - less.flatten()[some]
        total += float(torch.sum(one.flatten()[some] * factor, dtype=torch.float64))
    return total


def _shorter(before: float, promised: float, after: float) -> float:
    """Where the parabola through both ends has its minimum, as a share of the length, within [0.1, 0.5]."""
    excess = after - before - promised
    return min(max(-promised / (2 * excess), 0.1), 0.5) if excess < float("inf") else 0.1


class Average:
    """The average of the latest pictures of a sequence: Adam's jitter evens out in it.

    Exponential with `decay`, and in the beginning polynomial (Shamir and Zhang 2013, arXiv 1212.1824, section 4), which
    rests on the last part of the pictures: the first ones, still far from the aim, are soon forgotten.

    Args:
        decay: 0 keeps the last picture alone; 0.95 about the last twenty.
    """

    ETA = 3

    def __init__(self, decay: float) -> None:
        self.decay, self.count = decay, 0
        self._value: Tensor | None = None

    def update(self, picture: Tensor) -> None:
        """Take one more picture in."""
        self.count += 1
        share = max(1 - self.decay, (1 + self.ETA) / (self.count + self.ETA))
        self._value = picture if self._value is None or share == 1 else self._value.lerp(picture, share)

    def state(self) -> State:
        """The average, if there is one, and of how many pictures."""
        return {} if self._value is None else {"value": self._value}, {"count": self.count}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._value, self.count = tensors.get("value"), numbers["count"]

    @property
    def value(self) -> Tensor:
        """The average of the pictures so far."""
        assert self._value is not None
        return self._value
