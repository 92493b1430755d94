"""The style loss `nearest`: each feature vector of the image is compared with its nearest neighbor in the style.

Neural Neighbor Style Transfer (Kolkin et al. 2022, arXiv 2203.13215): the neighbor is that of the content image's
feature at the same position, and the loss is the cosine distance.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from impasto.loss import functional
from impasto.loss.statistics import Accumulator
from impasto.vgg.backward import FeatureGradient

LEAST_LENGTH = 1e-3
"""Length of a vector that counts as 0, as a share of the root mean square length of the style's features.

The directions of shorter vectors are rounding errors of the mean that is subtracted.
"""


@dataclass(frozen=True, eq=False)
class Sample:
    """Features (N, C) of the style images; the loss is the mean cosine distance of each feature to its neighbor.

    The sample's mean is subtracted from both. The neighbor is the one with the highest cosine similarity (Kolkin et
    al. 2022, section 3.3).

    Attributes:
        guide: (1, 1, h, w), the weight of each position in the mean; None: 1.
        indices: (1, h, w), the neighbor of each position; None: searched in each evaluation.
        factors: (1, 1, h, w), factors on the distances; None: 1.
    """

    values: Tensor
    guide: Tensor | None = None
    indices: Tensor | None = None
    factors: Tensor | None = None
    center: Tensor = field(init=False)
    directions: Tensor = field(init=False)
    least_square: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Compute what the search and the loss need."""
        values, precise = self.values, torch.promote_types(self.values.dtype, torch.float32)
        # The mean is added up in float32: in bfloat16 a sum over thousands of features keeps 8 bits.
        center = values.mean(0, dtype=precise).to(values.dtype)
        # the root of `tiny`: features that are all 0 have directions of 0, too
        least = LEAST_LENGTH**2 * _squares(values).mean() + torch.finfo(precise).tiny ** 0.5
        directions = (values - center) / (_squares(values - center) + least).sqrt()
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "least_square", least)
        object.__setattr__(self, "directions", directions.to(values.dtype))

    @property
    def normalizer(self) -> float:
        """1: a cosine distance is relative."""
        return 1.0

    def matched(self, indices: Tensor) -> "Sample":
        """The sample with the neighbor of each position, (1, h, w).

        The features of a flat area have the same few neighbors. Copies of one feature are no texture: they become
        speckle. So all uses of a feature together count at most as much as those of an average one.
        """
        uses = torch.zeros(len(self.values), dtype=self.least_square.dtype, device=indices.device)
        counts = uses.new_ones(indices.shape) if self.guide is None else self.guide[:, 0].to(uses.dtype)
        uses.index_add_(0, indices.flatten(), counts.flatten())
        average = uses.mean().clamp_min(1)  # a single use counts in any case
        return replace(self, indices=indices, factors=(average / uses[indices]).clamp_max(1)[:, None])

    def accumulator(self) -> Accumulator:
        """A new accumulator for one evaluation."""
        return _NearestAccumulator(self)


class _NearestAccumulator:
    def __init__(self, target: Sample) -> None:
        self._target = target
        self._total: Tensor | float = 0.0
        self._weight: Tensor | float = 0.0  # M, or the sum of the guide
        self._found: list[Tensor] = []

    def add(self, features: Tensor, rows: slice) -> None:
        target = self._target
        if target.indices is None:
            indices = functional.nearest_indices(features, target.directions, target.center)
            self._found.append(indices)  # searched once; the gradient uses them again
        else:
            indices = target.indices[:, rows]
        *_, similarities = self._compare(features, indices)
        self._total += (self._factors(rows) * (1 - similarities)).sum()
        guide = target.guide
        self._weight += similarities.numel() if guide is None else functional.guide_sum(guide[:, :, rows])

    def loss(self) -> Tensor:
        return torch.as_tensor(self._total / self._weight)

    def gradient(self, weight: float) -> FeatureGradient:
        # The choice of neighbors is constant almost everywhere: the gradient is that of a cosine distance.
        found = torch.cat(self._found, dim=1) if self._target.indices is None else self._target.indices
        share = weight / self._weight

        def feature_gradient(features: Tensor, rows: slice) -> Tensor:
            vectors, directions, lengths, similarities = self._compare(features, found[:, rows])
            # d/dv of -(v . d) / |v| is ((v . d) v / |v|^2 - d) / |v|
            scales = self._factors(rows) * share / lengths
            vectors *= (scales * similarities / lengths).to(vectors.dtype)
            return vectors.sub_(directions * scales.to(vectors.dtype))

        return feature_gradient

    def _compare(self, features: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features minus the center, directions of their neighbors, (1, 1, h, W) lengths and cosine similarities."""
        target = self._target
        vectors = features - target.center[:, None, None]
        directions = target.directions[indices].permute(0, 3, 1, 2)
        lengths = (_squares(vectors) + target.least_square).sqrt()
        precise = target.least_square.dtype
        return vectors, directions, lengths, (vectors * directions).sum(1, keepdim=True, dtype=precise) / lengths

    def _factors(self, rows: slice) -> Tensor | float:
        """What the distances at some rows are multiplied by."""
        factors: Tensor | float = 1.0
        for each in (self._target.guide, self._target.factors):
            factors = factors if each is None else factors * each[:, :, rows]
        return factors


def _squares(vectors: Tensor) -> Tensor:
    """The squared lengths of vectors along dimension 1, which becomes 1, at least float32."""
    precise = torch.promote_types(vectors.dtype, torch.float32)
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=precise)
    return lengths.square()
