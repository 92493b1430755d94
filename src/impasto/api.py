"""Load, run, hand over: one call a picture. What comes back carries its recipe, which `save` embeds."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, get_args

import torch

from impasto.errors import RecipeError, SettingError
from impasto.events import Began, Ended, Event, Noted, OnEvent, Planned, Stepped
from impasto.feedforward.stylizer import FastNetwork, fast
from impasto.images import sources
from impasto.images.color_transfer import recolored
from impasto.images.masks import Style
from impasto.images.picture import Picture, read_recipe
from impasto.images.recipe import Input, Recipe, Recolor, Recoloring
from impasto.images.sources import Painting, Source, named, style_named
from impasto.optimize.run import Run, Step
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import preset
from impasto.vgg.model import VGG19


def stylize(
    content: Source,
    styles: Painting | Sequence[Painting],
    settings: Settings | None = None,
    *,
    init: Source | None = None,
    keep: Source | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """`content` painted in the manner of `styles` (Gatys, Ecker, Bethge 2015); several are mixed.

    Args:
        styles: in equal shares, or `Style`s with weights, and with masks for where each of them is painted.
        settings: by default those of the preset "painterly".
        init: what is painted over, instead of what the settings say.
        keep: white where the content is left alone.
        vgg: the network, `VGG19.load(weights, device=, precision=)`; by default the best at hand.
        on_event: called with each `impasto.events` event.

    Raises:
        ImpastoError: one of its kinds, see `impasto.errors`.
    """
    if settings is not None and settings.method == "fast":
        if init is not None or keep is not None or vgg is not None:
            raise SettingError("method: got 'fast', which knows no init, keep or vgg; leave them out")
        return fast(content, styles, settings, on_event=on_event)
    return paint(prepare(content, styles, settings, init=init, keep=keep, vgg=vgg), on_event)


def texture(
    styles: Painting | Sequence[Painting],
    settings: Settings | None = None,
    *,
    init: Source | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """The manner of `styles` alone, from white noise (2015, figure 1, styles). Otherwise as `stylize`."""
    return paint(prepare(None, styles, (settings or preset()).from_noise(), init=init, vgg=vgg), on_event)


def reconstruct(
    content: Source,
    layer: str = "block4_conv2",
    settings: Settings | None = None,
    *,
    init: Source | None = None,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """What `layer` knows of `content`, from white noise (2015, figure 1, contents). Otherwise as `stylize`."""
    settings = (settings or preset()).from_noise().reading_layer(layer)
    return paint(prepare(content, [], settings, init=init, vgg=vgg), on_event)


def recolor(picture: Source, photo: Source, color: Recolor = "luminance") -> Picture:
    """`picture`, painted by whomever, in the colours of `photo`.

    Its alpha is kept. So is a recipe of impasto's, which then tells of the recolouring, and is refused by `rerun`.

    Args:
        color: "luminance": the lightness of `picture` with the chroma of `photo`, which is resized to it (Oklab);
            "content": the palette of `picture` moved to that of `photo`.

    Raises:
        PictureError: a file that is not a usable picture.
        SettingError: another color.
    """
    if color not in get_args(Recolor):
        raise SettingError(f"color: got {color!r}; give {' or '.join(map(repr, get_args(Recolor)))}")
    before, other = sources.picture(picture), sources.picture(photo)
    found = recolored(before, other, color)
    notes = [f"{each.name}: {note}" for each in (before, other) for note in each.notes]
    done = Recoloring(color=color, picture=named(before), photo=named(other))
    recipe = before.recipe if isinstance(picture, Picture) else _recipe_in(picture)
    return dataclasses.replace(found, notes=(*notes, *found.notes), recipe=_told(recipe, done))


def _recipe_in(path: str | os.PathLike[str]) -> Mapping[str, Any] | None:
    with contextlib.suppress(RecipeError):  # most pictures have none
        return read_recipe(path)
    return None


def _told(recipe: Mapping[str, Any] | None, done: Recoloring) -> dict[str, Any] | None:
    """The recipe with what was done added; none if it is none of ours."""
    with contextlib.suppress(RecipeError):
        made = Recipe.parse(dict(recipe or {}), "the picture")
        return made.model_copy(update={"recolored": (*made.recolored, done)}).model_dump(mode="json")
    return None


def prepare(
    content: Source | None,
    styles: Painting | Sequence[Painting],
    settings: Settings | None = None,
    *,
    init: Source | None = None,
    keep: Source | None = None,
    vgg: VGG19 | None = None,
    memory: int | None = None,
    strips: Sequence[int | None] | None = None,
) -> Run:
    """The run of these pictures, files read and network loaded; `init` or settings.init may name a file.

    `memory` and `strips` are those of `Run`.
    """
    settings = settings or preset()
    if settings.method == "fast":
        raise SettingError("method: 'fast' takes no steps; it paints a photograph, by impasto.fast or `impasto fast`")
    if init is None and settings.init not in INITS:
        init = settings.init
    start = None if init is None else sources.picture(init)
    if start is not None:
        settings = settings.replace(init=start.name or "picture")  # no folder of the user's in the recipe
    shown = None if content is None else sources.picture(content)
    kept = None if keep is None else sources.picture(keep)
    given = sources.paintings(styles)
    if settings.init == "fast" and start is None:
        vgg = vgg or VGG19.load()
        start = _head_start(shown, given, settings, vgg, memory)
    return Run(shown, given, settings, init=start, keep=kept, vgg=vgg, memory=memory, strips=strips)


def _head_start(
    content: Picture | None, styles: Sequence[Style], settings: Settings, vgg: VGG19, memory: int | None
) -> Picture:
    """What one pass paints, for a run to begin with."""
    if content is None or not styles:
        raise SettingError("init: got 'fast', which paints a photograph like a painting; give both, or 'noise'")
    network = FastNetwork(vgg.device.type, vgg.precision)
    whole = [dataclasses.replace(style, mask=None) for style in styles]
    seen = settings.replace(color="style" if settings.color == "luminance" else settings.color, strength=0.5)
    painted = fast(content, whole, seen, network=network, memory=memory)
    return Picture(painted.tensor)


def paint(run: Run, on_event: OnEvent | None = None) -> Picture:
    """All steps of a run, told to `on_event`; the single terms are fetched from the device only if it is given."""
    if on_event is None:
        for _ in run:
            pass
        return finished(run)
    for event in opening(run):
        on_event(event)
    for step in run:
        for event in reports(step):
            on_event(event)
    picture = finished(run)
    for event in closing(run, picture):
        on_event(event)
    return picture


def opening(run: Run) -> Iterator[Event]:
    """What is to be told before the first step."""
    for picture in run.inputs.pictures.values():
        yield from (Noted(f"{picture.name}: {note}") for note in picture.notes)
    vgg = run.vgg
    yield Began(
        task=run.task,
        width=run.width,
        height=run.height,
        steps=run.steps,
        device=vgg.device.type,
        precision=vgg.precision,
        threads=torch.get_num_threads(),
        weights=vgg.origin,
    )
    yield planned(run)


def planned(run: Run) -> Planned:
    """What a run needs, by a trial step."""
    pace = run.trial()
    scales = [
        {
            "width": stage.frame[1],
            "height": stage.frame[0],
            "steps": stage.scale.steps,
            "seconds": stage.seconds(pace),
            "strip": stage.strip,
        }
        for stage in run.plan
    ]
    return Planned(scales, max(stage.memory for stage in run.plan), sum(stage.seconds(pace) for stage in run.plan))


def reports(step: Step) -> Iterator[Event]:
    """What is to be told of a step."""
    yield from (Noted(note) for note in step.notes)
    terms = step.terms
    yield Stepped(step.number, step.scale, **terms.read(), seconds=step.seconds, layers=terms.read_layers())


def closing(run: Run, picture: Picture) -> Iterator[Event]:
    """What is to be told of the finished `picture`."""
    yield from (Noted(note) for note in picture.notes)
    loss = (picture.recipe or {})["loss"]
    yield Ended(run.steps_done, run.seconds, **loss, complete=run.steps_done == run.steps)


def finished(run: Run) -> Picture:
    """The painting so far, with its recipe."""
    run.descent.objective.release()  # what is held from here on are copies of the picture
    picture = run.picture
    rounded = picture.rounded()
    notes = ["the picture is as it was before the first step"] if run.is_untouched(rounded) else []
    if (picture.width, picture.height) != (run.width, run.height):
        notes.append(f"of {run.width}x{run.height} pixels the run has come to {picture.width}x{picture.height}")
    return dataclasses.replace(picture, recipe=_recipe(run, rounded).model_dump(mode="json"), notes=tuple(notes))


def _recipe(run: Run, rounded: Picture) -> Recipe:
    return Recipe(
        impasto=metadata.version("impasto"),
        torch=torch.__version__,
        task=run.task,
        settings=run.settings,
        steps_done=run.steps_done,
        content=_input(run.inputs.content),
        styles=tuple(map(style_named, run.inputs.styles)),
        init=None if run.settings.init in INITS else _input(run.inputs.init),
        keep=_input(run.inputs.keep),
        weights=run.vgg.sha256,
        device=run.vgg.device.type,
        precision=run.vgg.precision,
        threads=torch.get_num_threads(),
        strips=tuple(stage.strip for stage in run.plan),
        loss=run.evaluate(rounded).read(),
    )


def _input(source: Picture | None) -> Input | None:
    return None if source is None else named(source)
