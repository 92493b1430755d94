"""The style loss `nearest`: each feature vector of the image is compared with its nearest neighbor in the style."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.loss import functional
from impasto.loss.statistics import Accumulator, mean_square
from impasto.vgg.backward import FeatureGradient


@dataclass(frozen=True, eq=False)
class Sample:
    """Features (N, C) of the style images; the loss is the mean squared error of each feature to its nearest neighbor.

    The nearest neighbor is the one with the highest cosine similarity after the sample's mean is subtracted (Kolkin et
    al. 2022, arXiv 2203.13215, section 3.3).
    """

    values: Tensor
    guide: Tensor | None = None
    center: Tensor = field(init=False)
    directions: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Compute what the search needs."""
        # The mean is added up in float32: in bfloat16 a sum over thousands of features keeps 8 bits.
        center = self.values.mean(0, dtype=torch.float32).to(self.values.dtype)
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "directions", torch.nn.functional.normalize(self.values - center, dim=1))

    @property
    def normalizer(self) -> float:
        """The mean square of the features."""
        return mean_square(self.values)

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""
        return _NearestAccumulator(self, self.guide)


class _NearestAccumulator:
    def __init__(self, target: Sample, guide: Tensor | None) -> None:
        self._target, self._guide = target, guide
        self._total: Tensor | float = 0.0
        self._weight: Tensor | float = 0.0  # M, or the sum of the guide
        self._indices: list[Tensor] = []

    def add(self, features: Tensor, rows: slice) -> None:
        target = self._target
        indices = functional.nearest_indices(features, target.directions, target.center)
        self._indices.append(indices)  # searched once; the gradient uses them again
        errors = (features - self._neighbors(indices)).square()
        if self._guide is None:
            self._weight += indices.numel()
        else:
            guide = self._guide[:, :, rows]
            self._weight += functional.guide_sum(guide)
            errors = errors * guide
        self._total += errors.sum(dtype=torch.promote_types(errors.dtype, torch.float32))

    def loss(self) -> Tensor:
        return torch.as_tensor(self._total / (self._weight * self._target.values.shape[1]))

    def gradient(self, weight: float) -> FeatureGradient:
        # The choice of neighbors is constant almost everywhere: the gradient is that of a mean squared error.
        indices = torch.cat(self._indices, dim=1)
        factor = 2 * weight / (self._weight * self._target.values.shape[1])

        def feature_gradient(features: Tensor, rows: slice) -> Tensor:
            gradient = (features - self._neighbors(indices[:, rows])).mul_(factor)
            return gradient if self._guide is None else gradient.mul_(self._guide[:, :, rows])

        return feature_gradient

    def _neighbors(self, indices: Tensor) -> Tensor:
        """(1, h, W) indices -> the features of the sample at them, (1, C, h, W)."""
        return self._target.values[indices].permute(0, 3, 1, 2)
