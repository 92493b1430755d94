"""The data folder of a server: one server at a time."""

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from impasto.errors import OutputError, printable


def locked(root: Path) -> FileLock:
    """The lock of a data folder, which is created.

    Raises:
        OutputError: another server has it, or it cannot be created.
    """
    lock = FileLock(root / "server.lock", timeout=0.2, thread_local=False)  # it is released by another thread
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.name == "posix":
            with contextlib.suppress(OSError):
                root.chmod(0o700)  # uploads and results are not for other users
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"{printable(root)}: another server uses this data folder; stop it, or choose another folder with --data"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{printable(root)}: cannot be used as data folder ({reason}); choose another one") from error
    return lock
