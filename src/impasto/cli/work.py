"""What the commands share that take steps: validation, resuming, execution until done or a signal."""

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from impasto.cli.display import display
from impasto.cli.flags import KeepFlags, RunFlags
from impasto.errors import OutputError, printable
from impasto.events import Noted

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.jobs.outputs import Outputs
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run

CreateRun = Callable[["Checkpoint | None"], "Run"]
"""Creates the run; for its strips and threads it gets the checkpoint that the run resumes from, if any."""
CreateTraining = Callable[["Checkpoint | None"], "Training"]
CheckResult = Callable[[Path], object]
"""Raises `OutputError` if the suffix of the result does not fit its format."""

SIGNALS = [each for name in ("SIGINT", "SIGTERM", "SIGHUP") if (each := getattr(signal, name, None)) is not None]
STOPPING = "stopping after this step, the image so far is saved; a second signal stops at once"


def execute_run(create: CreateRun, output: Path, options: RunFlags, inputs: Sequence[Path], depth: int) -> int:
    """Create a run, take its steps and save the result, an image with `depth` bits per channel, to `output`.

    Returns and raises as `execute`.
    """
    from impasto.images.formats import check_suffix
    from impasto.jobs.outputs import Outputs, checkpoint_path

    outputs = Outputs(
        output,
        options.checkpoint or checkpoint_path(output),
        checkpoint_seconds=options.checkpoint_seconds,
        log=options.log,
        preview=options.preview,
        preview_every=options.preview_every,
        timelapse=options.timelapse,
    )
    return execute(create, outputs, options, inputs, functools.partial(check_suffix, depth=depth))


def execute(  # noqa: PLR0917
    create: CreateRun | CreateTraining,
    outputs: "Outputs",
    options: KeepFlags,
    inputs: Sequence[Path],
    check_result: CheckResult,
    stopping: str = STOPPING,
) -> int:
    """Validate the outputs, create a run or a training, and take its steps.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it.

    Raises:
        ImpastoError: before any work is done, if an output cannot be written.
        DivergedError: after the best image was saved.
    """
    from impasto.jobs import runner
    from impasto.jobs.outputs import check_outputs

    resume_from = _unfinished(outputs.checkpoint, options)
    overwrite = options.overwrite or resume_from is not None  # the files that exist belong to the run that resumes
    check_outputs(outputs, overwrite=overwrite, inputs=inputs, check_result=check_result)
    run = create(resume_from)  # loads the network
    with display(as_json=options.json, quiet=options.quiet) as show, signals(stopping) as received:
        if options.resume and resume_from is None:
            show(Noted(f"no checkpoint at {printable(outputs.checkpoint)}; starting at step 0"))
        runner.execute(run, outputs, show, lambda: received, resume_from)
    return 128 + received[0] if received else 0


def _unfinished(path: Path, options: KeepFlags) -> "Checkpoint | None":
    """The checkpoint to resume from, if any.

    Raises:
        OutputError: there is one, but neither --resume nor --overwrite was given.
        CheckpointError: it is damaged.
    """
    from impasto.optimize import checkpoint

    if not os.path.lexists(path):
        return None
    if not (options.resume or options.overwrite):
        raise OutputError(
            f"{printable(path)}: holds an unfinished run; resume it (--resume), or start over (--overwrite)"
        )
    return checkpoint.read(path) if options.resume else None


@contextlib.contextmanager
def signals(message: str = STOPPING) -> Iterator[list[int]]:
    """Catch the first signal to stop: it is appended to the list, and `message` is printed to standard error.

    The second signal takes effect at once.
    """
    received: list[int] = []

    def first(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for each, handler in handlers.items():
            signal.signal(each, handler)
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the middle of a write
            os.write(2, f"{message}\n".encode())

    handlers = {each: signal.signal(each, first) for each in SIGNALS}
    try:
        yield received
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
