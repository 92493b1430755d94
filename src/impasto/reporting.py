"""The events of a run or a training: before the first step, of every step, and of the result of a run."""

from collections.abc import Iterator

import torch

from impasto.events import Began, Ended, Event, Noted, OnEvent, Planned, Stepped
from impasto.feedforward.train import Training, TrainingStep
from impasto.images.picture import Picture
from impasto.memory import resident_memory
from impasto.optimize.run import Run
from impasto.optimize.step import Step
from impasto.vgg import device as devices

REPORT_INTERVAL = 10
"""Steps on a GPU whose events are reported together: reading their losses waits for all steps that are queued."""


def both(first: OnEvent | None, second: OnEvent | None) -> OnEvent | None:
    """A receiver that passes events on to both; None if there is none."""
    if first is None or second is None:
        return first or second

    def report(event: Event) -> None:
        first(event)
        second(event)

    return report


class ReportedSteps:
    """The remaining steps of a run or a training; iterate over them to take them.

    On a CPU each step is yielded after its events were reported, on a GPU up to REPORT_INTERVAL steps before; when the
    iteration ends, all have been. Without `on_event` the losses of a run are never fetched from the device.
    """

    def __init__(self, run: Run | Training, on_event: OnEvent | None) -> None:
        self._run, self._on_event = run, on_event
        self._interval = 1 if devices.is_synchronous(run.vgg.device) else REPORT_INTERVAL
        self._pending: list[Step | TrainingStep] = []

    def __iter__(self) -> Iterator[Step | TrainingStep]:
        """Take the remaining steps."""
        if self._on_event is None:
            yield from self._run
            return
        for event in start_events(self._run):
            self._on_event(event)
        try:
            for step in self._run:
                self._pending.append(step)
                if len(self._pending) == self._interval:
                    self.report()
                yield step
        finally:
            self.report()

    def report(self) -> None:
        """Report the events of all steps taken so far."""
        pending, self._pending = self._pending, []
        for step in pending:
            for event in step_events(step):
                if self._on_event is not None:
                    self._on_event(event)


def start_events(run: Run | Training) -> Iterator[Event]:
    """The events before the first step: notes on the inputs, `Began`, and of a run `Planned`."""
    if isinstance(run, Run):
        pictures = run.inputs.pictures.values()
        notes = [f"{picture.name}: {note}" for picture in pictures for note in picture.notes]
        yield from map(Noted, dict.fromkeys(notes))  # a mask may be given for several styles
    yield Began(
        task=run.task,
        width=run.width,
        height=run.height,
        steps=run.steps,
        device=run.vgg.device.type,
        precision=run.vgg.precision,
        threads=torch.get_num_threads(),
        weights=run.vgg.origin,
        engine=run.vgg.engine,
    )
    if isinstance(run, Run):
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


def training_plan_event(training: Training) -> Planned:
    """What the training needs: bytes of memory as used now, and seconds as extrapolated from the steps taken."""
    seconds = training.seconds / training.steps_done * training.steps
    scale = {
        "width": training.width,
        "height": training.height,
        "steps": training.steps,
        "seconds": seconds,
        "strip": None,
    }
    return Planned([scale], resident_memory(), seconds)


def step_events(step: Step | TrainingStep) -> Iterator[Event]:
    """The events of one step: notes, then `Stepped`; `Planned` in front of it at the first step of a training."""
    if isinstance(step, TrainingStep):
        if step.is_first:
            yield training_plan_event(step.training)
        scale = step.training.width
    else:
        yield from (Noted(note) for note in step.notes)
        scale = step.scale
    terms = step.terms
    yield Stepped(step.number, scale, **terms.to_floats(), seconds=step.seconds, layers=terms.layers_to_floats())


def end_events(run: Run, picture: Picture) -> Iterator[Event]:
    """The events of the result `picture`: its notes, then `Ended`."""
    yield from (Noted(note) for note in picture.notes)
    loss = (picture.recipe or {})["loss"]
    yield Ended(run.steps_done, run.seconds, **loss, complete=run.steps_done == run.steps)
