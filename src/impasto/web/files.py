"""Uploaded files, stored by the SHA-256 of their bytes."""

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.errors import printable
from impasto.input_files import sha256_of
from impasto.web.database import Database
from impasto.web.problems import FullError, TooLargeError, UnknownError

MAX_BYTES = 2**28
"""Bytes of an upload."""
MAX_NAME = 200
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """An uploaded image.

    Attributes:
        id: the SHA-256 of its bytes, hexadecimal.
        name: as the client calls it; used for display and in recipes only.
        facts: width, height, has_alpha, recipe, notes: as the image process has found them.
    """

    id: str
    name: str
    bytes: int
    facts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The file as clients get it."""
        return {"id": self.id, "name": self.name, "bytes": self.bytes, **self.facts}


class Files:
    """The uploaded files of a server, in one folder.

    Args:
        inspect: the facts of an image, or raises an error if it is not usable.
    """

    def __init__(self, database: Database, folder: Path, inspect: Callable[[Path, str], dict[str, Any]]) -> None:
        self._database, self._folder, self._inspect = database, folder, inspect
        folder.mkdir(exist_ok=True)
        for partial in folder.glob(".upload-*"):  # of a server that was killed
            partial.unlink()

    async def receive(self, chunks: AsyncIterator[bytes], name: str) -> tuple[Path, str]:
        """Write an upload to a temporary file; returns it, and the SHA-256 of its bytes.

        Raises:
            TooLargeError: it has more than MAX_BYTES.
            FullError: the disk is full.
        """
        partial, digest, size = self._folder / f".upload-{secrets.token_hex(8)}", hashlib.sha256(), 0
        try:
            with partial.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise TooLargeError(f"{shown(name)}: is larger than {MAX_BYTES >> 20} MB; give a smaller file")
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise FullError(
                    f"{shown(name)}: could not be stored ({error.strerror}); free space on the disk"
                ) from error
            raise
        return partial, digest.hexdigest()

    def copy(self, path: Path) -> tuple[Path, str]:
        """As `receive`, of a file of this machine."""
        partial = self._folder / f".upload-{secrets.token_hex(8)}"
        shutil.copyfile(path, partial)
        return partial, sha256_of(partial)

    def add(self, partial: Path, digest: str, name: str) -> tuple[StoredFile, bool]:
        """Keep a received file if it is a usable image; also returns whether it is new.

        Raises:
            NotAnImageError: it is none.
        """
        try:
            is_new = self._database.row("SELECT 1 FROM files WHERE sha256 = ?", digest) is None
            if is_new or not self.path(digest).exists():
                facts, size = self._inspect(partial, shown(name)), partial.stat().st_size
                os.replace(partial, self._folder / digest)
                self._database.execute(
                    "INSERT OR REPLACE INTO files (sha256, name, bytes, facts, used) VALUES (?, ?, ?, ?, ?)",
                    *(digest, shown(name), size, json.dumps(facts), time.time()),
                )
        finally:
            partial.unlink(missing_ok=True)
        self.touch([digest])
        return self.get(digest), is_new

    def get(self, digest: str) -> StoredFile:
        """A file by its hash.

        Raises:
            UnknownError: there is none.
        """
        row = self._database.row("SELECT * FROM files WHERE sha256 = ?", digest)
        if row is None or not self.path(digest).exists():
            raise UnknownError(f"file {shown(digest)[:80]}: is not known; upload it")
        return StoredFile(row["sha256"], row["name"], row["bytes"], json.loads(row["facts"]))

    def path(self, digest: str) -> Path:
        """The path of a file. Only hashes have one: no other text of a client becomes part of a path."""
        if not _DIGEST.fullmatch(digest):
            raise UnknownError(f"file {shown(digest)[:80]}: is not known; give an id")
        return self._folder / digest

    def touch(self, digests: Iterable[str]) -> None:
        """Note that files are used now."""
        for digest in digests:
            self._database.execute("UPDATE files SET used = ? WHERE sha256 = ?", time.time(), digest)

    def unused(self, needed: set[str], before: float) -> list[str]:
        """Files that no job needs, and that were last used before that time; the oldest first."""
        rows = self._database.rows("SELECT sha256 FROM files WHERE used < ? ORDER BY used", before)
        return [row["sha256"] for row in rows if row["sha256"] not in needed]

    def remove(self, digest: str) -> None:
        """Remove a file."""
        self.path(digest).unlink(missing_ok=True)
        self._database.execute("DELETE FROM files WHERE sha256 = ?", digest)


def shown(name: str) -> str:
    """The name of a client's file without folders and control characters, of limited length."""
    return printable(re.split(r"[/\\]", name)[-1][:MAX_NAME]) or "image"
