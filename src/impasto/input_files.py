"""Input files other than images: they are regular files, of limited length; some are parts of installed packages."""

import contextlib
import hashlib
import os
import stat
from importlib import metadata
from pathlib import Path

from impasto.errors import WeightsError, printable

_BLOCK = 2**20
_MAX_PINNED = 2**24  # bytes of a file whose hash is known


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


def path_in_package(package: str, path: str) -> Path:
    """The absolute path of a file of an installed package; `path` itself, relative, if the package is not installed.

    From the package's metadata, which neither imports it nor finds any other folder of that name.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        return Path(str(metadata.distribution(package).locate_file(path)))
    return Path(path)


def is_present(path: Path) -> bool:
    """Whether there is a file at a path of `path_in_package`."""
    return path.is_absolute() and path.is_file()


def read_pinned(path: Path, sha256: str, remedy: str) -> bytes:
    """The contents of a file of weights with a known hash.

    Raises:
        WeightsError: it cannot be read, or has another hash; its message ends with `remedy`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PINNED)
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read ({error.strerror or error}); {remedy}") from error
    if (actual := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(f"{printable(path)}: its SHA-256 is {actual}, not {sha256}; {remedy}")
    return data


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal; it is read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
