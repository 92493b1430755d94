"""The objective of one scale: style targets per region, content targets, and the weights of both."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from impasto.images.masks import Region, layer_guides
from impasto.loss import grain
from impasto.loss.conventions import loss_weights
from impasto.loss.grain import Grain, mixed
from impasto.loss.matching import matched_samples
from impasto.loss.nearest import Sample
from impasto.loss.objective import Objective, narrower_strip
from impasto.loss.statistics import LayerTarget
from impasto.loss.style_targets import StylePart, mixed_targets, style_parts
from impasto.loss.targets import (
    CONTENT_FLOOR,
    StyleTarget,
    Targets,
    content_targets,
    mean_squares,
    statistics_of,
)
from impasto.optimize.detail import style_guides, weigh_content
from impasto.optimize.evaluation import can_retry_narrower
from impasto.optimize.inputs import Inputs
from impasto.optimize.memory_plan import ScalePlan, Size
from impasto.settings.model import StyleLoss
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
        target
        for region, guide in zip(inputs.regions, guides, strict=True)
        for target in _style_targets(
            target_vgg, inputs, region, style_guides(guide, detail, settings.style_layers), plan
        )
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
    targets = Targets(content, style, _grain(vgg, inputs, guides, plan))
    weights = loss_weights(settings, targets)
    # coarse scales weight the content more: there the style's large forms would cover it (see `Scale`)
    weights = dataclasses.replace(weights, content=weights.content * plan.scale.content_factor)
    return Objective(vgg, targets, weights, strip=plan.strip)


def fitting_objective(vgg: VGG19, inputs: Inputs, plan: ScalePlan) -> Objective:
    """`scale_objective`, in narrower strips than planned if memory runs out."""
    while True:
        try:
            return scale_objective(vgg, inputs, plan)
        except (MemoryError, RuntimeError) as error:
            if not can_retry_narrower(error, plan.strip, inputs.settings):
                raise
        plan = dataclasses.replace(plan, strip=narrower_strip(plan.strip, plan.size[0]))


def _least_normalizers(vgg: VGG19, inputs: Inputs, strip: int | None) -> dict[str, float]:
    """The least normalizers of the content loss, where it is relative; 0 without style images.

    From the style images at the coarsest scale: a mean over positions depends little on the size, and costs little.
    """
    settings, coarsest = inputs.settings, inputs.scale_plans[0]
    if settings.convention != "relative":
        return {}
    names, least = tuple(settings.content_layers), dict.fromkeys(settings.content_layers, 0.0)
    for number, size in enumerate(coarsest.style_sizes):

        def compute(number: int = number, size: Size = size) -> dict[str, float]:
            return mean_squares(vgg, inputs.style_at(number, size), names, strip=strip)

        key = ("mean squares", *inputs.style_key(number), size, names, strip, vgg.variant)
        for name, square in inputs.kept(key, compute).items():
            least[name] += CONTENT_FLOOR * square / len(coarsest.style_sizes)
    return least


def _style_targets(
    vgg: VGG19, inputs: Inputs, region: Region, guides: Mapping[str, Tensor | None], plan: ScalePlan
) -> Iterator[StyleTarget]:
    """The style targets of one region, one for each statistic that its style loss compares.

    Args:
        guides: for every layer the region's share in each pixel, (1, 1, H, W); None: the whole image.
    """
    settings = inputs.settings
    pixels = {name: guide for name, guide in guides.items() if guide is not None}
    positions = {name: layer_guides(guide, [name])[name].to(vgg.device) for name, guide in pixels.items()}
    # a small region may be without a single position in a deep layer, whose stride is 16 pixels, at a coarse scale
    layer_names = [name for name in settings.style_layers if name not in positions or positions[name].any()]
    shares = {name: float(guide.mean()) for name, guide in pixels.items()}
    for statistic, names in statistics_of(settings.style_loss, layer_names).items():
        parts = [
            part
            for number, share in region.shares.items()
            for part in _style_parts(vgg, inputs, plan, (number, share), names, loss=statistic)
        ]
        targets: Mapping[str, LayerTarget] = mixed_targets(parts, names, loss=statistic, guides=positions)
        if statistic == "nearest":
            targets = _matched(vgg, inputs.content_at(plan.size), targets, plan.strip)
        yield StyleTarget(targets, shares)


def _style_parts(
    vgg: VGG19, inputs: Inputs, plan: ScalePlan, style: tuple[int, float], names: tuple[str, ...], *, loss: StyleLoss
) -> list[StylePart]:
    """What a style image, given by its number and share, contributes to the targets of a region."""
    number, share = style
    size, inner = plan.style_sizes[number], inputs.settings.padding == "circular"
    key = ("parts", *inputs.style_key(number), size, share, loss, names, plan.strip, inner, vgg.variant)

    def compute() -> list[StylePart]:
        # the image is resized when it is needed, and released before the next one
        image = inputs.style_at(number, size), share
        return style_parts(vgg, image, names, loss=loss, strip=plan.strip, inner=inner)

    return inputs.kept(key, compute)


def _grain(vgg: VGG19, inputs: Inputs, guides: Sequence[Tensor | None], plan: ScalePlan) -> list[Grain]:
    """The grain of the style of each region.

    Args:
        guides: the region's share in each pixel, (1, 1, H, W); None: the whole image.
    """
    if not inputs.settings.grain_weight:
        return []
    targets = []
    for region, guide in zip(inputs.regions, guides, strict=True):
        style = mixed((share, _grain_of(vgg, inputs, number, plan)) for number, share in region.shares.items())
        targets.append(Grain(style) if guide is None else Grain(style, guide.to(vgg.device), float(guide.mean())))
    return targets


def _grain_of(vgg: VGG19, inputs: Inputs, number: int, plan: ScalePlan) -> grain.Moments:
    size = plan.style_sizes[number]
    key = ("grain", *inputs.style_key(number), size, vgg.variant)
    return inputs.kept(key, lambda: grain.moments(inputs.style_at(number, size).to(vgg.device)))


def _matched(
    vgg: VGG19, content: Tensor | None, targets: Mapping[str, LayerTarget], strip: int | None
) -> Mapping[str, LayerTarget]:
    """The targets, matched to the content image if there is one."""
    samples = {name: target for name, target in targets.items() if isinstance(target, Sample)}
    return targets if content is None else matched_samples(vgg, content, samples, strip=strip)
