"""The files that a run or a training writes, and their validation before any work is done."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto import files
from impasto.errors import OutputError, printable
from impasto.images.formats import check_suffix
from impasto.jobs import timelapse

CHECKPOINT_SECONDS = 300.0
"""Default time from one checkpoint to the next."""


@dataclass(frozen=True)
class Outputs:
    """The files that a run or a training writes.

    Attributes:
        result: the image of a run, or the style file of a training.
        checkpoint: the file that the state is saved to until the result is complete, see `checkpoint_path`.
        checkpoint_seconds: minimum time from one checkpoint to the next.
        log: the losses of every step, see `jobs.log`.
        preview: the present image of a run, replaced every `preview_every` steps.
        timelapse: an animation of a run, written at the end, see `jobs.timelapse`.
    """

    result: Path
    checkpoint: Path
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    log: Path | None = None
    preview: Path | None = None
    preview_every: int = 25
    timelapse: Path | None = None


def checkpoint_path(result: Path) -> Path:
    """The default path of the checkpoint: beside the result, as RESULT.checkpoint."""
    return files.beside(result, "{}.checkpoint")


def check_outputs(
    outputs: Outputs, *, overwrite: bool, inputs: Sequence[Path], check_result: Callable[[Path], object]
) -> None:
    """Refuse outputs that could not be written in the end.

    Args:
        overwrite: whether files that exist may be replaced; the checkpoint always may.
        inputs: files that must not be replaced.
        check_result: raises `OutputError` if the suffix of the result does not fit its format.

    Raises:
        OutputError: a missing or read-only folder, a file that exists, an input or two outputs in the same place, or a
            suffix of another format.
    """
    paths = [path for path in (outputs.result, outputs.preview, outputs.log, outputs.timelapse) if path is not None]
    for path in paths:
        files.check_output(path, overwrite=overwrite, inputs=inputs)
    files.check_output(outputs.checkpoint, overwrite=True, inputs=inputs)
    paths.append(outputs.checkpoint)
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise OutputError(f"{printable(outputs.result)}: is given for two outputs; choose another name for one")
    check_result(outputs.result)
    if outputs.preview is not None:
        check_suffix(outputs.preview)
    if outputs.timelapse is not None:
        timelapse.check_suffix(outputs.timelapse)
