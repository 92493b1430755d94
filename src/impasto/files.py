"""Files that exist whole or not at all."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from impasto.errors import OutputError, SaveError, printable


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work is done, a `path` that `replacing` could not write.

    Raises:
        OutputError: a missing or read-only folder, a directory or device in the place, an existing file
            without `overwrite`, or one of the `inputs`.
    """
    if "\0" in os.fspath(path):
        raise OutputError(f"{printable(path)}: a file name cannot hold a NUL character; choose another name")
    if len(os.fsencode(path.name)) > 255:
        raise OutputError(f"{printable(path.name[:40])}...: a file name has at most 255 bytes; choose a shorter one")
    folder = Path(os.path.realpath(path)).parent  # a link is written where it points to
    if not os.path.isdir(path.parent) or not os.path.isdir(folder):
        missing = path.parent if not os.path.isdir(path.parent) else folder
        state = "is a file" if os.path.isfile(missing) else "does not exist"
        raise OutputError(f"{printable(path)}: the folder {printable(missing)} {state}; create it, or choose another")
    if os.path.isdir(path):
        raise OutputError(f"{printable(path)}: is a folder; give the name of a file in it")
    if any(_same(path, other) for other in inputs):
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
    """A binary file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Written beside `path`, flushed to the disk, then renamed: a reader sees the old file or the new one, whole. What it
    is called until then is made up, or `temporary`, which nobody else may be writing.

    Raises:
        SaveError: the disk is full, or the folder can no longer be written.
    """
    path = Path(os.path.realpath(path))  # a link stays a link: the file that it names is replaced
    begun: str | Path | None = None
    try:
        if temporary is None:
            handle, begun = tempfile.mkstemp(prefix=".impasto-", suffix=path.suffix, dir=path.parent)
        else:
            begun = path.parent / temporary.name
            handle = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(begun, _mode(path))
        os.replace(begun, path)
    except OSError as error:
        raise SaveError(
            f"{printable(path)}: could not be written ({error.strerror or error}); nothing was saved"
        ) from error
    finally:
        if begun is not None:
            with contextlib.suppress(OSError):
                os.unlink(begun)


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # a name that no file can have
        return False


def _mode(path: Path) -> int:
    """The permissions of the file at `path`, or those that a new file gets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
