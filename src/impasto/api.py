"""The calls of the library, one per image; the results carry their recipe, which `Picture.save` embeds."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from impasto.errors import RecipeError, SettingError
from impasto.events import OnEvent
from impasto.feedforward.one_pass import fast
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.color_transfer import recolor_picture
from impasto.images.masks import Style
from impasto.images.picture import Picture, read_recipe
from impasto.images.recipe import Recipe, Recolor, RecolorRecord
from impasto.images.sources import ImageSource, StyleSource, as_picture, as_styles, input_record
from impasto.optimize.result import result_of
from impasto.optimize.run import Run
from impasto.reporting import end_events, reported_steps
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import preset
from impasto.vgg.model import VGG19


def stylize(
    content: ImageSource,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | None = None,
    *,
    init: ImageSource | None = None,
    keep: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """Transfer the style of `styles` to `content` by optimization (Gatys, Ecker, Bethge 2015, arXiv 1508.06576).

    Args:
        content: the content image.
        styles: one or more style images, mixed in equal shares; or `Style` objects with weights and masks.
        settings: by default those of the preset "painterly".
        init: the initial image; by default as `settings.init` says.
        keep: a protection mask over the content image: white areas are kept unchanged.
        vgg: the network, `VGG19.load(weights, device=, precision=)`; by default on the fastest device available.
        on_event: called with each event of `impasto.events`.

    Raises:
        ImpastoError: one of its subclasses, see `impasto.errors`.
    """
    if settings is not None and settings.method == "fast":
        if init is not None or keep is not None or vgg is not None:
            raise SettingError("method: got 'fast', which knows no init, keep or vgg; leave them out")
        return fast(content, styles, settings, on_event=on_event)
    return complete(create_run(content, styles, settings, init=init, keep=keep, vgg=vgg), on_event)


def texture(
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | None = None,
    *,
    init: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """Synthesize a texture in the style of `styles`, from white noise (2015, figure 1). Otherwise as `stylize`."""
    return complete(create_run(None, styles, (settings or preset()).from_noise(), init=init, vgg=vgg), on_event)


def reconstruct(
    content: ImageSource,
    layer: str = "block4_conv2",
    settings: Settings | None = None,
    *,
    init: ImageSource | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """Feature inversion: reconstruct `content` from its features in `layer` alone, starting at white noise.

    As in figure 1 of the 2015 paper. Otherwise as `stylize`.
    """
    settings = (settings or preset()).from_noise().reading_layer(layer)
    return complete(create_run(content, [], settings, init=init, vgg=vgg), on_event)


def recolor(picture: ImageSource, photo: ImageSource, color: Recolor = "luminance") -> Picture:
    """`picture`, from any program, in the colors of `photo`.

    The alpha channel is kept. So is a recipe of impasto, with the recoloring added; `rerun` refuses such a recipe.

    Args:
        color: "luminance": the lightness of `picture` with the chroma of `photo` resized to it (Oklab); "content": the
            colors of `picture` mapped to the mean and covariance of those of `photo`.

    Raises:
        PictureError: a file that cannot be read as an image.
        SettingError: another value of `color`.
    """
    if color not in get_args(Recolor):
        raise SettingError(f"color: got {color!r}; give {' or '.join(map(repr, get_args(Recolor)))}")
    before, other = as_picture(picture), as_picture(photo)
    found = recolor_picture(before, other, color)
    notes = [f"{each.name}: {note}" for each in (before, other) for note in each.notes]
    done = RecolorRecord(color=color, picture=input_record(before), photo=input_record(other))
    recipe = before.recipe if isinstance(picture, Picture) else _recipe_in(picture)
    return dataclasses.replace(found, notes=(*notes, *found.notes), recipe=_with_recoloring(recipe, done))


def _recipe_in(path: str | os.PathLike[str]) -> Mapping[str, Any] | None:
    with contextlib.suppress(RecipeError):  # most pictures have none
        return read_recipe(path)
    return None


def _with_recoloring(recipe: Mapping[str, Any] | None, done: RecolorRecord) -> dict[str, Any] | None:
    """The recipe with the recoloring added; None if it is not a recipe of impasto."""
    with contextlib.suppress(RecipeError):
        made = Recipe.parse(dict(recipe or {}), "the picture")
        return made.model_copy(update={"recolored": (*made.recolored, done)}).model_dump(mode="json")
    return None


def create_run(
    content: ImageSource | None,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | None = None,
    *,
    init: ImageSource | None = None,
    keep: ImageSource | None = None,
    vgg: VGG19 | None = None,
    memory: int | None = None,
    strips: Sequence[int | None] | None = None,
) -> Run:
    """A run of these images, with the files read and the network loaded; `init` or `settings.init` may name a file.

    `memory` and `strips` are those of `Run`.
    """
    settings = settings or preset()
    if settings.method == "fast":
        raise SettingError("method: 'fast' takes no steps; use impasto.fast or `impasto fast`")
    if init is None and settings.init not in INITS:
        init = settings.init
    start = None if init is None else as_picture(init)
    if start is not None:
        settings = settings.replace(init=start.name or "picture")  # no folder of the user's in the recipe
    picture = None if content is None else as_picture(content)
    protected = None if keep is None else as_picture(keep)
    loaded = as_styles(styles)
    if settings.init == "fast" and start is None:
        vgg = vgg or VGG19.load()
        start = _head_start(picture, loaded, settings, vgg, memory)
    return Run(picture, loaded, settings, init=start, keep=protected, vgg=vgg, memory=memory, strips=strips)


def _head_start(
    content: Picture | None, styles: Sequence[Style], settings: Settings, vgg: VGG19, memory: int | None
) -> Picture:
    """The result of the one-pass method, as the initial image of a run."""
    if content is None or not styles:
        raise SettingError("init: got 'fast', which needs a content image and a style image; give both, or 'noise'")
    network = FastNetwork(vgg.device.type, vgg.precision)
    whole = [dataclasses.replace(style, mask=None) for style in styles]
    seen = settings.replace(color="style" if settings.color == "luminance" else settings.color, strength=0.5)
    painted = fast(content, whole, seen, network=network, memory=memory)
    return Picture(painted.tensor)


def complete(run: Run, on_event: OnEvent | None = None) -> Picture:
    """Take all steps of a run and return the result.

    Without `on_event` the single loss terms are never fetched from the device.
    """
    for _ in reported_steps(run, on_event):
        pass
    picture = result_of(run)
    if on_event is not None:
        for event in end_events(run, picture):
            on_event(event)
    return picture
