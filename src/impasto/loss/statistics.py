"""What is compared in one layer: content features, Gram matrix, or mean and covariance (`nearest` has the third style).

A `LayerTarget` is a frozen value. For each evaluation it makes an `Accumulator`, which gets the layer's features some
rows at a time; when it has seen all of them it knows the loss, and then the gradient at any rows. This two-pass form
serves whole images and strips alike.

A guide weights the positions, 0 to 1: the guidance channels of Gatys et al. 2017 (arXiv 1611.07865), section 4.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.loss import functional
from impasto.vgg.backward import FeatureGradient

ROWS = 64
"""Rows of a target that are squared at a time: squares of a whole bfloat16 target in float32 take several times its
memory."""

NOISE = 5e-5
"""Variance of the noise that is added to both Gaussians, in each channel, as a share of their mean squares.

Without it the distance has no gradient where the image has no variance but the style image has some: a covariance of C
channels over fewer than C positions has eigenvalues of 0, and the slope of the square root is unbounded there.
"""


class Accumulator(Protocol):
    """Collects what one layer's loss needs from the features of one image."""

    def add(self, features: Tensor, rows: slice) -> None:
        """Add some rows of the layer's features, (1, C, h, W)."""

    def loss(self) -> Tensor:
        """The loss of all rows added, a scalar, at least float32."""

    def gradient(self, weight: float) -> FeatureGradient:
        """The gradient of `weight` times the loss with respect to the features; all rows must have been added."""


class LayerTarget(Protocol):
    """What one layer's features are compared with."""

    @property
    def normalizer(self) -> float:
        """Normalizer of the relative error, about the loss of features that are all 0; 1 if the target is all 0."""

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""


@dataclass(frozen=True, eq=False)
class ContentFeatures:
    """Features of the content image, (1, C, H, W); the loss is the mean squared error (Gatys et al. 2015, eq. 1).

    Attributes:
        least: the least normalizer.
        weights: (1, 1, H, W), factors on the squared errors of each position; None: 1. The mean is over all positions,
            so that the weight of one does not depend on those of others.
    """

    values: Tensor
    least: float = 0.0
    weights: Tensor | None = None

    @property
    def normalizer(self) -> float:
        """The mean square of the features, at least `least`."""
        return max(mean_square(self.values), self.least)

    def adapted(self, exponent: float) -> "ContentFeatures":
        """The same with `local_weights` of its features."""
        return replace(self, weights=local_weights(self.values, exponent))

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""
        return _ContentAccumulator(self.values, self.weights)


def local_weights(features: Tensor, exponent: float) -> Tensor:
    """Weights (1, 1, H, W) in [0, 1] of the positions of content features (1, C, H, W): less where they are weak.

    At least float32. With e the mean square of the features over 3x3 positions, a position weighs
    min(1, e / r)^exponent. r is the mean of e weighted by e itself: where features are strong, weights stay about 1.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True, dtype=dtype)  # rounds no sum to bfloat16
    energy = F.avg_pool2d(F.pad(norms.square(), (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    smallest = torch.finfo(dtype).tiny  # features that are all 0 have weights of 0
    reference = energy.square().sum() / energy.sum().clamp_min(smallest)
    return (energy / reference.clamp_min(smallest)).clamp_max(1).pow(exponent)


class _ContentAccumulator:
    def __init__(self, values: Tensor, weights: Tensor | None) -> None:
        self._values, self._weights = values, weights
        self._total: Tensor | float = 0.0

    def add(self, features: Tensor, rows: slice) -> None:
        weights = None if self._weights is None else self._weights[:, :, rows]
        self._total += functional.squared_error_sum(features, self._values[:, :, rows], weights)

    def loss(self) -> Tensor:
        return torch.as_tensor(self._total / self._values.numel())

    def gradient(self, weight: float) -> FeatureGradient:
        # d/dF of mean (F - P)^2 is 2 (F - P) / (C M): eq. 2 of Gatys et al. 2015, for the mean instead of half the sum.
        # The condition F > 0 in the paper's equation is the ReLU's derivative, which the backward pass applies.
        factor, weights = 2 * weight / self._values.numel(), self._weights

        def feature_gradient(features: Tensor, rows: slice) -> Tensor:
            gradient = (features - self._values[:, :, rows]).mul_(factor)
            return gradient if weights is None else gradient.mul_(weights[:, :, rows])

        return feature_gradient


class Moments(NamedTuple):
    """Means over positions: `second` (1, C, C) of the products of features, `first` (1, C) of the features."""

    second: Tensor
    first: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Gram:
    """A Gram matrix; the loss is the mean squared error (Gatys et al. 2015, eq. 3 and 4)."""

    moments: Moments
    guide: Tensor | None = None

    @property
    def normalizer(self) -> float:
        """The mean square of the matrix."""
        return mean_square(self.moments.second)

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""
        return _MomentsLoss(self, MomentsAccumulator(self.guide))

    def loss_and_gradient(self, moments: Moments) -> tuple[Tensor, Moments]:
        """The loss of an image's moments, and its gradient with respect to them: 2 (G - A) / C^2."""
        error = moments.second - self.moments.second
        return functional.distance(moments.second, self.moments.second), Moments(error * (2 / error.numel()))


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance; the loss is the squared Wasserstein-2 distance of Gaussians with them, divided by C.

    Noise is added to both (NOISE), so that it is 0 and has no gradient where both are equal, whatever their ranks.
    """

    moments: Moments
    guide: Tensor | None = None

    @property
    def normalizer(self) -> float:
        """The mean square of the features."""
        return float(self.moments.second.diagonal(dim1=1, dim2=2).mean()) or 1.0

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""
        return _MomentsLoss(self, MomentsAccumulator(self.guide, needs_first=True))

    def loss_and_gradient(self, moments: Moments) -> tuple[Tensor, Moments]:
        """The loss of an image's moments, and its gradient with respect to them."""
        assert moments.first is not None
        assert self.moments.first is not None
        error, channels = moments.first - self.moments.first, moments.first.shape[1]
        # the root of `tiny`: features that are all 0 have a distance of 0, too
        noise = NOISE * (_power(moments) + _power(self.moments)) + torch.finfo(error.dtype).tiny ** 0.5
        identity = torch.eye(channels, dtype=error.dtype, device=error.device)
        source, target = (_covariance(each) + noise * identity for each in (moments, self.moments))
        forth, back = functional.transport_maps(source, target)
        bures = functional.squared_bures_distance(source, target, forth)
        slope = identity - forth
        # The covariance is E[f f^T] - m m^T: its gradient `slope` acts on the second moments as it is, and on the mean
        # m as -2 slope m, in addition to the 2 (m - m') of the means' distance. The noise grows with the trace of the
        # second moments, and adds to both covariances.
        first = 2 * error - 2 * (slope @ moments.first[..., None])[..., 0]
        second = slope + identity * (NOISE * (2 * channels - forth.trace() - back.trace()))
        return (error.square().sum() + bures) / channels, Moments(second[None] / channels, first / channels)


def _power(moments: Moments) -> Tensor:
    """The mean squared length of the feature vectors."""
    return moments.second[0].trace()


def _covariance(moments: Moments) -> Tensor:
    assert moments.first is not None
    return moments.second[0] - moments.first.T * moments.first


class MomentsAccumulator:
    """Moments of the rows added, each position weighted by the guide if there is one."""

    def __init__(self, guide: Tensor | None = None, *, needs_first: bool = False) -> None:
        self.guide, self._needs_first = guide, needs_first
        self._second: Tensor | float = 0.0
        self._first: Tensor | float = 0.0
        self.weight: Tensor | float = 0.0  # M, or the sum of the guide

    def add(self, features: Tensor, rows: slice) -> None:
        """Add some rows of the layer's features, (1, C, h, W)."""
        guide = None if self.guide is None else self.guide[:, :, rows]
        if self._needs_first:  # a covariance of products rounded to bfloat16 has eigenvalues far below 0
            features = features.to(torch.promote_types(features.dtype, torch.float32))
        self._second += functional.gram_sum(features, guide)
        if self._needs_first:
            self._first += functional.feature_sum(features, guide)
        self.weight += features.shape[2] * features.shape[3] if guide is None else functional.guide_sum(guide)

    @property
    def moments(self) -> Moments:
        """The moments of all rows added."""
        # Sums of all rows are divided once: with strips the result differs from the whole image's by rounding only.
        first = torch.as_tensor(self._first / self.weight) if self._needs_first else None
        return Moments(torch.as_tensor(self._second / self.weight), first)


class _MomentsLoss:
    """The accumulator of a target that compares moments."""

    def __init__(self, target: Gram | Gaussian, accumulator: MomentsAccumulator) -> None:
        self._target, self._accumulator, self.add = target, accumulator, accumulator.add

    @cached_property
    def _result(self) -> tuple[Tensor, Moments]:
        return self._target.loss_and_gradient(self._accumulator.moments)

    def loss(self) -> Tensor:
        return self._result[0]

    def gradient(self, weight: float) -> FeatureGradient:
        # Moments are sums over M positions divided by M (or by the sum of the guide), and the guide is a factor of each
        # position's addend: the chain rule gives slope / M, times the guide at the position.
        share, guide, slope = weight / self._accumulator.weight, self._accumulator.guide, self._result[1]
        second, first = slope.second * share, None if slope.first is None else slope.first * share

        def feature_gradient(features: Tensor, rows: slice) -> Tensor:
            gradient = functional.moments_gradient(features, second, first)
            return gradient if guide is None else gradient.mul_(guide[:, :, rows])

        return feature_gradient


def mean_square(target: Tensor) -> float:
    """The mean square of a target; 1 if the target is all 0, since no error is relative to 0."""
    zero = target.new_zeros(())
    sums = [float(functional.squared_error_sum(rows, zero)) for rows in torch.split(target, ROWS, dim=-2)]
    return sum(sums) / target.numel() or 1.0
