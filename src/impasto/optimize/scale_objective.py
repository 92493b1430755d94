"""The objective of one scale: style targets per region, content targets, and the weights of both."""

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from impasto.images.masks import Region, layer_guides
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import Objective
from impasto.loss.targets import (
    CONTENT_FLOOR,
    StyleTarget,
    Targets,
    content_targets,
    mean_squares,
    style_targets,
)
from impasto.optimize.detail import style_guides, weigh_content
from impasto.optimize.inputs import Inputs
from impasto.optimize.memory_plan import ScalePlan
from impasto.vgg.model import VGG19


def scale_objective(vgg: VGG19, inputs: Inputs, plan: ScalePlan) -> Objective:
    """The objective at one scale, evaluated as its plan says.

    Args:
        vgg: the network, with the pooling and padding of the settings.
    """
    settings = inputs.settings
    # The inputs are not seamless: their opposite edges do not belong together, even if those of the result shall.
    padding = "replicate" if settings.padding == "circular" else settings.padding
    target_vgg = vgg.configured(pooling=settings.pooling, padding=padding)
    guides, detail = inputs.guides(plan.size), inputs.detail_at(plan.size)
    style = [
        _style_target(target_vgg, inputs, region, style_guides(guide, detail, settings.style_layers), plan)
        for region, guide in zip(inputs.regions, guides, strict=True)
    ]
    image = inputs.content_at(plan.size)  # after the style images, which may be large and are released by now
    content = {}
    if image is not None:
        least = _least_normalizers(target_vgg, inputs, plan.strip)
        content = content_targets(target_vgg, image, settings.content_layers, strip=plan.strip, least=least)
        if inputs.is_adaptive:
            content = {name: target.adapted(settings.adaptive_content) for name, target in content.items()}
        if detail is not None:
            content = weigh_content(content, detail, everywhere=inputs.own_content_layers)
    targets = Targets(content, style)
    weights = loss_weights(settings, targets)
    # coarse scales weight the content more: there the style's large forms would cover it (see `Scale`)
    weights = dataclasses.replace(weights, content=weights.content * plan.scale.content_factor)
    return Objective(vgg, targets, weights, strip=plan.strip)


def _least_normalizers(vgg: VGG19, inputs: Inputs, strip: int | None) -> dict[str, float]:
    """The least normalizers of the content loss, where it is relative; 0 without style images.

    From the style images at the coarsest scale: a mean over positions depends little on the size, and costs little.
    """
    settings, coarsest = inputs.settings, inputs.scale_plans[0]
    if settings.convention != "relative":
        return {}
    least = dict.fromkeys(settings.content_layers, 0.0)
    for number, size in enumerate(coarsest.style_sizes):
        image = inputs.style_at(number, size)
        for name, square in mean_squares(vgg, image, settings.content_layers, strip=strip).items():
            least[name] += CONTENT_FLOOR * square / len(coarsest.style_sizes)
    return least


def _style_target(
    vgg: VGG19, inputs: Inputs, region: Region, guides: Mapping[str, Tensor | None], plan: ScalePlan
) -> StyleTarget:
    """The style target of one region.

    Args:
        guides: for every layer the region's share in each pixel, (1, 1, H, W); None: the whole image.
    """
    settings = inputs.settings
    pixels = {name: guide for name, guide in guides.items() if guide is not None}
    positions = {name: layer_guides(guide, [name])[name].to(vgg.device) for name, guide in pixels.items()}
    # a small region may be without a single position in a deep layer, whose stride is 16 pixels, at a coarse scale
    layer_names = [name for name in settings.style_layers if name not in positions or positions[name].any()]
    # a generator: each style image is resized when it is needed, and released before the next one
    weighted_images = (
        (inputs.style_at(number, plan.style_sizes[number]), share) for number, share in region.shares.items()
    )
    targets = style_targets(
        vgg,
        weighted_images,
        layer_names,
        loss=settings.style_loss,
        guides=positions,
        strip=plan.strip,
        inner=settings.padding == "circular",
    )
    return StyleTarget(targets, {name: float(guide.mean()) for name, guide in pixels.items()})
