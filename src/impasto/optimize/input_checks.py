"""Whether the images and the settings of a run fit together."""

from collections.abc import Iterable

from impasto.errors import SettingError
from impasto.images.masks import check_mask_shape
from impasto.images.picture import Picture
from impasto.images.recipe import Task
from impasto.settings.model import Settings


def check_init(init: Picture | None, settings: Settings) -> None:
    """Refuse an initial image that the settings do not ask for."""
    if init is not None and settings.init in ("content", "noise"):  # the recipe could not name the image
        raise SettingError(f"init: got {settings.init!r} and an image; set it to the name of the image, or pass none")


def used_layers(settings: Settings, task: Task) -> tuple[str, ...]:
    """The layers that losses are computed in.

    Raises:
        SettingError: nothing has a weight, so that there is nothing to minimize.
    """
    content = settings.content_layers if task != "texture" else {}
    style = settings.style_layers if task != "reconstruct" else {}
    weights = settings.content_weight * sum(content.values()), settings.style_weight * sum(style.values())
    if not any((*weights, settings.tv_weight)):
        raise SettingError(f"all weights used by the task {task} are 0; raise the content, style or tv weight")
    return tuple({**content, **style})


def check_masks(masks: Iterable[Picture | None], content: Picture | None) -> None:
    """Refuse masks without a content image, and those of another aspect ratio."""
    for mask in masks:
        if mask is None:
            continue
        if content is None:
            raise SettingError("mask: texture synthesis has no content image that a mask applies to; remove the masks")
        check_mask_shape(mask, content)
