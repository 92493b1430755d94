"""Atomic file output: a file exists completely or not at all."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from impasto.errors import OutputError, SaveError, printable


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Validate, before any work is done, that `replacing` will be able to write `path`.

    Raises:
        OutputError: a missing or read-only folder, a folder or device of that name, an existing file without
            `overwrite`, or one of the `inputs`.
    """
    if "\0" in os.fspath(path):
        raise OutputError(f"{printable(path)}: a file name cannot hold a NUL character; choose another name")
    if len(os.fsencode(path.name)) > 255:
        raise OutputError(f"{printable(path.name[:40])}...: a file name has at most 255 bytes; choose a shorter one")
    folder = Path(os.path.realpath(path)).parent  # a symbolic link is written where it points to
    if not os.path.isdir(path.parent) or not os.path.isdir(folder):
        missing = path.parent if not os.path.isdir(path.parent) else folder
        state = "is a file" if os.path.isfile(missing) else "does not exist"
        raise OutputError(f"{printable(path)}: the folder {printable(missing)} {state}; create it, or choose another")
    if os.path.isdir(path):
        raise OutputError(f"{printable(path)}: is a folder; give the name of a file in it")
    if any(_is_same_file(path, other) for other in inputs):
        raise OutputError(f"{printable(path)}: is also an input; choose another name so that nothing is lost")
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"{printable(path)}: is not a regular file; choose another name")
        if not overwrite:
            raise OutputError(
                f"{printable(path)}: exists already; choose another name or allow overwriting (--overwrite)"
            )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{printable(path)}: the folder {printable(path.parent)} is read-only; choose another place")


@contextlib.contextmanager
def replacing(path: Path, *, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block succeeds, and is deleted when it raises.

    It is written in the same folder, flushed to disk (fsync) and renamed, which is atomic: readers see the old file or
    the new one. Until then it has a random name, or that of `temporary`, which no other process may be writing.

    Raises:
        SaveError: the disk is full, or the folder is no longer writable.
    """
    path = Path(os.path.realpath(path))  # a symbolic link stays: its target is replaced
    partial: str | Path | None = None
    try:
        if temporary is None:
            handle, partial = tempfile.mkstemp(prefix=".impasto-", suffix=path.suffix, dir=path.parent)
        else:
            partial = path.parent / temporary.name
            handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # file systems without permissions (SMB, S3 mounts) refuse it
            os.chmod(partial, _mode(path))
        os.replace(partial, path)
    except OSError as error:
        raise SaveError(
            f"{printable(path)}: could not be written ({error.strerror or error}); nothing was saved"
        ) from error
    finally:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # a missing file, or a name that no file can have
        return False


def _mode(path: Path) -> int:
    """The permission bits of the file at `path`, or those that a new file gets: 0o666 without the umask."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    umask = os.umask(0)  # it can only be read by setting it
    os.umask(umask)
    return 0o666 & ~umask
