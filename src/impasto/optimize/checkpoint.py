"""A run's state <-> one file, from which the run goes on as if nothing had been.

The file is safetensors: the tensors, and as JSON the numbers and what the run was made of. It is replaced whole or not
at all. Read back, it is untrusted input.
"""

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto import files
from impasto.errors import CheckpointError, printable
from impasto.optimize.run import Run
from impasto.settings.model import MAX_THREADS

KEY = "impasto"
VERSIONS = ("impasto", "torch")
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says beside its tensors.

    Attributes:
        spec: what the run depends on besides its state, as `Run.spec` says.
        numbers: the state's numbers.
        same: tensors that are not in the file because another one is the same.
        threads: how many computed; sums are split by threads, and so rounded.
    """

    path: Path
    spec: dict[str, Any]
    numbers: dict[str, Any]
    same: dict[str, str]
    threads: int

    @property
    def strips(self) -> list[int | None]:
        """For every scale the rows of its strips, as `Run` takes them."""
        return list(self.numbers["strips"])

    @property
    def steps_done(self) -> int:
        """Steps that the run had taken."""
        return int(self.numbers["steps_done"])


def save(run: Run, path: Path) -> None:
    """Write the run's state to `path`, whole or not at all.

    Raises:
        SaveError: the disk is full, or the folder cannot be written.
    """
    tensors, numbers = run.state()
    places: dict[tuple[int, int], str] = {}
    same = {}
    for name, tensor in tensors.items():  # the picture of a step may also be the average and the best one
        kept = places.setdefault((tensor.data_ptr(), tensor.numel()), name)
        if kept != name and tensor.numel():
            same[name] = kept
    own = {name: tensor for name, tensor in tensors.items() if name not in same}
    said = {"spec": run.spec, "numbers": numbers, "same": same, "threads": torch.get_num_threads()}
    with files.replacing(path, temporary=_part(path)) as file:
        _write(file, own, json.dumps(said))


def discard(path: Path) -> None:
    """Remove a checkpoint, and what a run that was killed in the midst of writing it left."""
    path.unlink(missing_ok=True)
    _part(path).unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """What a checkpoint is called until it is whole: always the same, so that there is one at most."""
    return path.with_name(f".{path.name}.part")


def _write(file: BinaryIO, tensors: Mapping[str, Tensor], said: str) -> None:
    """Write safetensors: the header's length, the header in JSON, the tensors one behind the other.

    The library would write to a file of its own first, whose random name nobody finds again after a kill.
    """
    header: dict[str, Any] = {"__metadata__": {KEY: said}}
    place = 0
    for name, tensor in tensors.items():
        end = place + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for tensor in tensors.values():
        file.write(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data)


def read(path: Path) -> Checkpoint:
    """What the checkpoint at `path` says.

    Raises:
        CheckpointError: no file, none of this program's, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {})[KEY])
        found = Checkpoint(path, said["spec"], said["numbers"], said["same"], int(said["threads"]))
        if not (found.steps_done >= 0 and _is_spec(found.spec) and 1 <= found.threads <= MAX_THREADS):
            raise ValueError("its numbers make no sense")
        if not all(strip is None or (isinstance(strip, int) and strip > 0) for strip in found.strips):
            raise ValueError("its strips make no sense")
    except FileNotFoundError as error:
        raise CheckpointError(f"{printable(path)}: does not exist; begin without --resume") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise CheckpointError(
            f"{printable(path)}: is no checkpoint, or damaged ({_reason(error)}); begin anew"
        ) from error
    return found


def resume(run: Run, found: Checkpoint) -> tuple[str, ...]:
    """Bring a run, made of the same and in the checkpoint's strips, to where it was; what the user should know.

    Raises:
        CheckpointError: the run is not made of the same, or the file is damaged.
    """
    where = printable(found.path)
    now = run.spec
    if changed := difference(found.spec, now):
        raise CheckpointError(f"{where}: {changed}; give the same again, or begin anew without --resume")
    try:
        run.restore(_tensors(found), found.numbers)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{where}: is damaged ({_reason(error)}); begin anew without --resume") from error
    others = [(name, found.spec.get(name), now[name]) for name in VERSIONS]
    others.append(("threads", found.threads, torch.get_num_threads()))
    return tuple(
        f"begun with {name} {was}, now {is_now}: the result may differ a little"
        for name, was, is_now in others
        if was != is_now
    )


def _tensors(found: Checkpoint) -> dict[str, Tensor]:
    """The tensors in memory of their own, not in the file's."""
    with safe_open(found.path, framework="pt") as file:
        own = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    return {**own, **{name: own[kept] for name, kept in found.same.items()}}


def _is_spec(spec: Mapping[str, Any]) -> bool:
    """Whether it has the form of `Run.spec`."""
    pictures = spec["pictures"].values()
    return isinstance(spec["settings"], dict) and all({"name", "sha256"} <= each.keys() for each in pictures)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing that is not as it was, of what a run is made of, as a checkpoint or a recipe in JSON tells it."""
    for name, value in now["settings"].items():
        if (was := before["settings"].get(name)) != value:
            return f"was begun with {name} {was}, got {value}"
    for name in ("task", "device", "precision"):
        if (was := before.get(name)) != now[name]:
            return f"was begun with {name} {was}, got {now[name]}"
    pictures = before["pictures"]
    for role in {**pictures, **now["pictures"]}:
        was, given = pictures.get(role), now["pictures"].get(role)
        if (was and was["sha256"]) != (given and given["sha256"]):
            names = [printable(each["name"]) if each else "none" for each in (was, given)]
            return f"was begun with another {role}: {names[0]}, got {names[1]}, which is not the same file"
    if (was := before.get("mixture")) != now["mixture"]:
        return f"was begun with the weights {was} of its paintings, got {now['mixture']}"
    return "was begun with other weights" if before.get("weights") != now["weights"] else None


def _reason(error: BaseException) -> str:
    return printable(os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)[:100])
