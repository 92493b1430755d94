"""The objective: an image -> its loss, term by term, and the gradient with respect to the image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.loss.grain import GrainComparison
from impasto.loss.statistics import Accumulator, LayerTarget
from impasto.loss.targets import Targets
from impasto.loss.variation import MEANS, Variation
from impasto.vgg.backward import Backprop, FeatureGradient, GradientRows, gather_gradient
from impasto.vgg.model import VGG19

MIN_STRIP = 16
"""Rows of the narrowest strips: with fewer, most rows in memory are those kept for their neighbors."""


def narrower_strip(strip: int | None, height: int) -> int:
    """Rows of strips half as high as `strip`, or as `height` if it is None: a positive multiple of MIN_STRIP."""
    # A multiple of 2^4 ends at a cell's edge in each of the four pools below block 5: no layer waits for half a cell.
    return max((strip or height) // 2 // MIN_STRIP * MIN_STRIP, MIN_STRIP)


class Terms(NamedTuple):
    """The loss of an image: `total`, and its terms before their weights. Scalars that stay on the device.

    `layers`, such as "style block1_conv1", are the addends of content and style, with the layers' weights.
    """

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    grain: Tensor
    layers: Mapping[str, Tensor] = {}

    def stacked(self) -> Tensor:
        """All numbers in one tensor (`stacked_size`,)."""
        return torch.stack([*self[:-1], *self.layers.values()])

    @classmethod
    def stacked_size(cls, layers: Sequence[str]) -> int:
        """The number of values of `stacked` for terms with these layers."""
        return len(cls._fields) - 1 + len(layers)

    @classmethod
    def from_stacked(cls, values: Tensor, layers: Iterable[str]) -> "Terms":
        """The terms whose `stacked()` is `values`, as views of it."""
        total, content, style, tv, grain, *layer_losses = values.unbind()
        return cls(total, content, style, tv, grain, dict(zip(layers, layer_losses, strict=True)))

    def to_floats(self) -> dict[str, float]:
        """The total and its terms as numbers."""
        # Stacked first: one transfer from the device, which waits for it, instead of five.
        return dict(zip(self._fields, torch.stack(self[:-1]).tolist(), strict=False))

    def layers_to_floats(self) -> dict[str, dict[str, float]]:
        """Term -> layer -> its addend, as numbers."""
        terms: dict[str, dict[str, float]] = {}
        values = torch.stack([*self.layers.values()]).tolist() if self.layers else []
        for name, value in zip(self.layers, values, strict=True):
            term, layer = name.split()
            terms.setdefault(term, {})[layer] = value
        return terms


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: total = content * sum c_l e_l + style * sum s_l e_l + tv * variation + grain * grain.

    The e_l are mean squared errors. `style_layers`: one mapping for each region, in the order of `Targets.style`.
    """

    content: float
    style: float
    tv: float
    content_layers: Mapping[str, float]
    style_layers: Sequence[Mapping[str, float]]
    variation: Variation = MEANS
    grain: float = 0.0


class _LayerTerm(NamedTuple):
    """One addend of the loss: the term and the layer that it belongs to, its weight within the term, its target."""

    term: str
    layer: str
    weight: float
    target: LayerTarget


def _layer_terms(targets: Targets, weights: LossWeights) -> list[_LayerTerm]:
    terms = [
        _LayerTerm("content", name, weights.content_layers[name], target) for name, target in targets.content.items()
    ]
    for style, layer_weights in zip(targets.style, weights.style_layers, strict=True):
        terms += [_LayerTerm("style", name, layer_weights[name], target) for name, target in style.layers.items()]
    return terms


class Objective:
    """The weighted sum of content, style, total variation and grain (Gatys et al. 2015, eq. 7, for the first two).

    An image is evaluated whole, or in strips of `strip` rows: a first pass collects what the terms of the whole image
    need, a second one computes the gradient strip by strip. Half as much work again, the same numbers, and memory that
    grows with the width of the image only. Buffers are kept for the next evaluation.
    """

    def __init__(self, vgg: VGG19, targets: Targets, weights: LossWeights, *, strip: int | None = None) -> None:
        self.vgg, self.targets, self.weights = vgg, targets, weights
        self._layer_terms = _layer_terms(targets, weights)
        self._network = Backprop(vgg, {term.layer for term in self._layer_terms}, strip=strip)

    @property
    def strip(self) -> int | None:
        """Rows of the image that are evaluated at a time; None: all."""
        return self._network.strip

    def release_memory(self) -> None:
        """Free the buffers of the last evaluation; the next one allocates them again."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=self.strip)

    def narrow_strips(self, height: int) -> None:
        """From now on, evaluate images of that height in strips, or in strips half as high as before."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=narrower_strip(self.strip, height))

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Terms:
        """(1, 3, H, W) float in [0, 1] -> its terms."""
        return self._terms(image, self._accumulate(image), self._compared_grain(image))

    @torch.no_grad()
    def value_and_grad_rows(self, image: Tensor) -> tuple[Terms, GradientRows]:
        """(1, 3, H, W) -> its terms, and the gradient of the total in chunks of rows, both in the image's dtype.

        The gradient is computed while it is iterated over, which is possible until the next evaluation.
        """
        accumulators, grain = self._accumulate(image), self._compared_grain(image)
        rows = self._gradient_rows(image, accumulators)
        return self._terms(image, accumulators, grain), self._with_grain(rows, grain)

    def value_and_grad(self, image: Tensor) -> tuple[Terms, Tensor]:
        """(1, 3, H, W) -> its terms, and the gradient (1, 3, H, W) of the total, both in the image's dtype."""
        terms, rows = self.value_and_grad_rows(image)
        return terms, gather_gradient(rows, image)

    def _accumulate(self, image: Tensor) -> list[Accumulator]:
        """Evaluate an image: one accumulator for each layer term, with all rows added."""
        accumulators = [term.target.accumulator() for term in self._layer_terms]

        def add(name: str, features: Tensor, rows: slice) -> None:
            for term, accumulator in zip(self._layer_terms, accumulators, strict=True):
                if term.layer == name:
                    accumulator.add(features, rows)

        self._network.forward(image, add)
        return accumulators

    def _compared_grain(self, image: Tensor) -> list[GrainComparison]:
        return [target.compare(image) for target in self.targets.grain] if self.weights.grain else []

    def _terms(self, image: Tensor, accumulators: Sequence[Accumulator], compared: Sequence[GrainComparison]) -> Terms:
        weights, zero = self.weights, image.new_zeros(())
        addends: dict[str, Tensor] = {}
        for term, accumulator in zip(self._layer_terms, accumulators, strict=True):
            name = f"{term.term} {term.layer}"
            # The regions of a style share their layers: one addend is the sum over the regions.
            addends[name] = addends.get(name, zero) + term.weight * accumulator.loss()
        content, style = (
            sum((addend for name, addend in addends.items() if name.startswith(term)), zero)
            for term in ("content", "style")
        )
        tv, grain = weights.variation(image), sum((each.loss() for each in compared), zero)
        total = weights.content * content + weights.style * style + weights.tv * tv + weights.grain * grain
        return Terms(total, content, style, tv, grain, addends)

    def _gradient_rows(self, image: Tensor, accumulators: Sequence[Accumulator]) -> GradientRows:
        gradients: dict[str, list[FeatureGradient]] = {}
        for term, accumulator in zip(self._layer_terms, accumulators, strict=True):
            # A term's weight and the layer's weight in one factor: gradients are scaled once, where they arise.
            factor = self.weights.content if term.term == "content" else self.weights.style
            gradients.setdefault(term.layer, []).append(accumulator.gradient(factor * term.weight))
        rows = self._network.backward({name: _sum_of(parts) for name, parts in gradients.items()})
        if not self.weights.tv:
            return rows
        # Total variation depends on the image alone: its gradient needs no strips, only the image's own memory again.
        of_tv = self.weights.variation.gradient(image, self.weights.tv)
        return ((here, chunk.add_(of_tv[:, :, here])) for here, chunk in rows)

    def _with_grain(self, rows: GradientRows, compared: Sequence[GrainComparison]) -> GradientRows:
        for here, chunk in rows:
            for each in compared:
                each.add_gradient(self.weights.grain, chunk, here)
            yield here, chunk


def _sum_of(gradients: Sequence[FeatureGradient]) -> FeatureGradient:
    """The sum of the gradients of several terms at one layer."""
    first, *others = gradients

    def feature_gradient(features: Tensor, rows: slice) -> Tensor:
        gradient = first(features, rows)
        for other in others:
            gradient = gradient.add_(other(features, rows))
        return gradient

    return feature_gradient
