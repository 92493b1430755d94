"""The loss of a network's output: the objective of the iterative method, at several sizes of the output."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.picture import Picture
from impasto.images.resize import resize, rotate, scaled_size
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import Objective, Terms
from impasto.loss.style_targets import style_targets
from impasto.loss.targets import (
    CONTENT_FLOOR,
    StyleTarget,
    Targets,
    content_targets,
    mean_squares,
    statistics_of,
)
from impasto.settings.layers import block_of
from impasto.settings.model import Settings
from impasto.settings.schedule import content_factor
from impasto.vgg.model import VGG19

STYLE_IMAGE_EDGE = 512
"""Long edge of the style image at a style scale of 1: it fixes the stroke size in pixels, at any size of the output."""

FULL_SIZE_BLOCKS = 3
"""The deepest block whose style is compared without reduction.

Features of deeper blocks see shapes as large as panes and swirls. To have all of them in every crop, the network would
repeat them as a pattern.
"""


class ReducedLoss:
    """The objective of an output and its content image, both reduced by a factor, as is the style image.

    The content weight is that of the iterative method at a scale as small as the reduced style image.
    """

    def __init__(self, style: Picture, settings: Settings, vgg: VGG19, reduction: int) -> None:
        self.reduction, self.vgg = reduction, vgg
        factor = content_factor(STYLE_IMAGE_EDGE // reduction, settings)
        layers = {n: w for n, w in settings.style_layers.items() if reduction > 1 or block_of(n) <= FULL_SIZE_BLOCKS}
        self.settings = settings.replace(content_weight=factor * settings.content_weight, style_layers=layers)
        image = _style_image(style, settings, reduction)
        self.style = [
            StyleTarget(style_targets(vgg, [(image, 1.0)], names, loss=statistic))
            for statistic, names in statistics_of(settings.style_loss, layers).items()
        ]
        squares = mean_squares(vgg, image, settings.content_layers)
        self._least = {name: CONTENT_FLOOR * square for name, square in squares.items()}

    def objective(self, content: Tensor) -> Objective:
        """The objective for a content image (1, 3, H, W), which is reduced."""
        features = content_targets(self.vgg, self.reduced(content), self.settings.content_layers, least=self._least)
        targets = Targets(features, self.style)
        return Objective(self.vgg, targets, loss_weights(self.settings, targets))

    def value_and_grad(self, output: Tensor, content: Tensor) -> tuple[Terms, Tensor]:
        """The terms of the reduced output, and the gradient of their total with respect to the output."""
        terms, gradient = self.objective(content).value_and_grad(self.reduced(output))
        # the adjoint of a mean over cells: each pixel gets its share
        enlarged = gradient.repeat_interleave(self.reduction, 2).repeat_interleave(self.reduction, 3)
        return terms, enlarged / self.reduction**2

    def reduced(self, images: Tensor) -> Tensor:
        """(1, 3, H, W), edges that are multiples of the reduction -> means over cells of so many pixels."""
        return F.avg_pool2d(images, self.reduction) if self.reduction > 1 else images


def sum_of_terms(parts: Sequence[Terms]) -> Terms:
    """The sums of the totals and of each term."""
    layers: dict[str, Tensor] = {}
    for part in parts:
        for name, value in part.layers.items():
            layers[name] = layers[name] + value if name in layers else value
    total, content, style, tv, grain = (
        torch.stack(values).sum() for values in zip(*(part[:-1] for part in parts), strict=True)
    )
    return Terms(total, content, style, tv, grain, layers)


def _style_image(style: Picture, settings: Settings, reduction: int) -> Tensor:
    """The style image (1, 3, H, W), rotated and resized."""
    image = style.composited()[None]
    if settings.style_rotation:
        image = rotate(image, settings.style_rotation)
    edge = round(STYLE_IMAGE_EDGE * settings.style_scale / reduction)
    return resize(image, *scaled_size(image.shape[2], image.shape[3], edge))
