"""The objective: a picture -> its loss, term by term, and the gradient of the loss."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.loss import functional
from impasto.loss.statistics import Sums, Target
from impasto.loss.targets import Targets
from impasto.vgg.backward import Backprop, GradientRows, Pull, gather_gradient, vjp
from impasto.vgg.model import VGG19

MIN_STRIP = 16
"""Rows of the narrowest strips: with fewer, the rows kept for their neighbors are nearly all."""


def narrower_strip(strip: int | None, height: int) -> int:
    """Rows of strips half as high, of a picture of that height if it was evaluated whole; MIN_STRIP at least."""
    return max((strip or height) // 2 // MIN_STRIP * MIN_STRIP, MIN_STRIP)


class Terms(NamedTuple):
    """The loss of a picture: `total`, and its terms before their weights. Scalars that stay on the device.

    `layers`, such as "style block1_conv1", are the shares of which content and style are the sums.
    """

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    layers: Mapping[str, Tensor] = {}

    def to_floats(self) -> dict[str, float]:
        """The total and its terms, fetched from the device."""
        return dict(zip(self._fields, torch.stack(self[:4]).tolist(), strict=False))

    def layers_to_floats(self) -> dict[str, dict[str, float]]:
        """Term -> layer -> its share."""
        found: dict[str, dict[str, float]] = {}
        for name, value in self.layers.items():
            term, layer = name.split()
            found.setdefault(term, {})[layer] = float(value)
        return found


@dataclass(frozen=True)
class LossWeights:
    """Weights of our plain means: total = content * sum c_l mean_l + style * sum s_l mean_l + tv * variation.

    `style_layers` are those of every region of the picture, as many as the targets' manners.
    """

    content: float
    style: float
    tv: float
    content_layers: Mapping[str, float]
    style_layers: Sequence[Mapping[str, float]]
    variation: Callable[[Tensor], Tensor] = functional.total_variation


class _Aim(NamedTuple):
    """One target: the term and the layer that it belongs to, and its weight within the term."""

    term: str
    layer: str
    weight: float
    target: Target


def _aims(targets: Targets, weights: LossWeights) -> list[_Aim]:
    aims = [_Aim("content", name, weights.content_layers[name], each) for name, each in targets.content.items()]
    for manner, shares in zip(targets.style, weights.style_layers, strict=True):
        aims += [_Aim("style", name, shares[name], each) for name, each in manner.layers.items()]
    return aims


class Objective:
    """The weighted sum of content, style and total variation against fixed targets (Gatys et al. 2015, eq. 7).

    A picture is evaluated whole, or in strips of `strip` rows: then a first pass adds up what the terms of the whole
    picture need, and a second one, half as much work again, finds the gradient strip by strip. Same numbers, in memory
    that grows with the width of the picture only. What an evaluation took is kept for the next.
    """

    def __init__(self, vgg: VGG19, targets: Targets, weights: LossWeights, *, strip: int | None = None) -> None:
        self.vgg, self.targets, self.weights = vgg, targets, weights
        self._aims = _aims(targets, weights)
        self._network = Backprop(vgg, {aim.layer for aim in self._aims}, strip=strip)

    @property
    def strip(self) -> int | None:
        """Rows of the picture that are evaluated at a time; None: all."""
        return self._network.strip

    def release(self) -> None:
        """Give back the memory of the last evaluation; the next one takes it anew."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=self.strip)

    def narrow(self, height: int) -> None:
        """Evaluate pictures of that height in strips from now on, or in narrower ones."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=narrower_strip(self.strip, height))

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Terms:
        """(1, 3, H, W) float in [0, 1] -> its terms."""
        return self._terms(image, self._sums(image))

    @torch.no_grad()
    def value_and_grad_rows(self, image: Tensor) -> tuple[Terms, GradientRows]:
        """(1, 3, H, W) -> its terms, and the gradient of the total as it comes, both in the image's dtype.

        The gradient is found while it is iterated over, which must be done before the next evaluation, if it is done.
        """
        sums = self._sums(image)
        return self._terms(image, sums), self._rows(image, sums)

    def value_and_grad(self, image: Tensor) -> tuple[Terms, Tensor]:
        """(1, 3, H, W) -> its terms, and the gradient (1, 3, H, W) of the total, both in the image's dtype."""
        terms, rows = self.value_and_grad_rows(image)
        return terms, gather_gradient(rows, image)

    def _sums(self, image: Tensor) -> list[Sums]:
        """What every aim's target says of a picture."""
        sums = [aim.target.begin() for aim in self._aims]

        def read(name: str, here: Tensor, rows: slice) -> None:
            for aim, each in zip(self._aims, sums, strict=True):
                if aim.layer == name:
                    each.read(here, rows)

        self._network.forward(image, read)
        return sums

    def _terms(self, image: Tensor, sums: Sequence[Sums]) -> Terms:
        weights, nothing = self.weights, image.new_zeros(())
        shares: dict[str, Tensor] = {}
        for aim, each in zip(self._aims, sums, strict=True):
            name = f"{aim.term} {aim.layer}"
            shares[name] = shares.get(name, nothing) + aim.weight * each.loss()
        content, style = (
            sum((share for name, share in shares.items() if name.startswith(term)), nothing)
            for term in ("content", "style")
        )
        tv = weights.variation(image)
        return Terms(weights.content * content + weights.style * style + weights.tv * tv, content, style, tv, shares)

    def _rows(self, image: Tensor, sums: Sequence[Sums]) -> GradientRows:
        pulls: dict[str, list[Pull]] = {}
        for aim, each in zip(self._aims, sums, strict=True):
            factor = self.weights.content if aim.term == "content" else self.weights.style
            pulls.setdefault(aim.layer, []).append(each.pull(factor * aim.weight))
        rows = self._network.backward({name: _together(each) for name, each in pulls.items()})
        if not self.weights.tv:
            return rows
        variation = vjp(self.weights.variation, image, image.new_tensor(self.weights.tv))
        return ((here, some.add_(variation[:, :, here])) for here, some in rows)


def _together(pulls: Sequence[Pull]) -> Pull:
    """The sum of some pulls at one layer."""
    first, *others = pulls

    def pulled(here: Tensor, rows: slice) -> Tensor:
        gradient = first(here, rows)
        for each in others:
            gradient = gradient.add_(each(here, rows))
        return gradient

    return pulled
