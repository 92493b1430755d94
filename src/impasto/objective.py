"""The objective: a picture -> its loss, term by term, and the gradient of the loss."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from impasto import losses
from impasto.vgg import VGG19


class Terms(NamedTuple):
    """The loss of a picture: `total`, and its terms before their weights. Scalars that stay on the device."""

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor

    def read(self) -> dict[str, float]:
        """The numbers, fetched from the device."""
        return dict(zip(self._fields, torch.stack(self).tolist(), strict=True))


@dataclass(frozen=True)
class Targets:
    """What a picture is compared with: the content's responses (1, C, H, W), the style's Gram matrices (1, C, C)."""

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]


@dataclass(frozen=True)
class Weighting:
    """Weights of our plain means: total = content * sum c_l mean_l + style * sum s_l mean_l + tv * variation."""

    content: float
    style: float
    tv: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    variation: Callable[[Tensor], Tensor] = losses.total_variation


@torch.no_grad()
def targets(
    vgg: VGG19,
    content: Tensor | None,
    content_layers: Iterable[str],
    styles: Sequence[Tensor],
    style_layers: Iterable[str],
) -> Targets:
    """The targets that `content` (1, 3, H, W) and `styles` (1, 3, h, w), of any sizes, set; none where there is none.

    The Gram matrices of several styles are averaged: an expectation over positions, that is the Gram matrix of a
    picture made of equal shares of them.
    """
    responses = {} if content is None else vgg(content, content_layers)
    grams = [{name: losses.gram(f) for name, f in vgg(style, style_layers).items()} for style in styles]
    means = {name: torch.stack([each[name] for each in grams]).mean(0) for name in style_layers if grams}
    return Targets(responses, means)


@dataclass(frozen=True)
class Objective:
    """The weighted sum of content, style and total variation against fixed targets (Gatys et al. 2015, eq. 7)."""

    vgg: VGG19
    targets: Targets
    weights: Weighting

    def __call__(self, image: Tensor) -> Terms:
        """(1, 3, H, W) float in [0, 1] -> its terms."""
        at, weights = self.targets, self.weights
        responses = self.vgg(image, {*at.content, *at.style})
        content, style = image.new_zeros(()), image.new_zeros(())
        for name, target in at.content.items():
            content = content + weights.content_layers[name] * losses.distance(responses[name], target)
        for name, target in at.style.items():
            style = style + weights.style_layers[name] * losses.distance(losses.gram(responses[name]), target)
        tv = weights.variation(image)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Terms(total, content, style, tv)

    def value_and_grad(self, image: Tensor) -> tuple[Terms, Tensor]:
        """(1, 3, H, W) -> its terms, and the gradient (1, 3, H, W) of the total, both in the image's dtype."""
        image = image.detach().requires_grad_()
        terms = self(image)
        (gradient,) = torch.autograd.grad(terms.total, image)
        return Terms(*(term.detach() for term in terms)), gradient
