"""A feed-forward network that paints in one style, fitted to one painting <-> one file."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from impasto import files
from impasto.errors import OutputError, WeightsError, printable
from impasto.feedforward.network import NORMALIZED, Affines, Transformer

SUFFIX = ".safetensors"
_LARGEST = 2**22  # bytes; such a file has 0.7 MB
_ABOUT = "impasto"
_REMEDY = "give a file that `impasto distill` wrote"


class OneStyle(nn.Module):
    """A transformer with a style of its own: scale and shift of every normalized layer are weights like the others."""

    def __init__(self, transformer: Transformer, style: Affines) -> None:
        super().__init__()
        self.transformer = transformer
        self.scale = nn.ParameterList([nn.Parameter(scale.detach().clone()) for scale, _ in style])
        self.shift = nn.ParameterList([nn.Parameter(shift.detach().clone()) for _, shift in style])

    @property
    def style(self) -> Affines:
        """The style."""
        return list(zip(self.scale, self.shift, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        """As the transformer does."""
        painted: Tensor = self.transformer(images, self.style)
        return painted


@dataclass(frozen=True, eq=False)
class DistilledStyle:
    """Such a network, what it was made of, and its file: `about` is JSON, `name` without the folder, `sha256` hex."""

    network: OneStyle
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""
    sha256: str = ""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to `path`, whole or not at all.

        Raises:
            OutputError: another suffix than .safetensors, or a place that cannot be written.
            SaveError: the disk is full, or the folder can no longer be written.
        """
        path = Path(path)
        check_style_suffix(path)
        files.check_output(path, overwrite=True)
        tensors = {name: each.detach().cpu().contiguous() for name, each in self.network.state_dict().items()}
        data = safetensors.torch.save(tensors, {_ABOUT: json.dumps(dict(self.about))})
        with files.replacing(path) as file:
            file.write(data)


def is_distilled(path: str | os.PathLike[str]) -> bool:
    """Whether something that is to be painted like names a network of one style, not a picture."""
    return os.fspath(path).lower().endswith(SUFFIX)


def check_style_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse an output that would not be known as such a network.

    Raises:
        OutputError: naming the suffix.
    """
    if not is_distilled(path):
        raise OutputError(f"{printable(path)}: a style is saved as {SUFFIX}; end it so")


def load_style(path: str | os.PathLike[str]) -> DistilledStyle:
    """The network in a file.

    Raises:
        WeightsError: no such file, or none that `distill` wrote.
    """
    where, path = printable(path), Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise WeightsError(f"{where}: has more bytes than a style has; {_REMEDY}")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{where}: cannot be read ({error.strerror or error}); {_REMEDY}") from error
    network = OneStyle(Transformer(), [(Tensor(width), Tensor(width)) for width in NORMALIZED])
    try:
        network.load_state_dict(safetensors.torch.load(data))
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_ABOUT, "{}"))
    except Exception as error:  # safetensors and torch raise anything at all over a damaged file
        reason = printable(" ".join(str(error).split())[:100])
        raise WeightsError(f"{where}: is no style of this program ({reason}); {_REMEDY}") from error
    if not all(bool(each.isfinite().all()) for each in network.state_dict().values()):
        raise WeightsError(f"{where}: has values that are not finite; distill it anew")
    return DistilledStyle(network.requires_grad_(False), about, printable(path.name), hashlib.sha256(data).hexdigest())
