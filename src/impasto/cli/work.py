"""What the painting commands share: check, prepare, paint under the eyes of signals, save, and lose nothing."""

import contextlib
import dataclasses
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from impasto import files
from impasto.cli.display import Log, display
from impasto.cli.flags import RunFlags
from impasto.errors import DivergedError, ImpastoError, OutputError, SaveError, shown
from impasto.events import Event, Noted, OnEvent, Saved

if TYPE_CHECKING:
    from impasto.checkpoint import Checkpoint
    from impasto.image import Picture
    from impasto.run import Run, Step

Prepare = Callable[["Checkpoint | None"], "Run"]
"""Gets the checkpoint that the run is to go on from, if there is one, for its strips."""

SIGNALS = [each for name in ("SIGINT", "SIGTERM", "SIGHUP") if (each := getattr(signal, name, None)) is not None]


def paint(prepare: Prepare, output: Path, how: RunFlags, inputs: Sequence[Path]) -> int:
    """Prepare a run, paint, save to `output`; the exit status, 0 or 128 + the signal that ended it early.

    Raises:
        ImpastoError: before anything is begun, if an output cannot be written.
        DivergedError: at the end, when the best picture is saved.
    """
    place = how.checkpoint or _beside(output)
    found = _unfinished(place, how)
    if found is not None:
        how = dataclasses.replace(how, overwrite=True)  # the files there are this run's own
    _check_outputs(output, place, how, inputs)
    run = prepare(found)  # torch and the network are loaded here

    from impasto import painting

    done = 0 if found is None else found.steps_done
    with Log(how.log, done) as log, display(as_json=how.json, quiet=how.quiet) as show, _signals() as received:
        for event in (*_resumed(run, found, place, how), *painting.opening(run)):
            show(event)
        keeper = _Keeper(run, place, how.checkpoint_seconds, show)

        def tell(event: Event) -> None:
            show(event)
            log(event)

        diverged = _take_steps(run, how, tell, keeper, received)
        picture = painting.finished(run)
        if diverged is None or not run.is_untouched(picture.rounded()):
            for event in painting.closing(run, picture):
                show(event)
            _save(picture, output)
            show(Saved(shown(output)))
    if diverged is not None:
        raise diverged
    if received:
        return 128 + received[0]
    place.unlink(missing_ok=True)
    return 0


def _take_steps(
    run: "Run", how: RunFlags, tell: OnEvent, keeper: "_Keeper", received: list[int]
) -> DivergedError | None:
    """All steps of the run, unless a signal is received; the error that ended it early."""
    from impasto import painting

    try:
        for step in run:
            for event in painting.reports(step):
                tell(event)
            if how.preview and (step.number + 1) % how.preview_every == 0:
                _save_preview(step, how.preview, tell)
            if received:
                break
            keeper.keep_in_time()
    except DivergedError as error:
        return error
    if received:
        keeper.keep()
    return None


class _Keeper:
    """Saves checkpoints. That one cannot be saved does not end the run, and is told once."""

    def __init__(self, run: "Run", place: Path, every: float, show: OnEvent) -> None:
        self.run, self.place, self.every, self.show = run, place, every, show
        self._last, self._told = time.monotonic(), False

    def keep_in_time(self) -> None:
        """Save one if it is time."""
        if time.monotonic() - self._last >= self.every:
            self.keep()
            self._last = time.monotonic()

    def keep(self) -> None:
        """Save one."""
        from impasto import checkpoint

        try:
            checkpoint.save(self.run, self.place)
        except ImpastoError as error:
            if not self._told:
                self.show(Noted(f"no checkpoint: {error}; an older one stays, the run goes on"))
            self._told = True


def _beside(output: Path) -> Path:
    """Where the checkpoints of a run lie by default."""
    name = os.fsencode(output.name)
    kept = name if len(name) < 230 else hashlib.sha256(name).hexdigest().encode()  # a name has at most 255 bytes
    return output.with_name(os.fsdecode(kept + b".checkpoint"))


def _unfinished(place: Path, how: RunFlags) -> "Checkpoint | None":
    """The checkpoint to go on from.

    Raises:
        OutputError: there is one, and nobody said whether to go on from it.
        CheckpointError: it is damaged.
    """
    if not os.path.lexists(place):
        return None
    if not how.resume:
        if how.overwrite:
            return None
        raise OutputError(
            f"{shown(place)}: holds an unfinished run; go on with it (--resume), or begin anew (--overwrite)"
        )
    from impasto import checkpoint

    return checkpoint.read(place)


def _resumed(run: "Run", found: "Checkpoint | None", place: Path, how: RunFlags) -> Iterator[Event]:
    """Bring the run to where the checkpoint was, and tell of it."""
    if found is not None:
        from impasto import checkpoint

        notes = checkpoint.resume(run, found)
        yield from map(Noted, (*notes, f"going on from step {run.steps_done} of {run.steps}"))
    elif how.resume:
        yield Noted(f"no checkpoint at {shown(place)}: beginning")


def _save(picture: "Picture", output: Path) -> None:
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
        raise SaveError(f"{reason}; the picture is in {shown(other)} instead") from error


def _save_preview(step: "Step", path: Path, tell: OnEvent) -> None:
    """Save the picture as it is now; that it cannot be saved does not end the run."""
    try:
        step.preview().save(path)
    except ImpastoError as error:
        tell(Noted(f"no preview: {error}"))


def _check_outputs(output: Path, place: Path, how: RunFlags, inputs: Sequence[Path]) -> None:
    from impasto.image import check_suffix

    outputs = [each for each in (output, how.preview, how.log) if each is not None]
    for each in outputs:
        files.check_output(each, overwrite=how.overwrite, inputs=inputs)
    files.check_output(place, overwrite=True, inputs=inputs)
    if len({os.path.realpath(each) for each in (*outputs, place)}) < len(outputs) + 1:
        raise OutputError(f"{shown(output)}: is given for two outputs; choose another name for one")
    for picture in filter(None, (output, how.preview)):
        check_suffix(picture)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The first signal to stop is put into the list, so that the run ends well; the second ends it at once."""
    received: list[int] = []

    def first(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for each, before in handlers.items():
            signal.signal(each, before)
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the midst of a write
            os.write(2, b"stopping after this step, the picture so far is kept; once more stops at once\n")

    handlers = {each: signal.signal(each, first) for each in SIGNALS}
    try:
        yield received
    finally:
        for each, before in handlers.items():
            signal.signal(each, before)
