"""Atomic file output: a file exists completely or not at all."""

import contextlib
import hashlib
import os
import re
import secrets
import stat
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from impasto.errors import OutputError, SaveError, printable

_NO_WINDOWS_NAME = re.compile(r'(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*[<>:"|?*].*|.*[ .]', re.IGNORECASE)
"""Names of devices, with any suffix; reserved characters, of which : begins a hidden stream; what Windows cuts off."""

_PATIENCE = 1.0
"""Seconds for which Windows is asked again to replace a file: virus scanners and indexers open new files briefly."""


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Validate, before any work is done, that `replacing` will be able to write `path`.

    Raises:
        OutputError: a missing or read-only folder, a folder or device of that name, an existing file without
            `overwrite`, or one of the `inputs`.
    """
    folder = real_path(path).parent  # a symbolic link is written where it points to
    if len(os.fsencode(path.name)) > 255:
        raise OutputError(f"{printable(path.name[:40])}...: a file name has at most 255 bytes; choose a shorter one")
    if sys.platform == "win32" and _NO_WINDOWS_NAME.fullmatch(path.name):
        raise OutputError(f"{printable(path)}: Windows cannot have a file of that name; choose another")
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
            raise _taken(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{printable(path)}: the folder {printable(path.parent)} is read-only; choose another place")


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True, temporary: Path | None = None) -> Iterator[BinaryIO]:
    """A binary file that gets the name `path` when the block succeeds, and is deleted when it raises.

    It is written in the same folder, flushed to disk (fsync) and renamed, which is atomic: readers see the old file or
    the new one. Until then it has a random name, or that of `temporary`, which no other process may be writing.

    Args:
        overwrite: replace an existing file, keeping its permissions.

    Raises:
        OutputError: a file of that name exists by now and may not be overwritten.
        SaveError: the disk is full, or the folder is no longer writable.
    """
    partial: Path | None = None
    try:
        target = real_path(path)  # a symbolic link stays: its target is replaced
        old_mode = _mode(target)
        name = f".impasto-{secrets.token_hex(8)}{path.suffix[:8]}" if temporary is None else temporary.name
        partial = target.with_name(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)  # what a killed process left
        # the kernel applies the umask; Python could only read it by setting it, for all threads
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if old_mode is None else old_mode)
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if old_mode is not None:
            with contextlib.suppress(OSError):  # file systems without permissions (SMB, S3 mounts) refuse it
                os.chmod(partial, old_mode)
        _publish(partial, target, overwrite=overwrite)
    except OSError as error:
        raise SaveError(
            f"{printable(path)}: could not be written ({error.strerror or error}); nothing was saved"
        ) from error
    finally:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)


def _publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give the complete file `partial` the name `target`, and flush the folder to disk.

    Raises:
        OutputError: there is a file of that name, which may not be overwritten.
    """
    if overwrite:
        _replace(partial, target)
    else:
        try:
            os.link(partial, target)  # unlike a renaming it fails if the name is taken
        except OSError as error:
            if os.path.lexists(target):
                raise _taken(target) from error
            os.rename(partial, target)  # a file system without hard links (exFAT, some network shares)
    with contextlib.suppress(OSError):  # the name survives a power failure; Windows cannot open a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _replace(partial: Path, target: Path) -> None:
    deadline = time.monotonic() + (_PATIENCE if sys.platform == "win32" else 0)
    while True:
        try:
            return os.replace(partial, target)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PATIENCE / 20)


def comparable(path: Path) -> str:
    """The real path, equal for names of the same file: on Windows and macOS a.png is A.PNG, also if neither exists."""
    text = os.fspath(real_path(path))
    return unicodedata.normalize("NFC", text).casefold() if sys.platform in ("win32", "darwin") else text


def real_path(path: Path) -> Path:
    """The absolute path without symbolic links.

    Raises:
        OutputError: a NUL character, or a relative path although the working directory was deleted.
    """
    if "\0" in os.fspath(path):
        raise OutputError(f"{printable(path)}: a file name cannot hold a NUL character; choose another name")
    try:
        return Path(os.path.realpath(path))
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{printable(path)}: the working directory is gone ({reason}); give an absolute path"
        ) from error


def beside(path: Path, name: str) -> Path:
    """A file in the folder of `path`, whose own name stands for {} in `name`, or its hash if it is long."""
    own = os.fsencode(path.name)
    # a file name has at most 255 bytes
    return path.parent / name.format(path.name if len(own) < 230 else hashlib.sha256(own).hexdigest())


def _taken(path: Path) -> OutputError:
    return OutputError(f"{printable(path)}: exists already; choose another name or allow overwriting (--overwrite)")


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # a missing file, or a name that no file can have
        return False


def _mode(path: Path) -> int | None:
    """The permission bits of a file; None if it does not exist."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    return None
