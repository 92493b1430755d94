"""The sizes of the images at every scale of a run."""

import contextlib
from collections.abc import Sequence

from impasto.errors import PictureError, SettingError
from impasto.images.picture import Picture
from impasto.images.resize import scaled_size
from impasto.optimize.memory_plan import ScalePlan, Size
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale, scales


def plan_sizes(
    content: Picture | None,
    styles: Sequence[tuple[Picture, float]],
    settings: Settings,
    layer_names: Sequence[str],
) -> tuple[ScalePlan, ...]:
    """The scales of a run, coarse to fine, with the sizes of the result and of the style images.

    Coarse scales at which an image would be too small for the layers are left out.

    Args:
        styles: the style images, each with the fraction of its long edge that is left after rotation.

    Raises:
        PictureError: an image is too small at the last scale.
    """
    *coarse, last = scales(settings)
    plans = []
    for scale in coarse:
        with contextlib.suppress(PictureError):
            plans.append(_scale_plan(scale, content, styles, settings, layer_names))
    return (*plans, _scale_plan(last, content, styles, settings, layer_names))


def output_size(content: Picture | None, plans: Sequence[ScalePlan], settings: Settings) -> Size:
    """The size of the result: that of the last scale, or what it is upsampled to.

    Raises:
        SettingError: upsampling is not possible.
    """
    if settings.size <= settings.last_scale:
        return plans[-1].size
    if content is None or settings.padding == "circular":
        raise SettingError(
            f"last_scale: got {settings.last_scale} below the size {settings.size}, but a texture cannot be upsampled; "
            "give a higher --last-scale"
        )
    return scaled_size(content.height, content.width, settings.size, settings.resampling)


def _scale_plan(
    scale: Scale,
    content: Picture | None,
    styles: Sequence[tuple[Picture, float]],
    settings: Settings,
    layer_names: Sequence[str],
) -> ScalePlan:
    min_edge = layers.min_edge(layer_names)

    def size_of(picture: Picture, role: str, edge: int) -> Size:
        size = scaled_size(picture.height, picture.width, edge, settings.resampling)
        _check_size(picture, role, size, min_edge)
        return size

    # texture synthesis has no content image: the result gets the shape of the first style image
    size = size_of(styles[0][0], "style 1", scale.edge) if content is None else size_of(content, "content", scale.edge)
    if settings.padding == "circular":
        size = _tileable(size, min_edge)
    # a rotated image is cropped: its long edge is reduced as much, so that the strokes keep their size
    edge = scale.edge * settings.style_scale
    style_sizes = [
        size_of(style, f"style {number}", round(edge * fraction)) for number, (style, fraction) in enumerate(styles, 1)
    ]
    return ScalePlan(scale, size, tuple(style_sizes))


def _check_size(picture: Picture, role: str, size: Size, min_edge: int) -> None:
    """Refuse an image that is too small to leave the deepest layer a position."""
    height, width = size
    if min(height, width) < min_edge:
        raise PictureError(
            f"{picture.name or role}: {picture.width}x{picture.height} pixels become {width}x{height}, "
            f"the selected layers need {min_edge} or more; crop it or give a larger --size"
        )


def _tileable(size: Size, cell: int) -> Size:
    """The nearest size whose edges are multiples of `cell`, the stride of the deepest layer.

    Pooling drops the rows and columns that do not fill a cell. Then the feature maps would not continue across the
    edges, and a seamless image has a seam.
    """
    return cell * max(round(size[0] / cell), 1), cell * max(round(size[1] / cell), 1)
