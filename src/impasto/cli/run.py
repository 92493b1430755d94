"""What the commands that take steps share: create the run, validate its outputs, execute it until done or stopped."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.display import display
from impasto.cli.image_options import MaskOptions, split_weight
from impasto.cli.run_options import CheckpointOptions, ComputeOptions, NetworkOptions, RerunOptions, RunOptions
from impasto.cli.stop_signals import STOPPING, stop_signals
from impasto.cli.streams import is_stand_in, piped
from impasto.errors import OutputError, SettingError, printable
from impasto.events import Noted
from impasto.images.recipe import ALPHA
from impasto.settings.model import INITS, Settings

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.images.picture import Picture
    from impasto.jobs.outputs import Outputs
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run
    from impasto.vgg.model import VGG19

CreateRun = Callable[["Checkpoint | None"], "Run"]
"""Creates the run; it gets the checkpoint that the run resumes from, if any, for its strips and threads."""
CreateTraining = Callable[["Checkpoint | None"], "Training"]
Load = Callable[[Path], "Picture"]
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
    """The run of stylize, texture, reconstruct or demo, saved to `output`; the exit status."""
    weighted = [split_weight(style) for style in styles]
    style_masks = masks.for_styles(len(styles))
    mask_files = [Path(mask) for mask in (*style_masks, masks.keep, masks.detail_mask) if mask not in {None, ALPHA}]
    init = [] if settings.init in INITS else [Path(settings.init)]
    named = [*([] if content is None else [content]), *(path for path, _ in weighted), *mask_files, *init]
    with piped(named, output, json=options.json) as (opened, result):
        files = dict(zip(named, opened, strict=True))

        def create(resume_from: "Checkpoint | None") -> "Run":
            from impasto import Style, api

            set_threads(options, resume_from)
            load = loader(options)
            content_image = None if content is None else load(files[content])
            return api.create_run(
                content_image,
                [
                    Style(load(files[path]), weight, _load_mask(load, mask, files, content_image))
                    for (path, weight), mask in zip(weighted, style_masks, strict=True)
                ],
                settings.replace(init=str(files[init[0]])) if init else settings,
                keep=None if masks.keep is None else files[masks.keep],
                detail=None if masks.detail_mask is None else files[masks.detail_mask],
                vgg=load_network(options, resume_from),
                memory=options.memory,
                strips=None if resume_from is None else resume_from.strips,
            )

        inputs = [*opened, Path(options.preset), Path(options.weights)]
        return execute_run(create, result, options, inputs, settings.depth)


def set_threads(options: CheckpointOptions, resume_from: "Checkpoint | None") -> None:
    """Set the number of threads that the options or the resumed run ask for, if any."""
    import torch

    if (threads := threads_for(options, resume_from)) is not None:
        torch.set_num_threads(threads)


def threads_for(options: CheckpointOptions, resume_from: "Checkpoint | None") -> int | None:
    """The number of threads requested, or that of the run that is resumed."""
    return resume_from.threads if options.threads is None and resume_from is not None else options.threads


def engine_for(options: NetworkOptions, resume_from: "Checkpoint | None") -> str | Sequence[str]:
    """The engine requested, or that of the run that is resumed."""
    return resume_from.ncnn if options.engine == "auto" and resume_from is not None else options.engine


def load_network(options: NetworkOptions, resume_from: "Checkpoint | None" = None) -> "VGG19":
    """The network that the options ask for. What they leave open is as in the run that is resumed."""
    from impasto import VGG19

    precision: str = options.precision
    if precision == "auto" and resume_from is not None:
        precision = resume_from.precision
    engine = engine_for(options, resume_from)
    return VGG19.load(options.weights, device=options.device, precision=precision, engine=engine)


def loader(options: ComputeOptions) -> Load:
    """The function that reads an image within the memory limit of the options."""
    from impasto import load
    from impasto.vgg.device import main_memory_limit, select_device

    return functools.partial(load, memory=main_memory_limit(options.memory, select_device(options.device)))


def _load_mask(load: Load, mask: str | None, files: Mapping[Path, Path], content: "Picture | None") -> "Picture | None":
    from impasto.images.masks import alpha_mask

    if mask is None or content is None:
        return None
    return alpha_mask(content) if mask == ALPHA else load(files[Path(mask)])


def execute_run(create: CreateRun, output: Path, options: RerunOptions, inputs: Sequence[Path], depth: int) -> int:
    """Create a run, take its steps and save the result, an image with `depth` bits per channel, to `output`.

    Returns and raises as `execute`.
    """
    from impasto.images.formats import check_suffix
    from impasto.jobs.outputs import Outputs, checkpoint_path

    if is_stand_in(output) and options.resume and options.checkpoint is None:
        raise SettingError("--resume: a result on standard output needs a checkpoint file; give --checkpoint FILE")
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
