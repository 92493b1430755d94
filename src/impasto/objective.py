"""The objective: a picture -> its loss, term by term, and the gradient of the loss."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from impasto import layers, losses
from impasto.backprop import Backprop, Pull, vjp
from impasto.vgg import VGG19

NARROWEST = 16
"""Rows of the narrowest strips: with fewer, the rows kept for their neighbours are nearly all."""


def narrower(strip: int | None, height: int) -> int:
    """Rows of strips half as high, of a picture of that height if it was evaluated whole; NARROWEST at least."""
    return max((strip or height) // 2 // NARROWEST * NARROWEST, NARROWEST)


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
    *,
    strip: int | None = None,
) -> Targets:
    """The targets that `content` (1, 3, H, W) and `styles` (1, 3, h, w), of any sizes, set; none where there is none.

    The Gram matrices of several styles are averaged: an expectation over positions, that is the Gram matrix of a
    picture made of equal shares of them. `strip`: as in `Objective`.
    """
    responses = {} if content is None else _responses(vgg, content, content_layers, strip)
    grams = [_grams(vgg, style, style_layers, strip) for style in styles]
    means = {name: torch.stack([each[name] for each in grams]).mean(0) for name in style_layers if grams}
    return Targets(responses, means)


def _responses(vgg: VGG19, image: Tensor, wanted: Iterable[str], strip: int | None) -> dict[str, Tensor]:
    found = {}
    for name in wanted:
        shrink = layers.smallest_edge([name])
        shape = 1, vgg.width(name), image.shape[2] // shrink, image.shape[3] // shrink
        found[name] = torch.empty(shape, dtype=vgg.dtype, device=vgg.device, memory_format=torch.channels_last)

    def keep(name: str, here: Tensor, rows: slice) -> None:
        found[name][:, :, rows] = here

    Backprop(vgg, found, strip=strip).forward(image, keep)
    return found


def _grams(vgg: VGG19, image: Tensor, wanted: Iterable[str], strip: int | None) -> dict[str, Tensor]:
    sums = _Sums({}, wanted)
    Backprop(vgg, sums.products, strip=strip).forward(image, sums.read)
    return sums.grams


class _Sums:
    """What an evaluation adds up over the rows of a picture: the terms of the whole follow from it."""

    def __init__(self, content: Mapping[str, Tensor], style: Iterable[str]) -> None:
        self._content = content
        self.squares: dict[str, Tensor | float] = dict.fromkeys(content, 0.0)
        self.products: dict[str, Tensor | float] = dict.fromkeys(style, 0.0)
        self.positions = dict.fromkeys(style, 0)

    def read(self, name: str, here: Tensor, rows: slice) -> None:
        """Take some rows of a layer's responses in."""
        if name in self.squares:
            self.squares[name] += losses.squares(here, self._content[name][:, :, rows])
        if name in self.products:
            self.products[name] += losses.products(here)
            self.positions[name] += here.shape[2] * here.shape[3]

    @property
    def grams(self) -> dict[str, Tensor]:
        """The Gram matrices of the rows that were read."""
        return {name: torch.as_tensor(sums / self.positions[name]) for name, sums in self.products.items()}


class Objective:
    """The weighted sum of content, style and total variation against fixed targets (Gatys et al. 2015, eq. 7).

    A picture is evaluated whole, or in strips of `strip` rows: then a first pass adds up what the terms of the whole
    picture need, and a second one, half as much work again, finds the gradient strip by strip. Same numbers, in memory
    that grows with the width of the picture only. What an evaluation took is kept for the next.
    """

    def __init__(self, vgg: VGG19, targets: Targets, weights: Weighting, *, strip: int | None = None) -> None:
        self.vgg, self.targets, self.weights = vgg, targets, weights
        self._network = Backprop(vgg, {*targets.content, *targets.style}, strip=strip)

    @property
    def strip(self) -> int | None:
        """Rows of the picture that are evaluated at a time; None: all."""
        return self._network.strip

    def release(self) -> None:
        """Give back the memory of the last evaluation; the next one takes it anew."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=self.strip)

    def narrow(self, height: int) -> None:
        """Evaluate pictures of that height in strips from now on, or in narrower ones."""
        self._network = Backprop(self.vgg, self._network.wanted, strip=narrower(self.strip, height))

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Terms:
        """(1, 3, H, W) float in [0, 1] -> its terms."""
        return self._terms(image, self._sums(image))

    @torch.no_grad()
    def value_and_grad(self, image: Tensor) -> tuple[Terms, Tensor]:
        """(1, 3, H, W) -> its terms, and the gradient (1, 3, H, W) of the total, both in the image's dtype."""
        sums = self._sums(image)
        terms = self._terms(image, sums)
        gradient = self._network.backward({name: self._pull(name, sums) for name in self._network.wanted})
        if self.weights.tv:
            gradient += vjp(self.weights.variation, image, image.new_tensor(self.weights.tv))
        return terms, gradient

    def _sums(self, image: Tensor) -> _Sums:
        sums = _Sums(self.targets.content, self.targets.style)
        self._network.forward(image, sums.read)
        return sums

    def _terms(self, image: Tensor, sums: _Sums) -> Terms:
        at, weights = self.targets, self.weights
        content, style = image.new_zeros(()), image.new_zeros(())
        for name, target in at.content.items():
            content = content + weights.content_layers[name] * sums.squares[name] / target.numel()
        for name, gram in sums.grams.items():
            style = style + weights.style_layers[name] * losses.distance(gram, at.style[name])
        tv = weights.variation(image)
        total = weights.content * content + weights.style * style + weights.tv * tv
        return Terms(total, content, style, tv)

    def _pull(self, name: str, sums: _Sums) -> Pull:
        """The gradient of the total at a layer's responses, rows at a time, as far as the layer's own terms make it."""
        content, style = self.targets.content.get(name), self.targets.style.get(name)
        pulls: list[Pull] = []
        if content is not None:
            factor = 2 * self.weights.content * self.weights.content_layers[name] / content.numel()
            pulls.append(lambda here, rows: (here - content[:, :, rows]).mul_(factor))
        if style is not None:
            share = 2 * self.weights.style * self.weights.style_layers[name] / style.numel() / sums.positions[name]
            upstream = (sums.grams[name] - style) * share
            pulls.append(lambda here, _: losses.gram_gradient(here, upstream))
        return pulls[0] if len(pulls) == 1 else lambda here, rows: pulls[0](here, rows).add_(pulls[1](here, rows))
