"""The result of a run: the image so far with the recipe that reproduces it."""

import dataclasses

from impasto.images.picture import Picture
from impasto.images.recipe import InputRecord, Recipe, environment
from impasto.images.sources import input_record, style_record
from impasto.optimize.run import Run
from impasto.settings.model import INITS
from impasto.torch_state import isolated


@isolated
def result_of(run: Run) -> Picture:
    """The image so far, with its recipe and with notes on anything unexpected about it."""
    run.scale_run.release_memory()  # from here on only copies of the image need memory
    picture = run.picture
    rounded = picture.rounded()
    notes = ["identical to the initial image"] if run.equals_initial(rounded) else []
    if (picture.width, picture.height) != (run.width, run.height):
        notes.append(f"stopped at the {picture.width}x{picture.height} scale, before {run.width}x{run.height}")
    return dataclasses.replace(picture, recipe=_recipe(run, rounded).model_dump(mode="json"), notes=tuple(notes))


def _recipe(run: Run, rounded: Picture) -> Recipe:
    inputs = run.inputs
    return Recipe(
        **environment(),
        task=run.task,
        settings=run.settings,
        steps_done=run.steps_done,
        content=_record(inputs.content),
        styles=tuple(map(style_record, inputs.styles)),
        init=None if run.settings.init in INITS else _record(inputs.init),
        keep=_record(inputs.keep),
        detail=_record(inputs.detail),
        parent=run.parent,
        faces=len(inputs.faces),
        weights=run.vgg.sha256,
        device=run.vgg.device.type,
        precision=run.vgg.precision,
        ncnn=run.vgg.ncnn,
        strips=tuple(plan.strip for plan in run.plan),
        loss=run.evaluate(rounded).to_floats(),
    )


def _record(picture: Picture | None) -> InputRecord | None:
    return None if picture is None else input_record(picture)
