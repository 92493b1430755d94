"""Executes a run or a training: steps -> events, log, preview, timelapse, checkpoints -> the result in a file."""

import functools
from collections.abc import Callable
from pathlib import Path

from impasto.errors import DivergedError, ImpastoError, printable
from impasto.events import Event, Noted, OnEvent, Saved
from impasto.feedforward.train import Training
from impasto.images.picture import Picture
from impasto.images.resize import resize
from impasto.images.thumbnail import fit_within
from impasto.jobs.log import Log
from impasto.jobs.outputs import Outputs
from impasto.jobs.saving import Saver
from impasto.jobs.timelapse import Timelapse
from impasto.optimize import checkpoint
from impasto.optimize.checkpoint import Checkpoint
from impasto.optimize.checkpointer import Checkpointer
from impasto.optimize.result import result_of
from impasto.optimize.run import Run
from impasto.reporting import ReportedSteps, end_events

ShouldStop = Callable[[], object]
"""Called after every step; the run stops there if the returned value is true."""


def execute(
    run: Run | Training,
    outputs: Outputs,
    on_event: OnEvent,
    should_stop: ShouldStop,
    resume_from: Checkpoint | None = None,
) -> None:
    """Take the steps of a run or a training, from the state in `resume_from` if given, and save the result.

    If it is stopped, a checkpoint is left, and a run saves the image so far. Otherwise the checkpoint is removed.

    Raises:
        DivergedError: the loss is not finite; a run has saved its best image.
        CheckpointError: the checkpoint belongs to another run, or is damaged.
        SaveError: the result could not be written; if possible it is in another file, which the message names.
    """
    if resume_from is not None:
        resume(run, resume_from, on_event)
    saver = Saver(outputs, resume_from)
    with _open_log(saver, resume_from) as log:

        def report(event: Event) -> None:
            on_event(event)
            log(event)

        checkpointer = _checkpointer(run, saver, report, should_stop)
        diverged = None
        if isinstance(run, Training):
            _execute_training(run, saver, checkpointer, report, should_stop)
        else:
            diverged = _execute_run(run, saver, checkpointer, report, should_stop)
    if should_stop():
        return
    checkpointer.discard()
    if diverged is not None:
        raise diverged


def _checkpointer(run: Run | Training, saver: Saver, report: OnEvent, should_stop: ShouldStop) -> Checkpointer:
    outputs = saver.outputs
    return Checkpointer(
        run,
        outputs.checkpoint,
        outputs.checkpoint_seconds,
        report,
        overwrite=saver.owns(outputs.checkpoint),
        # a training that is stopped saves no result
        outputs=lambda: saver.owned_when_resumed(ending=isinstance(run, Run) and bool(should_stop())),
    )


def resume(run: Run | Training, resume_from: Checkpoint, on_event: OnEvent) -> None:
    """Restore the state in a checkpoint, and report from where the run resumes.

    Raises:
        CheckpointError: the checkpoint belongs to another run, or is damaged.
    """
    notes = checkpoint.resume(run, resume_from)
    for note in (*notes, f"resuming at step {run.steps_done} of {run.steps}"):
        on_event(Noted(note))


def take_steps(
    run: Run | Training,
    on_event: OnEvent | None,
    checkpointer: Checkpointer | None = None,
    should_stop: ShouldStop = lambda: False,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Take the remaining steps of a run or a training until `should_stop`, with events and checkpoints.

    Without `on_event` no events are made.

    Raises:
        DivergedError: the loss is not finite.
    """
    steps = ReportedSteps(run, on_event)
    for _ in steps:
        after_step()
        if should_stop():
            break
        if checkpointer is not None and checkpointer.is_due:
            steps.report()  # a log has the steps that the checkpoint has
            checkpointer.save()
    if checkpointer is not None and should_stop():
        checkpointer.save()


def _open_log(saver: Saver, resume_from: Checkpoint | None) -> Log:
    path = saver.outputs.log
    if path is None:
        return Log(None)
    keep = resume_from.steps_done if resume_from is not None and resume_from.owns(path) else 0
    log = Log(path, keep, overwrite=saver.owns(path))
    saver.add(path)
    return log


def _execute_training(
    training: Training, saver: Saver, checkpointer: Checkpointer, report: OnEvent, should_stop: ShouldStop
) -> None:
    take_steps(training, report, checkpointer, should_stop)
    if not should_stop():
        saver.save_result(training.result().save)
        report(Saved(printable(saver.outputs.result)))


def _execute_run(
    run: Run, saver: Saver, checkpointer: Checkpointer, report: OnEvent, should_stop: ShouldStop
) -> DivergedError | None:
    """Take the steps and save the files; returns the error that ended the run early, if any."""
    outputs = saver.outputs
    timelapse = None if outputs.timelapse is None else Timelapse(run)
    if timelapse is not None and run.steps_done:
        report(Noted(f"the timelapse starts at step {run.steps_done}: frames of earlier steps are not kept"))

    def after_step() -> None:
        if timelapse is not None:
            timelapse.add_frame_if_due()
        if outputs.preview is not None and run.steps_done % outputs.preview_every == 0:
            _save_preview(run.picture, saver, report)

    diverged = None
    try:
        take_steps(run, report, checkpointer, should_stop, after_step)
    except DivergedError as error:
        diverged = error
    picture = result_of(run)
    if diverged is not None and run.equals_initial(picture.rounded()):
        return diverged  # there is nothing worth saving
    for event in end_events(run, picture):
        report(event)
    saver.save_result(picture.save)
    report(Saved(printable(outputs.result)))
    if timelapse is not None and outputs.timelapse is not None:
        _save_timelapse(timelapse, picture, outputs.timelapse, saver, report)
    return diverged


def _save_preview(picture: Picture, saver: Saver, report: OnEvent) -> None:
    """Save the present image; a failure is reported and does not end the run."""
    path, edge = saver.outputs.preview, saver.outputs.preview_edge
    assert path is not None
    if edge is not None and max(picture.width, picture.height) > edge:
        width, height = fit_within(picture.width, picture.height, edge)
        picture = Picture(resize(picture.composited()[None], height, width)[0])
    try:
        saver.save(functools.partial(picture.save, depth=8), path)
    except ImpastoError as error:
        report(Noted(f"no preview: {error}"))


def _save_timelapse(timelapse: Timelapse, picture: Picture, path: Path, saver: Saver, report: OnEvent) -> None:
    """Save the timelapse; a failure is reported and does not lose the result."""
    try:
        saver.save(functools.partial(timelapse.save, picture), path)
    except ImpastoError as error:
        report(Noted(f"no timelapse: {error}"))
    else:
        report(Saved(printable(path)))
