"""What the painting commands share: check, prepare, paint under the eyes of signals."""

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from impasto import files
from impasto.cli.display import display
from impasto.cli.flags import KeepFlags, RunFlags
from impasto.errors import OutputError, printable
from impasto.events import Noted

if TYPE_CHECKING:
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run

Prepare = Callable[["Checkpoint | None"], "Run"]
"""Gets the checkpoint that the run is to go on from, if there is one, for its strips."""

SIGNALS = [each for name in ("SIGINT", "SIGTERM", "SIGHUP") if (each := getattr(signal, name, None)) is not None]


def paint(prepare: Prepare, output: Path, how: RunFlags, inputs: Sequence[Path]) -> int:
    """Prepare a run, paint, save to `output`; the exit status, 0 or 128 + the signal that ended it early.

    Raises:
        ImpastoError: before anything is begun, if an output cannot be written.
        DivergedError: at the end, when the best picture is saved.
    """
    from impasto.jobs import runner

    place = how.checkpoint or runner.checkpoint_path(output)
    found = _unfinished(place, how)
    if found is not None:
        how = dataclasses.replace(how, overwrite=True)  # the files there are this run's own
    _check_outputs(output, place, how, inputs)
    run = prepare(found)  # the network is loaded here
    _check_depth(output, run)
    outputs = runner.Outputs(
        output,
        place,
        checkpoint_seconds=how.checkpoint_seconds,
        log=how.log,
        preview=how.preview,
        preview_every=how.preview_every,
        timelapse=how.timelapse,
    )
    with display(as_json=how.json, quiet=how.quiet) as show, signals() as received:
        if how.resume and found is None:
            show(Noted(f"no checkpoint at {printable(place)}: beginning"))
        runner.execute(run, outputs, show, lambda: received, found)
    return 128 + received[0] if received else 0


def is_unfinished(place: Path, how: KeepFlags) -> bool:
    """Whether there is a checkpoint to go on from.

    Raises:
        OutputError: there is one, and nobody said whether to go on from it.
    """
    if not os.path.lexists(place):
        return False
    if not (how.resume or how.overwrite):
        raise OutputError(
            f"{printable(place)}: holds an unfinished run; go on with it (--resume), or begin anew (--overwrite)"
        )
    return how.resume


def _unfinished(place: Path, how: RunFlags) -> "Checkpoint | None":
    """The checkpoint to go on from.

    Raises:
        OutputError: there is one, and nobody said whether to go on from it.
        CheckpointError: it is damaged.
    """
    if not is_unfinished(place, how):
        return None
    from impasto.optimize import checkpoint

    return checkpoint.read(place)


def _check_outputs(output: Path, place: Path, how: RunFlags, inputs: Sequence[Path]) -> None:
    from impasto.images.formats import check_suffix
    from impasto.jobs import timelapse

    outputs = [each for each in (output, how.preview, how.log, how.timelapse) if each is not None]
    for each in outputs:
        files.check_output(each, overwrite=how.overwrite, inputs=inputs)
    files.check_output(place, overwrite=True, inputs=inputs)
    if len({os.path.realpath(each) for each in (*outputs, place)}) < len(outputs) + 1:
        raise OutputError(f"{printable(output)}: is given for two outputs; choose another name for one")
    for picture in filter(None, (output, how.preview)):
        check_suffix(picture)
    if how.timelapse is not None:
        timelapse.check_suffix(how.timelapse)


def _check_depth(output: Path, run: "Run") -> None:
    from impasto.images.formats import check_suffix

    check_suffix(output, run.settings.depth)


@contextlib.contextmanager
def signals(
    told: str = "stopping after this step, the picture so far is kept; once more stops at once",
) -> Iterator[list[int]]:
    """The first signal to stop is put into the list, so that the run ends well; the second ends it at once."""
    received: list[int] = []

    def first(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for each, before in handlers.items():
            signal.signal(each, before)
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the midst of a write
            os.write(2, f"{told}\n".encode())

    handlers = {each: signal.signal(each, first) for each in SIGNALS}
    try:
        yield received
    finally:
        for each, before in handlers.items():
            signal.signal(each, before)
