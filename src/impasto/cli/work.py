"""What the painting commands share: check, prepare, paint under the eyes of signals, save."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from impasto import files
from impasto.cli.display import Display, Log, display
from impasto.cli.flags import RunFlags
from impasto.errors import ImpastoError, OutputError, shown
from impasto.events import Noted, Saved

if TYPE_CHECKING:
    from impasto.run import Run, Step

Prepare = Callable[[], "Run"]


def paint(prepare: Prepare, output: Path, how: RunFlags, inputs: Sequence[Path]) -> int:
    """Prepare a run, paint, save to `output`; the exit status, 0 or 128 + the signal that ended it early.

    Raises:
        ImpastoError: before anything is begun, if an output cannot be written.
    """
    _check_outputs(output, how, inputs)
    run = prepare()  # torch and the network are loaded here

    from impasto import painting

    with Log(how.log) as log, display(as_json=how.json, quiet=how.quiet) as show, _signals() as received:
        for event in painting.opening(run):
            show(event)
        for step in run:
            for event in painting.reports(step):
                show(event)
                log(event)
            if how.preview and (step.number + 1) % how.preview_every == 0:
                _save_preview(step, how.preview, show)
            if received:
                break
        picture = painting.finished(run)
        for event in painting.closing(run, picture):
            show(event)
        picture.save(output)
        show(Saved(shown(output)))
    return 128 + received[0] if received else 0


def _save_preview(step: "Step", path: Path, show: Display) -> None:
    """Save the picture as it is now; that it cannot be saved does not end the run."""
    try:
        step.preview().save(path)
    except ImpastoError as error:
        show(Noted(f"no preview: {error}"))


def _check_outputs(output: Path, how: RunFlags, inputs: Sequence[Path]) -> None:
    from impasto.image import check_suffix

    outputs = [each for each in (output, how.preview, how.log) if each is not None]
    for each in outputs:
        files.check_output(each, overwrite=how.overwrite, inputs=inputs)
    if len({os.path.realpath(each) for each in outputs}) < len(outputs):
        raise OutputError(f"{shown(output)}: is given for two outputs; choose another name for one")
    for picture in filter(None, (output, how.preview)):
        check_suffix(picture)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is put into the list, so that the run ends well; the second ends it at once."""
    received: list[int] = []

    def first(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for each, before in handlers.items():
            signal.signal(each, before)
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the midst of a write
            os.write(2, b"stopping after this step, the picture so far is kept; once more stops at once\n")

    handlers = {each: signal.signal(each, first) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, before in handlers.items():
            signal.signal(each, before)
