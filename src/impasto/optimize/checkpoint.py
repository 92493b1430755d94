"""Checkpoints: the state of a run or a training in one file, from which it resumes to the same bits.

The file is safetensors: the state's tensors and, as JSON in the header, its numbers and the `spec` of the run. It is
replaced completely or not at all. A file that is read back is untrusted input.
"""

import json
import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto import files
from impasto.errors import CheckpointError, ImpastoError, printable
from impasto.events import Noted, OnEvent
from impasto.settings.model import MAX_THREADS

KEY = "impasto"
VERSIONS = ("impasto", "torch")
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}


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

        The keys are impasto, torch, task, settings, pictures (role -> name and sha256), mixture, weights, device and
        precision.
        """

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the remaining steps depend on besides `spec`: tensors by name, and numbers as JSON."""

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over a state that `state()` of an instance with the same spec returned."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file except for its tensors.

    Attributes:
        path: the file.
        spec: `Resumable.spec` when it was saved.
        numbers: the numbers of the state.
        same: tensors that are not stored because they equal another one: name -> name of the stored tensor.
        threads: number of CPU threads. Threads split the sums, and the split determines the rounding.
    """

    path: Path
    spec: dict[str, Any]
    numbers: dict[str, Any]
    same: dict[str, str]
    threads: int

    @property
    def strips(self) -> list[int | None]:
        """The strip heights of all scales, as `Run` takes them; empty for a training."""
        return list(self.numbers.get("strips", []))

    @property
    def steps_done(self) -> int:
        """Steps taken when it was saved."""
        return int(self.numbers["steps_done"])


def save(run: Resumable, path: Path) -> None:
    """Write the state of a run or training to `path`, completely or not at all.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    tensors, numbers = run.state()
    by_address: dict[tuple[int, int], str] = {}
    same = {}
    for name, tensor in tensors.items():  # the image of a step may also be the average and the best image
        stored = by_address.setdefault((tensor.data_ptr(), tensor.numel()), name)
        if stored != name and tensor.numel():
            same[name] = stored
    own = {name: tensor for name, tensor in tensors.items() if name not in same}
    header = {"spec": run.spec, "numbers": numbers, "same": same, "threads": torch.get_num_threads()}
    with files.replacing(path, temporary=_temporary(path)) as file:
        _write(file, own, json.dumps(header))


def discard(path: Path) -> None:
    """Remove a checkpoint, and the incomplete file that a process killed while writing it left behind."""
    path.unlink(missing_ok=True)
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """The name of a checkpoint while it is written; always the same, so that at most one incomplete file is left."""
    return files.beside(path, ".{}.part")


def _write(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: str) -> None:
    """Write safetensors: the length of the header (uint64, little-endian), the header (JSON), the tensors' bytes.

    `safetensors.torch.save_file` would first write to a temporary file of its own with a random name, which nobody
    removes after a kill; `safetensors.torch.save` would hold all bytes in memory a second time.
    """
    header: dict[str, Any] = {"__metadata__": {KEY: metadata}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligns the tensors to 8 bytes
    file.write(struct.pack("<Q", len(text)) + text)
    for tensor in tensors.values():
        file.write(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data)


def read(path: Path) -> Checkpoint:
    """Read the checkpoint at `path`, without its tensors.

    Raises:
        CheckpointError: no such file, not a checkpoint of impasto, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
        checkpoint = Checkpoint(path, header["spec"], header["numbers"], header["same"], int(header["threads"]))
        _validate(checkpoint)
    except FileNotFoundError as error:
        raise CheckpointError(f"{printable(path)}: does not exist; start over without --resume") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise CheckpointError(
            f"{printable(path)}: is not a checkpoint or is damaged ({_reason(error)}); start over without --resume"
        ) from error
    return checkpoint


def _validate(checkpoint: Checkpoint) -> None:
    pictures = checkpoint.spec["pictures"].values()
    if not isinstance(checkpoint.spec["settings"], dict) or not all(
        {"name", "sha256"} <= set(each) for each in pictures
    ):
        raise ValueError("invalid spec")
    if checkpoint.steps_done < 0 or not 1 <= checkpoint.threads <= MAX_THREADS:
        raise ValueError("invalid numbers")
    if not all(strip is None or (isinstance(strip, int) and strip > 0) for strip in checkpoint.strips):
        raise ValueError("invalid strips")


def resume(run: Resumable, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Restore the state of a run or training that was created from the same inputs; returns notes for the user.

    A `Run` must have been created with the `strips` of the checkpoint.

    Raises:
        CheckpointError: the inputs or settings differ, or the file is damaged.
    """
    where, spec = printable(checkpoint.path), run.spec
    if changed := difference(checkpoint.spec, spec):
        raise CheckpointError(f"{where}: {changed}; give the same again, or start over without --resume")
    try:
        run.restore(_tensors(checkpoint), checkpoint.numbers)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{where}: is damaged ({_reason(error)}); start over without --resume") from error
    environment = [(name, checkpoint.spec.get(name), spec[name]) for name in VERSIONS]
    environment.append(("threads", checkpoint.threads, torch.get_num_threads()))
    return tuple(
        f"started with {name} {before}, now {now}: the result may differ slightly"
        for name, before, now in environment
        if before != now
    )


def _tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors, copied: those of safetensors are views into the memory-mapped file."""
    with safe_open(checkpoint.path, framework="pt") as file:
        own = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    return {**own, **{name: own[stored] for name, stored in checkpoint.same.items()}}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first difference between two specs (see `Resumable.spec`) in words, or None; versions may differ."""
    for name, value in now["settings"].items():
        if (was := before["settings"].get(name)) != value:
            return f"was started with {name} {was}, got {value}"
    for name in ("task", "device", "precision"):
        if (was := before.get(name)) != now[name]:
            return f"was started with {name} {was}, got {now[name]}"
    for role in {**before["pictures"], **now["pictures"]}:
        was, given = before["pictures"].get(role), now["pictures"].get(role)
        if (was and was["sha256"]) != (given and given["sha256"]):
            names = [printable(each["name"]) if each else "none" for each in (was, given)]
            return f"was started with another {role}: {names[0]}, got {names[1]}, which is not the same file"
    if (was := before.get("mixture")) != now["mixture"]:
        return f"was started with the weights {was} of the style images, got {now['mixture']}"
    return "was started with other network weights" if before.get("weights") != now["weights"] else None


def _reason(error: BaseException) -> str:
    return printable(os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)[:100])


class Checkpointer:
    """Saves the checkpoints of a run or training while it proceeds.

    A checkpoint that cannot be written does not end the run; the first failure is reported as `Noted`.

    Args:
        run: the run or training.
        path: the checkpoint file.
        seconds: minimum time between two checkpoints.
    """

    def __init__(self, run: Resumable, path: Path, seconds: float, on_event: OnEvent) -> None:
        self._run, self._path, self._seconds, self._on_event = run, path, seconds, on_event
        self._last, self._has_failed = time.monotonic(), False

    def save_if_due(self) -> None:
        """Save a checkpoint if the last one is old enough."""
        if time.monotonic() - self._last >= self._seconds:
            self.save()
            self._last = time.monotonic()

    def save(self) -> None:
        """Save a checkpoint now."""
        try:
            save(self._run, self._path)
        except ImpastoError as error:
            if not self._has_failed:
                self._on_event(Noted(f"no checkpoint written: {error}; the previous one is kept, the run continues"))
            self._has_failed = True
