"""Files of tensors: safetensors with JSON in the header and, as the last tensor, the SHA-256 of all other bytes.

A file that is read back is untrusted input.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from impasto.input_files import check_regular

KEY = "impasto"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.uint8: "U8"}
DIGEST = "sha256"
"""Name of the last tensor, (32,) uint8: the last 32 bytes of the file are the SHA-256 of all bytes before them."""

_DIGEST_BYTES, _BLOCK = 32, 2**20


def write(file: BinaryIO, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> None:
    """Write safetensors: the length of the header (uint64, little-endian), the header (JSON), the tensors' bytes.

    `safetensors.torch.save_file` would first write to a temporary file of its own with a random name, which nobody
    removes after a kill; `safetensors.torch.save` would hold all bytes in memory a second time.

    Args:
        content: JSON for the header.
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


def read_content(source: Path | bytes) -> dict[str, Any]:
    """The JSON in the header of a file, or of its contents, not validated.

    Raises:
        SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError: another file, or a damaged one.
    """
    content = json.loads(_metadata(source)[KEY])
    if not isinstance(content, dict):
        raise ValueError("its header holds no JSON object")
    return content


def _metadata(source: Path | bytes) -> dict[str, str]:
    if isinstance(source, bytes):
        (length,) = struct.unpack_from("<Q", source.ljust(8, b"\0"))
        found: dict[str, str] = json.loads(source[8 : 8 + length])["__metadata__"]
        return found
    check_regular(source)
    with safe_open(source, framework="pt") as file:
        return file.metadata() or {}


def read_tensors(source: Path | bytes) -> dict[str, Tensor]:
    """The tensors without the digest, copied: those of safetensors are views into the memory-mapped file."""
    if isinstance(source, bytes):
        return {name: tensor.clone() for name, tensor in safetensors.torch.load(source).items() if name != DIGEST}
    with safe_open(source, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys() if name != DIGEST}  # noqa: SIM118


def check_digest(file: BinaryIO) -> None:
    """Raise ValueError if any byte of the file was changed; reads it block by block."""
    remaining = file.seek(0, os.SEEK_END) - _DIGEST_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while remaining > 0 and (block := file.read(min(remaining, _BLOCK))):
        digest.update(block)
        remaining -= len(block)
    if file.read() != digest.digest():
        raise ValueError("its SHA-256 is wrong")


def _bytes_of(tensor: Tensor) -> memoryview:
    data: memoryview = tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().data
    return data
