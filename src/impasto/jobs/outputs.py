"""The files that a run or a training writes, and their validation before any work is done."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto import files
from impasto.errors import OutputError, printable
from impasto.images.formats import check_suffix
from impasto.jobs import timelapse
from impasto.jobs.compute import CHECKPOINT_SECONDS
from impasto.jobs.job import JobOutputs
from impasto.optimize.checkpoint import Checkpoint


@dataclass(frozen=True)
class Outputs:
    """The files that a run or a training writes.

    Attributes:
        result: the image of a run, or the style file of a training.
        checkpoint: the file that the state is saved to until the result is complete, see `checkpoint_path`.
        checkpoint_seconds: minimum time from one checkpoint to the next.
        log: the losses of every step, see `jobs.log`.
        preview: the present image of a run, replaced every `preview_every` steps, with a long edge of at most
            `preview_edge` pixels; None: of any size.
        timelapse: an animation of a run, written at the end, see `jobs.timelapse`.
        replaceable: those of these files that may be replaced if they exist.
    """

    result: Path
    checkpoint: Path
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    log: Path | None = None
    preview: Path | None = None
    preview_every: int = 25
    preview_edge: int | None = None
    timelapse: Path | None = None
    replaceable: Collection[Path] = ()

    @property
    def paths(self) -> list[Path]:
        """All of them, the checkpoint last."""
        candidates = (self.result, self.preview, self.log, self.timelapse, self.checkpoint)
        return [path for path in candidates if path is not None]

    def may_replace(self, path: Path, resume_from: Checkpoint | None) -> bool:
        """Whether the run may replace an existing file: it was allowed, or the run that is resumed has written it."""
        return path in self.replaceable or (resume_from is not None and resume_from.owns(path))


def checkpoint_path(result: Path) -> Path:
    """The default path of the checkpoint: beside the result, as RESULT.checkpoint."""
    return files.beside(result, "{}.checkpoint")


def output_files(outputs: JobOutputs, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Outputs:
    """The files that a job writes."""
    result = Path(outputs.result)
    return Outputs(
        result,
        checkpoint_path(result) if outputs.checkpoint is None else Path(outputs.checkpoint),
        checkpoint_seconds,
        log=_path(outputs.log),
        preview=_path(outputs.preview),
        preview_every=outputs.preview_every,
        preview_edge=outputs.preview_edge,
        timelapse=_path(outputs.timelapse),
    )


def _path(path: str | None) -> Path | None:
    return None if path is None else Path(path)


def check_outputs(
    outputs: Outputs,
    resume_from: Checkpoint | None = None,
    *,
    inputs: Sequence[Path],
    check_result: Callable[[Path], object],
) -> None:
    """Refuse outputs that could not be written in the end.

    Args:
        resume_from: the checkpoint from which the run resumes; the files that it has written may be replaced.
        inputs: files that must not be replaced.
        check_result: raises `OutputError` if the suffix of the result does not fit its format.

    Raises:
        OutputError: a missing or read-only folder, a file that exists, an input or two outputs in the same place, or a
            suffix of another format.
    """
    for path in outputs.paths:
        files.check_output(path, overwrite=outputs.may_replace(path, resume_from), inputs=inputs)
    if len(set(map(files.comparable, outputs.paths))) < len(outputs.paths):
        raise OutputError(f"{printable(outputs.result)}: is given for two outputs; choose another name for one")
    check_result(outputs.result)
    if outputs.preview is not None:
        check_suffix(outputs.preview)
    if outputs.timelapse is not None:
        timelapse.check_suffix(outputs.timelapse)
