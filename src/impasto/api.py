"""The calls of the library, one per image; the results carry their recipe, which `Picture.save` embeds."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from impasto.arguments import Cancel, check_callable, stop_function
from impasto.errors import RecipeError, SettingError
from impasto.events import OnEvent
from impasto.feedforward.one_pass import fast
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.color_transfer import recolor_picture
from impasto.images.loading import read_recipe, reusable
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.recipe import Recipe, Recolor, RecolorRecord
from impasto.images.sources import (
    ImageSource,
    StyleSource,
    as_picture,
    as_styles,
    input_record,
    optional_picture,
    some_styles,
)
from impasto.optimize.result import result_of
from impasto.optimize.run import Run
from impasto.optimize.style_targets import StyleTargets, network_of
from impasto.progress import ProgressBar
from impasto.reporting import ReportedSteps, both, end_events
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import settings_or_preset
from impasto.torch_state import isolated
from impasto.vgg.device import main_memory_limit, select_device
from impasto.vgg.model import VGG19, network_or_default

if TYPE_CHECKING:  # a part of typing itself from Python 3.11 on
    from typing_extensions import Unpack

    from impasto.settings.keywords import SettingChanges


def stylize(
    content: ImageSource,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | str | None = None,
    *,
    init: ImageSource | None = None,
    keep: ImageSource | None = None,
    detail: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
    progress: bool = False,
    cancel: Cancel | None = None,
    **changes: "Unpack[SettingChanges]",
) -> Picture:
    """Transfer the style of `styles` to `content` by optimization (Gatys, Ecker, Bethge 2015, arXiv 1508.06576).

    Images are given as paths, bytes or open files, PIL images, NumPy arrays, tensors or `Picture`s.

    Args:
        content: the content image.
        styles: one or more style images, mixed in equal shares; or `Style` objects with weights and masks; or
            `StyleTargets`, which keep what is computed of the style images for further calls.
        settings: `Settings`, or the name of a preset; by default the preset "painterly".
        init: the initial image, or "content", "noise" or "fast"; by default as `settings.init` says.
        keep: a protection mask over the content image: white areas are kept unchanged.
        detail: a detail mask over the content image: white areas stay closer to it, as faces do.
        vgg: the network, `VGG19.load(weights, device=, precision=)`; by default on the fastest device available.
        on_event: called with each event of `impasto.events`.
        progress: show a progress bar, on a terminal or in a notebook.
        cancel: a function that returns whether to stop, or a `threading.Event`; asked after every step. The image so
            far is returned, at the size of the current scale; its recipe says how many steps were done.
        changes: single settings, such as size=1024, strength=0.3.

    Returns:
        The result in the size of the last scale; `save` embeds the recipe, from which `impasto rerun` reproduces it.

    Raises:
        ImpastoError: one of its subclasses, see `impasto.errors`.
    """
    settings = settings_or_preset(settings, changes=changes)
    check_callable(on_event)
    cancel = stop_function(cancel)
    if settings.method == "fast":
        if any(each is not None for each in (init, keep, detail, vgg)):
            raise SettingError("method: got 'fast', which does not support init, keep, detail or vgg; leave them out")
        return fast(content, styles, settings, on_event=on_event)
    styles = some_styles(styles, "give a style image, or use `reconstruct` for feature inversion")
    content = as_picture(content, "content")  # `create_run` takes None for texture synthesis
    run = create_run(content, styles, settings, init=init, keep=keep, detail=detail, vgg=vgg)
    return complete(run, on_event, progress=progress, cancel=cancel)


def texture(
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | str | None = None,
    *,
    init: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
    progress: bool = False,
    cancel: Cancel | None = None,
    **changes: "Unpack[SettingChanges]",
) -> Picture:
    """Synthesize a texture in the style of `styles`, from white noise (2015, figure 1). Otherwise as `stylize`."""
    settings = settings_or_preset(settings, changes=changes).from_noise()
    check_callable(on_event)
    cancel = stop_function(cancel)
    run = create_run(None, some_styles(styles), settings, init=init, vgg=vgg)
    return complete(run, on_event, progress=progress, cancel=cancel)


def reconstruct(
    content: ImageSource,
    layer: str = "block4_conv2",
    settings: Settings | str | None = None,
    *,
    init: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
    progress: bool = False,
    cancel: Cancel | None = None,
    **changes: "Unpack[SettingChanges]",
) -> Picture:
    """Feature inversion: reconstruct `content` from its features in `layer` alone, starting at white noise.

    As in figure 1 of the 2015 paper. Otherwise as `stylize`.
    """
    settings = settings_or_preset(settings, changes=changes).from_noise().with_content_layer(layer)
    check_callable(on_event)
    cancel = stop_function(cancel)
    run = create_run(as_picture(content, "content"), [], settings, init=init, vgg=vgg)
    return complete(run, on_event, progress=progress, cancel=cancel)


@isolated
def recolor(image: ImageSource, content: ImageSource, color: Recolor = "luminance") -> Picture:
    """Transfer the colors of `content` to `image`, a result of impasto or any other image; no network is needed.

    The alpha channel is kept. So is a recipe of impasto, with the recoloring added; `rerun` refuses such a recipe.

    Args:
        color: "luminance": the lightness of `image` with the chroma of `content` resized to it (Oklab); "content": the
            colors of `image` mapped to the mean and covariance of those of `content`.

    Raises:
        PictureError: a file that cannot be read as an image.
        SettingError: another value of `color`.
    """
    if color not in get_args(Recolor):
        raise SettingError(f"color: got {color!r}; give {' or '.join(map(repr, get_args(Recolor)))}")
    before, source = as_picture(image := reusable(image), "image"), as_picture(content, "content")
    result = recolor_picture(before, source, color)
    notes = [f"{picture.name}: {note}" for picture in (before, source) for note in picture.notes]
    record = RecolorRecord(color=color, image=input_record(before), content=input_record(source))
    recipe = _recipe_in(image)
    return dataclasses.replace(result, notes=(*notes, *result.notes), recipe=_with_recoloring(recipe, record))


def _recipe_in(image: ImageSource) -> Mapping[str, Any] | None:
    with contextlib.suppress(RecipeError):  # most images have none
        return read_recipe(image)
    return None


def _with_recoloring(recipe: Mapping[str, Any] | None, record: RecolorRecord) -> dict[str, Any] | None:
    """The recipe with the recoloring added; None if it is not a recipe of impasto."""
    with contextlib.suppress(RecipeError):
        parsed = Recipe.parse(dict(recipe or {}), "the picture")
        return parsed.model_copy(update={"recolored": (*parsed.recolored, record)}).model_dump(mode="json")
    return None


@isolated
def create_run(
    content: ImageSource | None,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | str | None = None,
    *,
    init: ImageSource | None = None,
    keep: ImageSource | None = None,
    detail: ImageSource | None = None,
    vgg: VGG19 | None = None,
    memory: int | None = None,
    strips: Sequence[int | None] | None = None,
    **changes: "Unpack[SettingChanges]",
) -> Run:
    """Create a run: read the files, load the network, and compute the initial image if `settings.init` is "fast".

    Args:
        content: the content image; None for texture synthesis.
        styles: the style images; none for feature inversion.
        init: as for `stylize`; `settings.init` may name a file.
        settings, keep, detail, vgg, changes: as for `stylize`.
        memory, strips: as for `Run`.
    """
    settings = settings_or_preset(settings, changes=changes)
    if settings.method == "fast":
        raise SettingError("method: got 'fast', which takes no steps; use impasto.fast or `impasto fast`")
    if isinstance(init, str) and init in INITS:
        settings, init = settings.replace(init=init), None
    elif init is None and settings.init not in INITS:
        init = settings.init
    vgg = network_of(styles, vgg)
    limit = main_memory_limit(memory, vgg.device if isinstance(vgg, VGG19) else select_device())
    initial = optional_picture(init, "init", limit)
    if initial is not None:
        settings = settings.replace(init=initial.name or "picture")  # the recipe must not name folders of the user
    content_image = optional_picture(content, "content", limit)
    masks = {role: optional_picture(mask, role, limit) for role, mask in (("keep", keep), ("detail", detail))}
    style_images = styles if isinstance(styles, StyleTargets) else as_styles(styles, limit)
    if settings.init == "fast" and initial is None:
        vgg = network_or_default(vgg)
        initial = _fast_initial_image(content_image, style_images, settings, vgg, memory)
    return Run(content_image, style_images, settings, init=initial, **masks, vgg=vgg, memory=memory, strips=strips)


def _fast_initial_image(
    content: Picture | None, styles: Sequence[Style], settings: Settings, vgg: VGG19, memory: int | None
) -> Picture:
    """The result of the one-pass method, as the initial image of a run.

    Masks, strength and luminance are left to the run: it starts from one style everywhere, at the standard strength,
    in the colors of the style.
    """
    if content is None or not styles:
        raise SettingError("init: got 'fast', which needs a content image and a style image; give both, or 'noise'")
    network = FastNetwork(str(vgg.device), vgg.precision)
    unmasked = [dataclasses.replace(style, mask=None) for style in styles]
    color = "style" if settings.color == "luminance" else settings.color
    result = fast(content, unmasked, settings.replace(color=color, strength=0.5), network=network, memory=memory)
    return Picture(result.tensor)


def complete(
    run: Run, on_event: OnEvent | None = None, *, progress: bool = False, cancel: Cancel | None = None
) -> Picture:
    """Take all steps of a run, or those until it is canceled, and return the result; arguments as for `stylize`.

    Without `on_event` and `progress` the single loss terms are never fetched from the device.
    """
    should_stop = stop_function(cancel)
    with ProgressBar() if progress else contextlib.nullcontext() as bar:
        report = both(on_event, bar)
        for _ in ReportedSteps(run, report):
            if should_stop():
                break
        picture = result_of(run)
        if report is not None:
            for event in end_events(run, picture):
                report(event)
    return picture
