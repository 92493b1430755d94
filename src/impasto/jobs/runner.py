"""A run carried out into files: log, previews, timelapse and checkpoints; ended early, nothing is lost."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto import reporting
from impasto.errors import DivergedError, ImpastoError, OutputError, SaveError, printable
from impasto.events import Event, Noted, OnEvent, Saved
from impasto.images.picture import Picture
from impasto.jobs.log import Log
from impasto.jobs.timelapse import Timelapse
from impasto.optimize import checkpoint
from impasto.optimize.checkpoint import Checkpoint
from impasto.optimize.result import result_of
from impasto.optimize.run import Run, Step

CHECKPOINT_SECONDS = 300.0
ShouldStop = Callable[[], object]
"""Asked after every step; once it is true the run ends there."""


@dataclass(frozen=True)
class Outputs:
    """Where a run writes to: the picture and its checkpoint, and what was asked for beside them."""

    picture: Path
    checkpoint: Path
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    log: Path | None = None
    preview: Path | None = None
    preview_every: int = 25
    timelapse: Path | None = None


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoints of a run lie by default."""
    name = os.fsencode(output.name)
    kept = name if len(name) < 230 else hashlib.sha256(name).hexdigest().encode()  # a name has at most 255 bytes
    return output.with_name(os.fsdecode(kept + b".checkpoint"))


def execute(run: Run, outputs: Outputs, show: OnEvent, stopped: ShouldStop, found: Checkpoint | None = None) -> None:
    """Take the steps of a run, from the checkpoint `found` if there is one, and save the picture.

    ShouldStop early, the picture so far is saved and a checkpoint is left; otherwise none is.

    Raises:
        DivergedError: at the end, when the best picture is saved.
        CheckpointError: the checkpoint is of another run, or damaged.
        SaveError: the picture could not be written where it should be; it says where it is.
    """
    with Log(outputs.log, 0 if found is None else found.steps_done) as log:
        for event in (*_resumed(run, found, outputs), *reporting.start_events(run)):
            show(event)

        def tell(event: Event) -> None:
            show(event)
            log(event)

        film = None if outputs.timelapse is None else Timelapse(run)
        diverged = _take_steps(run, outputs, tell, stopped, film)
        picture = result_of(run)
        if diverged is None or not run.equals_initial(picture.rounded()):
            for event in reporting.end_events(run, picture):
                show(event)
            _save(picture, outputs.picture)
            show(Saved(printable(outputs.picture)))
            if film is not None and outputs.timelapse is not None:
                _save_timelapse(film, picture, outputs.timelapse, show)
    if stopped():
        return
    checkpoint.discard(outputs.checkpoint)
    if diverged is not None:
        raise diverged


def _take_steps(
    run: Run, outputs: Outputs, tell: OnEvent, stopped: ShouldStop, film: Timelapse | None
) -> DivergedError | None:
    """All steps of the run, unless it is stopped; the error that ended it early."""
    keeper = _Keeper(run, outputs, tell)
    try:
        for step in run:
            for event in reporting.step_events(step):
                tell(event)
            if film is not None:
                film.look(step)
            if outputs.preview and (step.number + 1) % outputs.preview_every == 0:
                _save_preview(step, outputs.preview, tell)
            if stopped():
                break
            keeper.keep_in_time()
    except DivergedError as error:
        return error
    if stopped():
        keeper.keep()
    return None


class _Keeper:
    """Saves checkpoints. That one cannot be saved does not end the run, and is told once."""

    def __init__(self, run: Run, outputs: Outputs, show: OnEvent) -> None:
        self.run, self.place, self.every, self.show = run, outputs.checkpoint, outputs.checkpoint_seconds, show
        self._last, self._told = time.monotonic(), False

    def keep_in_time(self) -> None:
        """Save one if it is time."""
        if time.monotonic() - self._last >= self.every:
            self.keep()
            self._last = time.monotonic()

    def keep(self) -> None:
        """Save one."""
        try:
            checkpoint.save(self.run, self.place)
        except ImpastoError as error:
            if not self._told:
                self.show(Noted(f"no checkpoint: {error}; an older one stays, the run goes on"))
            self._told = True


def _resumed(run: Run, found: Checkpoint | None, outputs: Outputs) -> Iterator[Event]:
    """Bring the run to where the checkpoint was, and tell of it."""
    if found is None:
        return
    notes = checkpoint.resume(run, found)
    yield from map(Noted, (*notes, f"going on from step {run.steps_done} of {run.steps}"))
    if outputs.timelapse is not None:
        yield Noted(f"the timelapse shows what comes after step {run.steps_done}: no frames are kept of those before")


def _save(picture: Picture, output: Path) -> None:
    """Save the result, elsewhere if it cannot be saved where it should be.

    Raises:
        SaveError: naming the file where it is instead.
    """
    try:
        picture.save(output)
    except (SaveError, OutputError) as error:
        handle, other = tempfile.mkstemp(prefix="impasto-", suffix=output.suffix)
        os.close(handle)
        try:
            picture.save(other)
        except ImpastoError:
            os.unlink(other)
            raise error from None
        reason = str(error).removesuffix("; nothing was saved")
        raise SaveError(f"{reason}; the picture is in {printable(other)} instead") from error


def _save_preview(step: Step, path: Path, tell: OnEvent) -> None:
    """Save the picture as it is now; that it cannot be saved does not end the run."""
    try:
        step.preview().save(path, depth=8)
    except ImpastoError as error:
        tell(Noted(f"no preview: {error}"))


def _save_timelapse(film: Timelapse, picture: Picture, path: Path, show: OnEvent) -> None:
    """Save the timelapse; that it cannot be saved does not lose the picture."""
    try:
        film.save(picture, path)
    except ImpastoError as error:
        show(Noted(f"no timelapse: {error}"))
    else:
        show(Saved(printable(path)))
