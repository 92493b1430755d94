"""The objective: a picture -> its loss, term by term, and the gradient of the loss."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from impasto import losses
from impasto.backprop import Backprop, Pull, vjp
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


class Objective:
    """The weighted sum of content, style and total variation against fixed targets (Gatys et al. 2015, eq. 7).

    It keeps the memory of an evaluation for the next one.
    """

    def __init__(self, vgg: VGG19, targets: Targets, weights: Weighting) -> None:
        self.vgg, self.targets, self.weights = vgg, targets, weights
        self._network = Backprop(vgg, {*targets.content, *targets.style})

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Terms:
        """(1, 3, H, W) float in [0, 1] -> its terms."""
        responses = self._network.forward(image)
        return self._terms(image, responses, self._grams(responses))

    @torch.no_grad()
    def value_and_grad(self, image: Tensor) -> tuple[Terms, Tensor]:
        """(1, 3, H, W) -> its terms, and the gradient (1, 3, H, W) of the total, both in the image's dtype."""
        responses = self._network.forward(image)
        grams = self._grams(responses)
        terms = self._terms(image, responses, grams)
        pulls = {name: self._pull(name, features, grams) for name, features in responses.items()}
        gradient = self._network.backward(pulls)
        if self.weights.tv:
            gradient += vjp(self.weights.variation, image, image.new_tensor(self.weights.tv))
        return terms, gradient

    def _grams(self, responses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: losses.gram(responses[name]) for name in self.targets.style}

    def _terms(self, image: Tensor, responses: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> Terms:
        at, weights = self.targets, self.weights
        content, style = image.new_zeros(()), image.new_zeros(())
        for name, target in at.content.items():
            content = content + weights.content_layers[name] * losses.distance(responses[name], target)
        for name, target in at.style.items():
            style = style + weights.style_layers[name] * losses.distance(grams[name], target)
        tv = weights.variation(image)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Terms(total, content, style, tv)

    def _pull(self, name: str, features: Tensor, grams: Mapping[str, Tensor]) -> Pull:
        """The gradient of the total at a layer's responses, rows at a time, as far as the layer's own terms make it."""
        content, style = self.targets.content.get(name), self.targets.style.get(name)
        pulls: list[Pull] = []
        if content is not None:
            factor = 2 * self.weights.content * self.weights.content_layers[name] / content.numel()
            pulls.append(lambda here, rows: (here - content[:, :, rows]).mul_(factor))
        if style is not None:
            positions = features.shape[2] * features.shape[3]
            share = 2 * self.weights.style * self.weights.style_layers[name] / style.numel() / positions
            upstream = (grams[name] - style) * share
            pulls.append(lambda here, _: losses.gram_gradient(here, upstream))
        return pulls[0] if len(pulls) == 1 else lambda here, rows: pulls[0](here, rows).add_(pulls[1](here, rows))
