"""Checkpoints: the state of a run or a training in one file, from which it resumes to the same bits.

The file holds the state's tensors and numbers, the `spec` of the run and the files that it has written, see
`tensor_file`. It is replaced completely or not at all. A file that is read back is untrusted input.
"""

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from impasto import files
from impasto.errors import CheckpointError, SettingError, printable
from impasto.optimize import tensor_file
from impasto.optimize.spec import difference, shown
from impasto.optimize.state_check import Header
from impasto.settings.model import Settings, one_line
from impasto.torch_state import isolated
from impasto.version import __version__

__all__ = [
    "Checkpoint",
    "Resumable",
    "difference",
    "discard",
    "discard_incomplete",
    "read",
    "resume",
    "save",
    "to_bytes",
]


class Resumable(Protocol):
    """What can be checkpointed: a `Run` (optimization of one image) or a `Training` (of a network)."""

    @property
    def steps_done(self) -> int:
        """Steps taken so far."""

    @property
    def steps(self) -> int:
        """Steps in total."""

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that the result depends on besides `state()`, as JSON.

        The keys are impasto, torch, task, settings, pictures (role -> name and sha256), mixture, weights, device,
        precision and ncnn.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the remaining steps depend on besides `spec`: tensors by name, and numbers as JSON."""

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over a state that `state()` of an instance with the same spec returned."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint except for its tensors.

    Attributes:
        source: the file, or its bytes.
        spec: `Resumable.spec` when it was saved.
        numbers: the numbers of the state.
        same: tensors that are not stored because they equal another one: name -> name of the stored tensor.
        outputs: the files that belong to the run, see `owns`.
        threads: number of CPU threads. Threads split the sums, and the split determines the rounding.
    """

    source: Path | bytes
    spec: dict[str, Any]
    numbers: dict[str, Any]
    same: dict[str, str]
    outputs: list[str]
    threads: int

    @property
    def strips(self) -> list[int | None]:
        """The strip heights of all scales, as `Run` takes them; empty for a training."""
        return list(self.numbers.get("strips", []))

    @property
    def settings(self) -> Settings:
        """The settings of the run.

        Raises:
            CheckpointError: they are damaged.
        """
        try:
            return Settings(**self.spec["settings"])
        except SettingError as error:
            raise CheckpointError(f"{_where(self.source)}: is damaged ({_reason(error)}); start over") from error

    @property
    def device(self) -> str:
        """The kind of device of the network."""
        return str(self.spec["device"])

    @property
    def precision(self) -> str:
        """The precision of the network."""
        return str(self.spec["precision"])

    @property
    def ncnn(self) -> list[str]:
        """The convolutions that ncnn evaluates, as `VGG19.load` takes them for `engine`."""
        return list(self.spec["ncnn"])

    @property
    def steps_done(self) -> int:
        """Steps taken when it was saved."""
        return int(self.numbers["steps_done"])

    def owns(self, path: Path) -> bool:
        """Whether the file at `path` belongs to the run, which may replace it then: the checkpoint and `outputs`."""
        if isinstance(self.source, bytes):
            return False
        return _relative(path, self.source) in (*self.outputs, _relative(self.source, self.source))


@isolated
def save(run: Resumable, path: Path, *, overwrite: bool = True, outputs: Iterable[Path] = ()) -> None:
    """Write the state of a run or training to `path`, completely or not at all.

    Args:
        outputs: the files that the run may replace when it is resumed.

    Raises:
        OutputError: there is a file of that name, and `overwrite` is false.
        SaveError: the disk is full, or the folder cannot be written.
    """
    with files.replacing(path, overwrite=overwrite, temporary=_temporary(path)) as file:
        _write(run, file, [_relative(output, path) for output in outputs])


@isolated
def to_bytes(run: Resumable) -> bytes:
    """The contents of a checkpoint, for `read`."""
    file = io.BytesIO()
    _write(run, file, [])
    return file.getvalue()


def _write(run: Resumable, file: BinaryIO, outputs: list[str]) -> None:
    tensors, numbers = run.state()
    by_address: dict[tuple[int, int], str] = {}
    same = {}
    for name, tensor in tensors.items():  # the image of a step may also be the average and the best image
        stored = by_address.setdefault((tensor.data_ptr(), tensor.numel()), name)
        if stored != name and tensor.numel():
            same[name] = stored
    own = {name: tensor for name, tensor in tensors.items() if name not in same}
    header = {
        "spec": run.spec,
        "numbers": numbers,
        "same": same,
        "outputs": outputs,
        "threads": torch.get_num_threads(),
    }
    tensor_file.write(file, own, header)


def discard(path: Path) -> None:
    """Remove a checkpoint, and the incomplete file that a process killed while writing it left behind."""
    path.unlink(missing_ok=True)
    discard_incomplete(path)


def discard_incomplete(path: Path) -> None:
    """Remove only the incomplete file beside a checkpoint."""
    _temporary(path).unlink(missing_ok=True)


def _relative(path: Path, checkpoint: Path) -> str:
    """The path of an output from the folder of the checkpoint, so that the folder can be moved with its files."""
    target, folder = files.real_path(path), files.real_path(checkpoint).parent
    try:
        return Path(os.path.relpath(target, folder)).as_posix()  # with / everywhere, so that it can be resumed anywhere
    except ValueError:  # on another drive of Windows
        return target.as_posix()


def _temporary(path: Path) -> Path:
    """The name of a checkpoint while it is written; always the same, so that at most one incomplete file is left."""
    return files.beside(path, ".{}.part")


def read(source: Path | bytes) -> Checkpoint:
    """Read a checkpoint file, or its contents, without the tensors, whose bytes are compared with their SHA-256.

    Raises:
        CheckpointError: no such file, not a checkpoint of this version of impasto, or damaged.
    """
    where = _where(source)
    try:
        header = tensor_file.read_content(source)
        if (version := header["spec"]["impasto"]) != __version__:
            raise CheckpointError(
                f"{where}: was written by impasto {shown(version)}, this is {__version__}; resume it with that "
                "version, or start over without --resume"
            )
        Header.model_validate(header)
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            tensor_file.check_digest(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"{where}: does not exist; start over without --resume") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{where}: is not a checkpoint or is damaged ({_reason(error)}); start over without --resume"
        ) from error
    fields = ("spec", "numbers", "same", "outputs", "threads")
    return Checkpoint(source, *(header[name] for name in fields))


@isolated
def resume(run: Resumable, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Restore the state of a run or training that was created from the same inputs; returns notes for the user.

    A `Run` must have been created with the `strips` of the checkpoint, and a network with its `ncnn`.

    Raises:
        CheckpointError: the inputs or settings differ, or the file is damaged.
    """
    where, spec = _where(checkpoint.source), run.spec
    if changed := difference(checkpoint.spec, spec):
        raise CheckpointError(f"{where}: {changed}; give the same again, or start over without --resume")
    try:
        run.restore(_tensors(checkpoint), checkpoint.numbers)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{where}: is damaged ({_reason(error)}); start over without --resume") from error
    environment = {
        "torch": (checkpoint.spec["torch"], spec["torch"]),
        "threads": (checkpoint.threads, torch.get_num_threads()),
    }
    return tuple(
        f"started with {name} {shown(before)}, now {now}: the result may differ slightly"
        for name, (before, now) in environment.items()
        if before != now
    )


def _tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    own = tensor_file.read_tensors(checkpoint.source)
    return {**own, **{name: own[stored] for name, stored in checkpoint.same.items()}}


def _where(source: Path | bytes) -> str:
    return "the bytes of a checkpoint" if isinstance(source, bytes) else printable(source)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return printable((one_line(error) if isinstance(error, ValidationError) else str(error))[:100])
