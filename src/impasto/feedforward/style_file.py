"""A distilled style: a feed-forward network for one style, saved to and loaded from one safetensors file."""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from impasto import files
from impasto.arguments import as_path
from impasto.errors import OutputError, WeightsError, printable
from impasto.feedforward.network import NORMALIZED_CHANNELS, SingleStyleTransformer, Transformer
from impasto.input_files import read_limited
from impasto.optimize import tensor_file
from impasto.optimize.state_check import Expected, check_tensors
from impasto.torch_state import isolated

SUFFIX = ".safetensors"
_MAX_BYTES = 2**22  # such a file has 0.7 MB
_REMEDY = "give a file that `impasto distill` wrote"


@dataclass(frozen=True, eq=False)
class DistilledStyle:
    """A network for one style.

    Attributes:
        network: the transformer with its own normalization parameters.
        about: what it was trained on and how; JSON.
        name: of its file, without the folder.
        sha256: of its file, hexadecimal.
    """

    network: SingleStyleTransformer
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""
    sha256: str = ""

    @isolated
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write it to `path`, completely or not at all.

        Args:
            overwrite: replace an existing file.

        Raises:
            OutputError: another suffix than .safetensors, or a path that cannot be written.
            SaveError: the disk is full, or the folder can no longer be written.
        """
        path = as_path(path, "path")
        check_style_suffix(path)
        files.check_output(path, overwrite=overwrite)
        with files.replacing(path, overwrite=overwrite) as file:
            tensor_file.write(file, self.network.state_dict(), dict(self.about))


def is_style_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path given as a style names a distilled style, by its suffix, and not an image."""
    return os.fspath(path).lower().endswith(SUFFIX)


def check_style_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse an output path that would not be recognized as a distilled style.

    Raises:
        OutputError: another suffix than .safetensors.
    """
    if not is_style_file(path):
        raise OutputError(f"{printable(path)}: a style is saved as {SUFFIX}; give a name that ends in it")


@isolated
def load_style_file(path: str | os.PathLike[str]) -> DistilledStyle:
    """The distilled style in a file, for evaluation only.

    Raises:
        WeightsError: no such file, or not one that `distill` wrote.
    """
    where, path = printable(path), Path(path)
    data = _read(path, where)
    network = SingleStyleTransformer(
        Transformer(), [(Tensor(channels), Tensor(channels)) for channels in NORMALIZED_CHANNELS]
    )
    try:
        tensors = safetensors.torch.load(data)
        if tensors.pop(tensor_file.DIGEST, None) is not None:  # version 0.1.0 wrote none
            tensor_file.check_digest(io.BytesIO(data))
        check_tensors(tensors, {name: Expected.like(values) for name, values in network.state_dict().items()})
        network.load_state_dict(tensors)
        about = _about(data)
    except Exception as error:  # safetensors, json and torch raise many types for a damaged file
        reason = printable(" ".join(str(error).split())[:100])
        raise WeightsError(f"{where}: is not a style of impasto ({reason}); {_REMEDY}") from error
    return DistilledStyle(network.requires_grad_(False), about, printable(path.name), hashlib.sha256(data).hexdigest())


def _read(path: Path, where: str) -> bytes:
    try:
        return read_limited(path, _MAX_BYTES)
    except OSError as error:
        raise WeightsError(f"{where}: cannot be read ({error.strerror or error}); {_REMEDY}") from error


def _about(data: bytes) -> Any:
    """Our entry in the metadata of a safetensors file: 8 bytes of header length, little-endian, then a JSON header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return json.loads(header.get("__metadata__", {}).get(tensor_file.KEY, "{}"))
