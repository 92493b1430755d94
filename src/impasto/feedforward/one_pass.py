"""`fast`: style transfer by one forward pass of a feed-forward network, instead of by optimization."""

import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from impasto.arguments import check_callable, kind_of
from impasto.errors import PictureError, SettingError
from impasto.events import Noted, OnEvent, Painted
from impasto.feedforward.averaged import averaged_pass
from impasto.feedforward.inference import MIN_EDGE
from impasto.feedforward.network import Affines
from impasto.feedforward.stylizer import FastNetwork, SingleStyleNetwork, network_for
from impasto.images import color_transfer
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.quantize import Quantization
from impasto.images.recipe import Recipe, StyleRecord, environment
from impasto.images.resize import resize, scaled_size
from impasto.images.sources import (
    ImageSource,
    StyleSource,
    as_picture,
    as_styles,
    input_record,
    some_styles,
    style_record,
)
from impasto.settings.keywords import FastChanges
from impasto.settings.model import Settings
from impasto.settings.presets import settings_or_preset
from impasto.torch_state import isolated
from impasto.vgg.device import main_memory_limit

if TYPE_CHECKING:
    from typing_extensions import Unpack


@isolated
def fast(
    content: ImageSource,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | str | None = None,
    *,
    network: FastNetwork | SingleStyleNetwork | None = None,
    memory: int | None = None,
    reuse: bool = False,
    on_event: OnEvent | None = None,
    **changes: "Unpack[FastChanges]",
) -> Picture:
    """Transfer the style of `styles` to `content` by the one-pass method (Ghiasi et al. 2017, arXiv 1705.06830).

    Args:
        content: the content image.
        styles: one or more style images, mixed in equal shares; or `Style` objects with weights. Or the file that
            `distill` wrote.
        settings: `Settings`, or the name of a preset, of which only size, strength, color, depth and dither are used;
            by default the size is that of `content`.
        network: `network_for(styles)`, loaded once for several images; by default it is loaded now.
        memory: bytes that the process may take; an image that needs more is evaluated in strips, with the same result.
        reuse: `content` is no longer needed, and its memory may be used for the result.
        on_event: called with notes, and with `Painted` at the end.
        changes: any of these settings, such as size=1024, strength=0.3.

    Raises:
        ImpastoError: one of its subclasses, see `impasto.errors`.
    """
    check_callable(on_event)
    if unused := changes.keys() - FastChanges.__annotations__:
        allowed = ", ".join(FastChanges.__annotations__)
        raise SettingError(f"{min(unused)}: the one-pass method has no such setting; give one of {allowed}")
    network = _network_or_default(network, styles := some_styles(styles))
    limit = main_memory_limit(memory, network.device)
    picture = as_picture(content, "content", limit)
    style_images = [] if isinstance(network, SingleStyleNetwork) else as_styles(styles, limit)
    own_size = {"size": max(picture.height, picture.width)} if settings is None else {}
    settings = settings_or_preset(settings, changes={**own_size, **changes, "method": "fast"})
    _validate(picture, style_images, settings, network)
    started = time.perf_counter()
    image, affines = _network_inputs(picture, style_images, settings, network)
    owned = reuse or not isinstance(content, Picture)
    out = image if owned and _may_overwrite(image, settings, network) else None
    if isinstance(network, SingleStyleNetwork):
        stylized = network.stylize(image, affines, memory, out)
    else:
        stylized = averaged_pass(partial(network.stylize, affines=affines, memory=memory), image, out)
    if settings.color == "luminance":
        stylized = color_transfer.transfer_luminance(stylized, image)
    alpha = None if picture.alpha is None else resize(picture.alpha[None], *stylized.shape[1:])[0]
    if on_event is not None:
        _report(on_event, picture, style_images, stylized, time.perf_counter() - started)
    recipe = _recipe(picture, style_images, settings, network).model_dump(mode="json")
    return Picture(stylized, alpha, recipe=recipe, rounding=Quantization(settings.depth, settings.dither))


def _network_or_default(
    network: FastNetwork | SingleStyleNetwork | None, styles: Sequence[StyleSource]
) -> FastNetwork | SingleStyleNetwork:
    """The network that a caller passed, by default the one for `styles`.

    Raises:
        SettingError: something else was passed.
    """
    if network is None:
        return network_for(styles)
    if not isinstance(network, FastNetwork | SingleStyleNetwork):
        raise SettingError(f"network: got {kind_of(network)}; give impasto.network_for(styles)")
    return network


def _validate(
    content: Picture, styles: Sequence[Style], settings: Settings, network: FastNetwork | SingleStyleNetwork
) -> None:
    """Refuse settings that the one-pass method or a distilled style cannot honor, and images that are too small."""
    if isinstance(network, SingleStyleNetwork):
        if settings.color in {"content", "match"}:
            raise SettingError(
                f"color: got {settings.color!r}, which needs the style image; give 'style' or 'luminance'"
            )
        if settings.strength != 0.5:
            raise SettingError(
                f"strength: got {settings.strength:g}, but the strength of a distilled style is fixed; leave it out"
            )
    if any(style.mask is not None for style in styles):
        raise SettingError("mask: got one, but the one-pass method has one style for the whole image; leave it out")
    height, width = scaled_size(content.height, content.width, settings.size)
    if min(height, width) < MIN_EDGE:
        size = f"{content.width}x{content.height} pixels become {width}x{height}"
        raise PictureError(
            f"{content.name or 'content'}: {size}, {MIN_EDGE} are needed; crop it or give a larger --size"
        )


def _network_inputs(
    content: Picture, styles: Sequence[Style], settings: Settings, network: FastNetwork | SingleStyleNetwork
) -> tuple[Tensor, Affines]:
    """The content image at its output size, (3, H, W) float32 in [0, 1], and the normalization parameters.

    For the color settings "content" and "match" the colors of the style images or of the content image are mapped
    first.
    """
    size = scaled_size(content.height, content.width, settings.size)
    if isinstance(network, SingleStyleNetwork):
        return resize(content.composited()[None], *size)[0], network.affines
    mapped, pictures = color_transfer.apply_color_setting(content, [style.picture for style in styles], settings.color)
    mapped = mapped or content
    styles = [dataclasses.replace(style, picture=picture) for style, picture in zip(styles, pictures, strict=True)]
    return resize(mapped.composited()[None], *size)[0], network.affines_for(styles, mapped, settings.strength)


def _may_overwrite(image: Tensor, settings: Settings, network: FastNetwork | SingleStyleNetwork) -> bool:
    """Whether the result may take the memory of the content image: its chroma is still needed for "luminance"."""
    return image.is_contiguous() and network.device.type == "cpu" and settings.color != "luminance"


def _report(on_event: OnEvent, content: Picture, styles: Sequence[Style], stylized: Tensor, seconds: float) -> None:
    """The notes of all images and the result, as events."""
    for picture in (content, *(style.picture for style in styles)):
        for note in picture.notes:
            on_event(Noted(f"{picture.name}: {note}"))
    on_event(Painted(content.name, stylized.shape[2], stylized.shape[1], seconds))


def _recipe(
    content: Picture, styles: Sequence[Style], settings: Settings, network: FastNetwork | SingleStyleNetwork
) -> Recipe:
    if isinstance(network, SingleStyleNetwork):
        records = [StyleRecord(name=network.name, sha256=network.sha256, weight=1.0)]
    else:
        records = [style_record(style) for style in styles]
    return Recipe(
        **environment(),
        task="stylize",
        settings=settings,
        steps_done=0,
        content=input_record(content),
        styles=tuple(records),
        init=None,
        weights=network.sha256,
        device=network.device.type,
        precision=network.precision,
        strips=(),
        loss={},
    )
