"""What the commands that take steps share: create the run, validate its outputs, execute it until done or stopped."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.display import display
from impasto.cli.image_options import MaskOptions, split_weight
from impasto.cli.printing import print_line
from impasto.cli.run_options import CheckpointOptions, RunOptions
from impasto.cli.stop_signals import STOPPING, stop_signals
from impasto.cli.streams import PIPE, is_stand_in, piped
from impasto.errors import OutputError, SettingError, printable
from impasto.events import Noted
from impasto.images.recipe import ALPHA
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile
from impasto.settings.model import INITS, Settings

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.jobs.outputs import Outputs
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run

CreateRun = Callable[["Checkpoint | None"], "Run"]
"""Creates the run; it gets the checkpoint that the run resumes from, if any, for its strips and threads."""
CreateTraining = Callable[["Checkpoint | None"], "Training"]
CheckResult = Callable[[Path], object]
"""Raises `OutputError` if the suffix of the result does not fit its format."""


def start_run(  # noqa: PLR0917
    content: Path | None,
    styles: list[Path],
    settings: Settings,
    output: Path,
    options: RunOptions,
    masks: MaskOptions = MaskOptions(),  # noqa: B008
) -> int:
    """The job of stylize, texture, reconstruct or demo, executed or printed; the exit status."""
    job = make_job(content, styles, settings, output, options, masks)
    if options.print_job:
        return print_job(job)
    return execute_job(job, options, [Path(options.preset), Path(options.weights)])


def make_job(  # noqa: PLR0917
    content: Path | None,
    styles: list[Path],
    settings: Settings,
    output: Path,
    options: RunOptions,
    masks: MaskOptions,
) -> Job:
    """The job that a command describes, its paths as they were typed.

    Raises:
        SettingError: a weight that is no number, or more masks than styles.
    """
    weighted = [split_weight(style) for style in styles]
    style_files = [
        StyleFile(path=str(path), weight=weight, mask=ALPHA if mask == ALPHA else _file(mask))
        for (path, weight), mask in zip(weighted, masks.for_styles(len(styles)), strict=True)
    ]
    return Job(
        task="texture" if content is None else "stylize" if styles else "reconstruct",
        content=_file(content),
        styles=tuple(style_files),
        init=None if settings.init in INITS else _file(settings.init),
        keep=_file(masks.keep),
        detail=_file(masks.detail_mask),
        settings=settings,
        outputs=options.outputs(output),
    )


def _file(path: Path | str | None) -> InputFile | None:
    return None if path is None else InputFile(path=str(path))


def print_job(job: Job) -> int:
    """Print a job with the hashes of its inputs as JSON; the exit status.

    Raises:
        SettingError: an input or the result is a pipe.
        JobError: an input that cannot be read.
    """
    if PIPE in (Path(job.outputs.result), *(Path(file.path) for file in job.inputs.values())):
        raise SettingError("--print-job: got - for a file, but a job is run later; give the name of a file")
    print_line(job.hashed().to_json())
    return 0


def execute_job(job: Job, options: CheckpointOptions, inputs: Sequence[Path] = ()) -> int:
    """Execute a job that takes steps; `inputs` are further files that must not be replaced.

    Returns and raises as `execute`.
    """
    named = [Path(file.path) for file in job.inputs.values()]
    with piped(named, Path(job.outputs.result), json=options.json) as (opened, result):
        files = dict(zip(named, opened, strict=True))
        job = job.with_files(lambda _, file: file.model_copy(update={"path": str(files[Path(file.path)])}))

        def create(resume_from: "Checkpoint | None") -> "Run":
            from impasto.jobs.worker import Worker

            return Worker(options.compute).create_run(job, resume_from)

        outputs = job.outputs.model_copy(update={"result": str(result)})
        return execute_run(create, outputs, options, [*opened, *inputs], job.settings.depth)


def execute_run(
    create: CreateRun, outputs: JobOutputs, options: CheckpointOptions, inputs: Sequence[Path], depth: int
) -> int:
    """Create a run, take its steps and save the result, an image with `depth` bits per channel.

    Returns and raises as `execute`.
    """
    from impasto.images.formats import check_suffix
    from impasto.jobs.outputs import output_files

    if is_stand_in(outputs.result) and options.resume and outputs.checkpoint is None:
        raise SettingError("--resume: a result on standard output needs a checkpoint file; give --checkpoint FILE")
    files = output_files(outputs, options.checkpoint_seconds)
    return execute(create, files, options, inputs, functools.partial(check_suffix, depth=depth))


def execute(  # noqa: PLR0917
    create: CreateRun | CreateTraining,
    outputs: "Outputs",
    options: CheckpointOptions,
    inputs: Sequence[Path],
    check_result: CheckResult,
    stopping: str = STOPPING,
) -> int:
    """Validate the outputs, create a run or a training, and take its steps.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it.

    Raises:
        ImpastoError: before any work is done, if an output cannot be written, or another run is writing it.
        DivergedError: after the best image was saved.
    """
    from impasto.jobs import runner
    from impasto.jobs.claims import claimed
    from impasto.jobs.outputs import check_outputs

    if options.overwrite:
        outputs = dataclasses.replace(outputs, replaceable=outputs.paths)
    with claimed(outputs.paths):
        resume_from = _unfinished(outputs.checkpoint, options)
        check_outputs(outputs, resume_from, inputs=inputs, check_result=check_result)
        run = create(resume_from)  # loads the network
        with display(as_json=options.json, quiet=options.quiet) as show, stop_signals(stopping) as received:
            if options.resume and resume_from is None:
                show(Noted(f"no checkpoint at {printable(outputs.checkpoint)}; starting at step 0"))
            runner.execute(run, outputs, show, lambda: received, resume_from)
    return 128 + received[0] if received else 0


def _unfinished(path: Path, options: CheckpointOptions) -> "Checkpoint | None":
    """The checkpoint to resume from, if any.

    Raises:
        OutputError: there is one, but neither --resume nor --overwrite was given.
        CheckpointError: it is damaged.
    """
    if not os.path.lexists(path) or os.path.isdir(path):  # `check_outputs` refuses a folder
        return None
    if not (options.resume or options.overwrite):
        raise OutputError(
            f"{printable(path)}: holds an unfinished run; resume it (--resume), or start over (--overwrite)"
        )
    if not options.resume:
        return None
    from impasto.optimize import checkpoint

    return checkpoint.read(path)
