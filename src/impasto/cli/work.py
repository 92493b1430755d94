"""What the painting commands share: check, prepare, paint under the eyes of signals, save."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from impasto import files
from impasto.cli.display import Log, display
from impasto.cli.flags import RunFlags
from impasto.errors import OutputError, shown
from impasto.events import Saved, Stepped

if TYPE_CHECKING:
    from impasto.run import Run

Prepare = Callable[[], "Run"]


def paint(prepare: Prepare, output: Path, how: RunFlags, inputs: Sequence[Path]) -> int:
    """Prepare a run, paint, save to `output`; the exit status, 0 or 128 + the signal that ended it early.

    Raises:
        ImpastoError: before anything is begun, if an output cannot be written.
    """
    _check_outputs(output, how, inputs)
    run = prepare()  # torch and the network are loaded here

    from impasto import painting

    log = Log(how.log)
    with display(as_json=how.json, quiet=how.quiet) as show, _signals() as received:
        for event in painting.opening(run):
            show(event)
        for step in run:
            for event in painting.reports(step):
                show(event)
                log(event)
                if how.preview and isinstance(event, Stepped) and (event.step + 1) % how.preview_every == 0:
                    step.preview().save(how.preview)
            if received:
                break
        picture = painting.finished(run)
        for event in painting.closing(run, picture):
            show(event)
        picture.save(output)
        show(Saved(shown(output)))
    return 128 + received[0] if received else 0


def _check_outputs(output: Path, how: RunFlags, inputs: Sequence[Path]) -> None:
    from impasto.image import check_suffix

    outputs = [each for each in (output, how.preview, how.log) if each is not None]
    if len({each.absolute() for each in outputs}) < len(outputs):
        raise OutputError(f"{shown(output)}: is given for two outputs; choose another name for one")
    for each in outputs:
        files.check_output(each, overwrite=how.overwrite, inputs=inputs)
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
        with contextlib.suppress(OSError, AttributeError):
            sys.stderr.write("stopping after this step, the picture so far is kept; once more stops at once\n")

    handlers = {each: signal.signal(each, first) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, before in handlers.items():
            signal.signal(each, before)
