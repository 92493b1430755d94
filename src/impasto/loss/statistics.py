"""What of a layer's responses is compared. A target is a frozen value; it adds up what one evaluation's rows say of it.

The manner of a painting is that of its responses over positions: their second moments (the Gram matrix), their mean and
covariance, or a sample of them. By a guide, 0 to 1 in each position, positions count (Gatys et al. 2017, arXiv
1611.07865, section 4).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.loss import functional
from impasto.vgg.backward import Pull

ROWS = 64
"""Rows of a target that are squared at a time: in float32 all of them would take several times its memory."""


class Sums(Protocol):
    """What the rows of one evaluation add up to."""

    def read(self, here: Tensor, rows: slice) -> None:
        """Take some rows of the layer's responses in, (1, C, h, W)."""

    def loss(self) -> Tensor:
        """How far all the rows read are from the target, a scalar, at least float32."""

    def pull(self, weight: float) -> Pull:
        """The gradient of `weight` times the loss at some rows."""


class Target(Protocol):
    """What one layer's responses are compared with."""

    @property
    def energy(self) -> float:
        """What the loss is divided by to become a relative error: about the loss of responses that are all 0."""

    def begin(self) -> Sums:
        """Begin an evaluation."""


@dataclass(frozen=True, eq=False)
class Responses:
    """The responses to the content itself, (1, C, H, W); the loss is the mean squared difference (2015, eq. 1)."""

    values: Tensor

    @property
    def energy(self) -> float:
        """The mean square."""
        return _mean_square(self.values)

    def begin(self) -> Sums:
        """Begin an evaluation."""
        return _Differences(self.values)


class _Differences:
    def __init__(self, values: Tensor) -> None:
        self._values = values
        self._total: Tensor | float = 0.0

    def read(self, here: Tensor, rows: slice) -> None:
        self._total += functional.squares(here, self._values[:, :, rows])

    def loss(self) -> Tensor:
        return torch.as_tensor(self._total / self._values.numel())

    def pull(self, weight: float) -> Pull:
        factor = 2 * weight / self._values.numel()
        return lambda here, rows: (here - self._values[:, :, rows]).mul_(factor)


class Moments(NamedTuple):
    """Means over positions: `second` (1, C, C) of the products of responses, `first` (1, C) of themselves if wanted."""

    second: Tensor
    first: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Gram:
    """The Gram matrix alone; the loss is the mean squared difference (2015, eq. 3 and 4)."""

    moments: Moments
    guide: Tensor | None = None

    @property
    def energy(self) -> float:
        """The matrix' mean square."""
        return _mean_square(self.moments.second)

    def begin(self) -> Sums:
        """Begin an evaluation."""
        return _Compared(self, Means(self.guide))

    def compared(self, here: Moments) -> tuple[Tensor, Moments]:
        """The loss of a picture's moments, and its gradient at them."""
        away = here.second - self.moments.second
        return functional.distance(here.second, self.moments.second), Moments(away * (2 / away.numel()))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance; the loss is the squared Wasserstein-2 distance of two Gaussians that have them, over C."""

    moments: Moments
    guide: Tensor | None = None

    @property
    def energy(self) -> float:
        """The mean square of the responses."""
        return float(self.moments.second.diagonal(dim1=1, dim2=2).mean()) or 1.0

    @cached_property
    def _root(self) -> Tensor:
        return functional.root(_covariance(self.moments))

    @cached_property
    def _bias(self) -> Tensor:
        """What a picture with these very moments would be away, by the ridge."""
        return functional.bures(_covariance(self.moments), self._root)[0]

    def begin(self) -> Sums:
        """Begin an evaluation."""
        return _Compared(self, Means(self.guide, first=True))

    def compared(self, here: Moments) -> tuple[Tensor, Moments]:
        """The loss of a picture's moments, and its gradient at them."""
        assert here.first is not None
        assert self.moments.first is not None
        away, channels = here.first - self.moments.first, here.first.shape[1]
        between, slope = functional.bures(_covariance(here), self._root)
        # the covariance is the second moment less the products of the means
        first = 2 * away - 2 * (slope @ here.first[..., None])[..., 0]
        return (away.square().sum() + between - self._bias) / channels, Moments(slope / channels, first / channels)


def _covariance(moments: Moments) -> Tensor:
    assert moments.first is not None
    return moments.second - moments.first[..., None] * moments.first[:, None]


class Means:
    """The moments of the rows read, by a guide if there is one."""

    def __init__(self, guide: Tensor | None = None, *, first: bool = False) -> None:
        self.guide, self._wants_first = guide, first
        self._second: Tensor | float = 0.0
        self._first: Tensor | float = 0.0
        self.mass: Tensor | float = 0.0

    def read(self, here: Tensor, rows: slice) -> None:
        """Take some rows of the layer's responses in, (1, C, h, W)."""
        guide = None if self.guide is None else self.guide[:, :, rows]
        self._second += functional.products(here, guide)
        if self._wants_first:
            self._first += functional.sums(here, guide)
        self.mass += here.shape[2] * here.shape[3] if guide is None else functional.mass(guide)

    @property
    def moments(self) -> Moments:
        """Those of all the rows read."""
        first = torch.as_tensor(self._first / self.mass) if self._wants_first else None
        return Moments(torch.as_tensor(self._second / self.mass), first)


class _Compared:
    """An evaluation's moments beside those of a target."""

    def __init__(self, target: Gram | Gaussian, means: Means) -> None:
        self._target, self._means, self.read = target, means, means.read

    @cached_property
    def _found(self) -> tuple[Tensor, Moments]:
        return self._target.compared(self._means.moments)

    def loss(self) -> Tensor:
        return self._found[0]

    def pull(self, weight: float) -> Pull:
        share, guide, slope = weight / self._means.mass, self._means.guide, self._found[1]
        second, first = slope.second * share, None if slope.first is None else slope.first * share

        def pulled(here: Tensor, rows: slice) -> Tensor:
            gradient = functional.moments_gradient(here, second, first)
            return gradient if guide is None else gradient.mul_(guide[:, :, rows])

        return pulled


@dataclass(frozen=True, eq=False)
class Sample:
    """Responses (N, C) of the paintings; the loss is the mean squared difference of each response to its nearest one.

    The nearest by the angle around the sample's mean, as in Kolkin et al. 2022 (arXiv 2203.13215), section 3.3.
    """

    values: Tensor
    guide: Tensor | None = None
    center: Tensor = field(init=False)
    directions: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """What the search needs of them."""
        center = self.values.mean(0, dtype=torch.float32).to(self.values.dtype)
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "directions", torch.nn.functional.normalize(self.values - center, dim=1))

    @property
    def energy(self) -> float:
        """The mean square."""
        return _mean_square(self.values)

    def begin(self) -> Sums:
        """Begin an evaluation."""
        return _Matches(self, self.guide)


class _Matches:
    def __init__(self, target: Sample, guide: Tensor | None) -> None:
        self._target, self._guide = target, guide
        self._total: Tensor | float = 0.0
        self._mass: Tensor | float = 0.0
        self._found: list[Tensor] = []

    def read(self, here: Tensor, rows: slice) -> None:
        target = self._target
        found = functional.nearest(here, target.directions, target.center)
        self._found.append(found)
        away = (here - self._matched(found)).square()
        if self._guide is None:
            self._mass += found.numel()
        else:
            guide = self._guide[:, :, rows]
            self._mass += functional.mass(guide)
            away = away * guide
        self._total += away.sum(dtype=torch.promote_types(away.dtype, torch.float32))

    def loss(self) -> Tensor:
        return torch.as_tensor(self._total / (self._mass * self._target.values.shape[1]))

    def pull(self, weight: float) -> Pull:
        found = torch.cat(self._found, dim=1)
        factor = 2 * weight / (self._mass * self._target.values.shape[1])

        def pulled(here: Tensor, rows: slice) -> Tensor:
            gradient = (here - self._matched(found[:, rows])).mul_(factor)
            return gradient if self._guide is None else gradient.mul_(self._guide[:, :, rows])

        return pulled

    def _matched(self, found: Tensor) -> Tensor:
        """(1, h, W) numbers -> these responses, (1, C, h, W)."""
        return self._target.values[found].permute(0, 3, 1, 2)


def _mean_square(target: Tensor) -> float:
    """The mean square of a target, and 1 of one that is all 0, which nothing can be relative to."""
    nothing = target.new_zeros(())
    sums = [float(functional.squares(rows, nothing)) for rows in torch.split(target, ROWS, dim=-2)]
    return sum(sums) / target.numel() or 1.0
