"""Downloading a file of known size and hash: from the first mirror that has it, whole or not at all."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock

from impasto.errors import DownloadError, MissingError, SaveError, printable
from impasto.files import replacing

OnProgress = Callable[[int, int], None]
"""Called with (bytes received, bytes in all)."""

_BLOCK, _TIMEOUT = 2**20, 30.0  # bytes; seconds without a byte


def fetch(mirrors: Sequence[str], path: Path, *, size: int, md5: str, on_progress: OnProgress | None = None) -> None:
    """Download a file to `path` from the first of `mirrors` that has it.

    The file gets its name once it has `size` bytes and the hash `md5`; until then it is a `.part` beside it, which is
    removed on failure. An interrupted download starts over: pooch cannot resume one.

    Raises:
        DownloadError: no mirror has the file; one line with each mirror's reason.
        MissingError: pooch is not installed.
        SaveError: the file could not be written.
    """
    failures: list[str] = []
    for url in mirrors:
        try:
            _fetch_from(url, path, size, md5, on_progress)
            return
        except DownloadError as error:  # noqa: PERF203
            failures.append(f"{urlsplit(url).hostname}: {error}")
        except _CallbackError as error:
            raise error.original from None
    raise DownloadError("; ".join(failures))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, a `.lock` file beside it; wait while another process holds it.

    Raises:
        SaveError: the folder does not exist and cannot be created, or cannot be written.
    """
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise SaveError(
            f"{printable(path)}: could not be written ({reason}); set XDG_CACHE_HOME to a writable folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


class _CallbackError(Exception):
    """Carries an exception of the caller's callback past the handlers of file and network errors."""

    def __init__(self, original: BaseException) -> None:
        super().__init__()
        self.original = original


class _CheckedFile:
    """A file being downloaded: counts and hashes what is written, and reports progress."""

    def __init__(self, file: BinaryIO, size: int, on_progress: OnProgress | None) -> None:
        self.file, self.size, self.on_progress = file, size, on_progress
        self.received, self.hash = 0, hashlib.md5(usedforsecurity=False)

    def write(self, block: bytes) -> None:
        self.received += len(block)
        if self.received > self.size:  # stop here: an endless stream would fill the disk
            raise DownloadError(f"sent more than {self.size:,} bytes: another file")
        self.hash.update(block)
        self.file.write(block)
        if self.on_progress is not None:
            try:
                self.on_progress(self.received, self.size)
            except Exception as error:
                raise _CallbackError(error) from error

    def flush(self) -> None:
        self.file.flush()


def _fetch_from(url: str, path: Path, size: int, md5: str, on_progress: OnProgress | None) -> None:
    # Only one process downloads at a time (`locked`), so that the temporary file can have a fixed name: killed
    # processes leave no more than one.
    with replacing(path, temporary=path.with_name(path.name + ".part")) as file:
        checked = _CheckedFile(file, size, on_progress)
        _transfer(url, checked)
        if checked.received < size:
            raise DownloadError(f"sent {checked.received:,} of {size:,} bytes")
        if checked.hash.hexdigest() != md5:
            raise DownloadError("sent another file: its MD5 is wrong")


def _transfer(url: str, file: _CheckedFile) -> None:
    try:
        from pooch import HTTPDownloader
        from requests import RequestException
    except ImportError as error:
        raise MissingError(
            "the download needs pooch, which is not installed; `pip install 'impasto[download]'`"
        ) from error
    headers = {"User-Agent": "impasto", "Accept-Encoding": "identity"}  # compressed, the file has another length
    with contextlib.ExitStack() as connections:
        # pooch leaves connections open after an error; the hook closes them.
        hooks = {"response": lambda response, **_: connections.enter_context(response)}
        download = HTTPDownloader(chunk_size=_BLOCK, timeout=_TIMEOUT, headers=headers, hooks=hooks)
        try:
            download(url, file, None)
        except RequestException as error:
            response = error.response
            reason = str(error) if response is None else f"answered {response.status_code} {response.reason}"
            raise DownloadError(printable(reason)) from error
