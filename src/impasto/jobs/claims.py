"""Claims on outputs: while a run lasts, no other run can write to the same files."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from impasto import files
from impasto.errors import OutputError, printable

WAIT = 0.1
"""Seconds for which a claim is tried: another run that ends at this moment may be removing its lock file."""


@contextlib.contextmanager
def claimed(paths: Iterable[Path], seconds: float = WAIT) -> Iterator[None]:
    """Claim files for this run while the block lasts.

    A claim is a lock of the operating system on an empty file beside the claimed one, `.NAME.lock`. At the end this
    file is removed. A killed run holds no lock any more; the file that it leaves is removed by the next run. Where no
    lock is possible, as on some network shares, there is no claim: then `files.replacing` still finds at the end that
    a name has been taken.

    Args:
        seconds: for which a claim is tried.

    Raises:
        OutputError: another run has claimed one of the files.
    """
    with contextlib.ExitStack() as stack:
        for target, path in {files.real_path(path): path for path in paths}.items():
            # the folder is not created here, as FileLock would do
            if os.path.isdir(target.parent) and not os.path.isdir(target):
                stack.enter_context(_claimed(target, printable(path), seconds))
        yield


@contextlib.contextmanager
def _claimed(target: Path, where: str, seconds: float) -> Iterator[None]:
    lock = FileLock(files.beside(target, ".{}.lock"), timeout=seconds)
    try:
        lock.acquire()
    except Timeout as error:
        if os.path.lexists(lock.lock_file):
            raise OutputError(
                f"{where}: is being written by another run; choose another name, or wait until it has ended"
            ) from error
    except (OSError, NotImplementedError):
        pass  # a read-only folder, or a file system without locks
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # before the release: afterwards it may be the claim of another run
                os.unlink(lock.lock_file)
            lock.release()
