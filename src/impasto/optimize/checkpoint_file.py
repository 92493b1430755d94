"""The file of a checkpoint: safetensors with JSON in the header and, as the last tensor, the SHA-256 of all else.

A file that is read back is untrusted input.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from torch import Tensor

from impasto.images.recipe import InputRecord
from impasto.settings.model import MAX_THREADS

KEY = "impasto"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}
DIGEST = "sha256"
"""Name of the last tensor, (32,) uint8: the last 32 bytes of the file are the SHA-256 of all bytes before them."""

_DIGEST_BYTES, _BLOCK = 32, 2**20


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Spec(_Strict):
    """`Resumable.spec`."""

    impasto: str
    torch: str
    task: str
    settings: dict[str, Any]
    pictures: dict[str, InputRecord]
    mixture: list[float]
    weights: str
    device: str
    precision: str


class _Numbers(_Strict):
    """What every state has; `restore` validates the rest."""

    steps_done: int = Field(ge=0)
    strips: list[Annotated[int, Field(ge=1, le=10**9)] | None] = []


class _Header(_Strict):
    """The JSON in the header; the attributes are those of `checkpoint.Checkpoint`."""

    spec: _Spec
    numbers: _Numbers
    same: dict[str, str]
    outputs: list[str]
    threads: int = Field(ge=1, le=MAX_THREADS)


def write(file: BinaryIO, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write safetensors: the length of the header (uint64, little-endian), the header (JSON), the tensors' bytes.

    `safetensors.torch.save_file` would first write to a temporary file of its own with a random name, which nobody
    removes after a kill; `safetensors.torch.save` would hold all bytes in memory a second time.
    """
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(content)}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    end = offset + _DIGEST_BYTES
    header[DIGEST] = {"dtype": "U8", "shape": [_DIGEST_BYTES], "data_offsets": [offset, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # aligns the tensors to 8 bytes
    digest = hashlib.sha256()
    blocks: Iterator[bytes | memoryview] = chain((struct.pack("<Q", len(text)), text), map(_bytes_of, tensors.values()))
    for data in blocks:
        digest.update(data)
        file.write(data)
    file.write(digest.digest())


def read_header(path: Path) -> dict[str, Any]:
    """The JSON in the header, not validated.

    Raises:
        SafetensorError, OSError, ValueError, KeyError, RecursionError: not a checkpoint, or a damaged one.
    """
    with safe_open(path, framework="pt") as file:
        header = json.loads((file.metadata() or {})[KEY])
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header


def validate(path: Path, header: dict[str, Any]) -> None:
    """Raise ValueError if the header or any byte of the file is not as it was written; the file is read once."""
    _Header.model_validate(header)
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    with open(path, "rb") as file:
        remaining = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
        while remaining > 0 and (count := file.readinto(buffer[: min(remaining, _BLOCK)])):
            digest.update(buffer[:count])
            remaining -= count
        if file.read() != digest.digest():
            raise ValueError("its SHA-256 is wrong")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors without the digest, copied: those of safetensors are views into the memory-mapped file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys() if name != DIGEST}  # noqa: SIM118


def _bytes_of(tensor: Tensor) -> memoryview:
    data: memoryview = tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data
    return data
