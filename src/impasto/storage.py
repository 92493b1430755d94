"""Files at URIs such as s3://bucket/key, through fsspec: listed, fetched and uploaded, each file whole.

fsspec takes credentials and servers from the environment, as described by the package of each file system.
"""

import contextlib
import glob
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError, JobError, MissingError, SaveError, printable

Place = Path | str
"""A path, or a URI as text: a `Path` has no "//"."""

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
"""They show an upload when it is complete. Elsewhere a file is uploaded under another name, and renamed."""
_BLOCK = 2**20


def is_uri(path: str) -> bool:
    """Whether it is a URI such as s3://bucket/key rather than a path."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.isalnum()


def place(text: str) -> Place:
    """The place that a text names."""
    return text if is_uri(text) else Path(text)


def name_of(uri: str) -> str:
    """The file name at the end of a URI, so that it can be the name of a local file."""
    name = uri.rpartition("/")[2].replace("\0", "")[-200:]
    return name if name.strip(".") else "file"


def files_at(uri: str) -> list[str]:
    """The files that a URI stands for, sorted: those in a folder or of a pattern, without hidden ones, or itself.

    Raises:
        JobError: the place cannot be read.
    """
    with _errors(uri, "read", JobError):
        system, path = _system(uri)
        if glob.has_magic(path):
            found = system.glob(path)
        elif system.isdir(path):
            found = [entry["name"] for entry in system.ls(path, detail=True) if entry["type"] == "file"]
        else:
            return [uri]
        uris = [str(system.unstrip_protocol(each)) for each in sorted(found)]
    return [each for each in uris if not name_of(each).startswith(".")]


def sha256_of(uri: str) -> str:
    """The SHA-256 of a file, hexadecimal; it is read block by block.

    Raises:
        JobError: it cannot be read.
    """
    digest = hashlib.sha256()
    with _errors(uri, "read", JobError):
        system, path = _system(uri)
        with system.open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def fetch(uri: str, path: Path) -> None:
    """Copy a file to a local path.

    Raises:
        JobError: it cannot be read.
    """
    with _errors(uri, "read", JobError):
        _get(uri, path)


def fetch_if_there(uri: str, path: Path) -> bool:
    """The same, unless there is no such file; whether there is."""
    with _errors(uri, "read", JobError):
        try:
            _get(uri, path)
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return False
    return True


def upload(path: Path, uri: str) -> None:
    """Copy a local file to a URI, where it appears complete or not at all; an existing one is replaced.

    Raises:
        SaveError: it cannot be written.
    """
    with _errors(uri, "written", SaveError):
        system, target = _system(uri)
        if not _OBJECT_STORES.isdisjoint([system.protocol] if isinstance(system.protocol, str) else system.protocol):
            system.put_file(str(path), target)
            return
        folder, _, name = target.rpartition("/")
        system.makedirs(folder, exist_ok=True)
        partial = f"{folder}/.impasto-{secrets.token_hex(8)}-{name[-100:]}"
        try:
            system.put_file(str(path), partial)
            system.mv(partial, target)
        except BaseException:
            with contextlib.suppress(Exception):
                system.rm_file(partial)
            raise


def remove(uri: str) -> None:
    """Remove a file, if it is there.

    Raises:
        SaveError: it cannot be removed.
    """
    with _errors(uri, "removed", SaveError), contextlib.suppress(FileNotFoundError):
        system, path = _system(uri)
        system.rm_file(path)


def _get(uri: str, path: Path) -> None:
    system, source = _system(uri)
    system.get_file(source, str(path))
    if path.is_dir():
        path.rmdir()
        raise IsADirectoryError("a folder")


def _system(uri: str) -> tuple[Any, str]:
    """fsspec's file system, and the path in it."""
    import fsspec

    system, path = fsspec.core.url_to_fs(uri)
    system.invalidate_cache()  # other machines write there, too
    return system, path


@contextlib.contextmanager
def _errors(uri: str, done: str, kind: type[ImpastoError]) -> Iterator[None]:
    """Raise the errors of fsspec, which differ from one file system to the next, as `kind`."""
    where = printable(uri)
    try:
        yield
    except FileNotFoundError as error:
        raise kind(f"{where}: does not exist; check the name") from error
    except ImportError as error:
        raise MissingError(f"{where}: {_reason(error)}; pip install 'impasto[cloud]' brings s3fs") from error
    except Exception as error:
        raise kind(f"{where}: cannot be {done} ({_reason(error)}); check its name and your credentials") from error


def _reason(error: BaseException) -> str:
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return printable((lines or [type(error).__name__])[0][:200]).rstrip(".")
