"""The events of a run: before the first step, of every step, and of the result."""

from collections.abc import Iterator

import torch

from impasto.events import Began, Ended, Event, Noted, Planned, Stepped
from impasto.images.picture import Picture
from impasto.optimize.run import Run, Step


def start_events(run: Run) -> Iterator[Event]:
    """The events before the first step: notes on the inputs, `Began` and `Planned`."""
    for picture in run.inputs.pictures.values():
        yield from (Noted(f"{picture.name}: {note}") for note in picture.notes)
    yield Began(
        task=run.task,
        width=run.width,
        height=run.height,
        steps=run.steps,
        device=run.vgg.device.type,
        precision=run.vgg.precision,
        threads=torch.get_num_threads(),
        weights=run.vgg.origin,
    )
    yield plan_event(run)


def plan_event(run: Run) -> Planned:
    """What the run needs: its scales, bytes of memory, and seconds extrapolated from one measured evaluation."""
    pace = run.measure_pace()
    scales = [
        {
            "width": plan.size[1],
            "height": plan.size[0],
            "steps": plan.scale.steps,
            "seconds": plan.seconds(pace),
            "strip": plan.strip,
        }
        for plan in run.plan
    ]
    return Planned(scales, max(plan.memory for plan in run.plan), sum(plan.seconds(pace) for plan in run.plan))


def step_events(step: Step) -> Iterator[Event]:
    """The events of one step: its notes, then `Stepped`."""
    yield from (Noted(note) for note in step.notes)
    terms = step.terms
    yield Stepped(step.number, step.scale, **terms.to_floats(), seconds=step.seconds, layers=terms.layers_to_floats())


def end_events(run: Run, picture: Picture) -> Iterator[Event]:
    """The events of the result `picture`: its notes, then `Ended`."""
    yield from (Noted(note) for note in picture.notes)
    loss = (picture.recipe or {})["loss"]
    yield Ended(run.steps_done, run.seconds, **loss, complete=run.steps_done == run.steps)
