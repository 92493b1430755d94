"""Input files other than images: they are regular files, of limited length."""

import hashlib
import os
import stat
from pathlib import Path

_BLOCK = 2**20


def check_regular(path: Path, limit: int | None = None) -> None:
    """Refuse what is no regular file: opening a named pipe would wait for a writer.

    Raises:
        OSError: no regular file, or one of more than `limit` bytes.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise OSError("a folder" if stat.S_ISDIR(state.st_mode) else "not a regular file")
    if limit is not None and state.st_size > limit:
        raise OSError(f"{state.st_size} bytes, more than {limit}")


def read_limited(path: Path, limit: int) -> bytes:
    """The contents of a regular file of at most `limit` bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer.
    """
    check_regular(path, limit)
    with path.open("rb") as file:
        return file.read(limit)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal; it is read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
