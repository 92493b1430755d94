"""Watched folders: the images that appear in them, once they are complete."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from impasto.batches.inputs import images_in
from impasto.errors import PictureError, printable

SCAN_SECONDS = 0.5
"""Seconds between two scans; a file that did not change between two scans is complete."""

Stamp = tuple[int, int]
"""Size and modification time of a file, which change while it is written."""


class WatchedFolders:
    """Folders in which images appear; each image is returned once, and again when it has changed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._previous: dict[Path, Stamp] = {}
        self._returned: dict[Path, Stamp] = {}

    def skip_present(self) -> None:
        """Do not return the images that are there now, unless they change."""
        self._returned = dict(self._stamps())

    def scan(self) -> list[Path]:
        """The new images that have not changed since the previous scan.

        Raises:
            PictureError: a folder no longer exists.
        """
        current = dict(self._stamps())
        new = [path for path, stamp in current.items() if self._previous.get(path) == stamp != self._returned.get(path)]
        self._returned |= {path: current[path] for path in new}
        self._previous = current
        return new

    def _stamps(self) -> Iterator[tuple[Path, Stamp]]:
        for folder in self._folders:
            try:
                paths = images_in(folder)
            except OSError as error:
                raise PictureError(
                    f"{printable(folder)}: can no longer be read ({error.strerror}); watch another"
                ) from error
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # deleted since the folder was listed
                    status = os.stat(path)
                    yield path, (status.st_size, status.st_mtime_ns)
