"""The folders of jobs: their results, checkpoints, logs and previews; and what is derived from images."""

import contextlib
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.web.problems import UnknownError

_PNG_HEADER = struct.Struct(">8s4x4sIIB")


class Workspace:
    """The data folder of a server: `jobs/NUMBER/` and `cache/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._jobs, self._cache = root / "jobs", root / "cache"
        for folder in (self._jobs, self._cache):
            folder.mkdir(exist_ok=True)

    def folder(self, number: int) -> Path:
        """The folder of a job, which exists."""
        folder = self._jobs / str(number)
        folder.mkdir(exist_ok=True)
        return folder

    def result(self, number: int) -> Path:
        """The path of a job's result."""
        return self._jobs / str(number) / f"{number}.png"

    def number(self, output: str) -> int:
        """The number of the job that writes a result."""
        return int(Path(output).stem)

    def existing(self, number: int, name: str) -> Path:
        """A file of a job.

        Raises:
            UnknownError: it does not exist.
        """
        path = self._jobs / str(number) / name
        if not path.is_file():
            raise UnknownError(f"job {number}: has no {path.suffix.removeprefix('.')} of that kind yet; wait for it")
        return path

    def present_image(self, number: int, *, is_running: bool) -> Path:
        """The image that a job has come to: the last preview while it runs, since what it has saved when it was paused
        is older; otherwise what it has saved.

        Raises:
            UnknownError: there is none yet.
        """
        result, preview = self.result(number), self._jobs / str(number) / "preview.jpg"
        saved = [path for path in ((preview, result) if is_running else (result, preview)) if path.is_file()]
        return saved[0] if saved else self.existing(number, preview.name)

    def preview_version(self, number: int) -> int | None:
        """A number that is another one for each preview; None: there is none."""
        try:
            return os.stat(self._jobs / str(number) / "preview.jpg").st_mtime_ns // 1_000_000
        except OSError:
            return None

    def result_facts(self, number: int) -> dict[str, Any] | None:
        """Width, height, bits per channel and bytes of the result; None if there is none."""
        path = self.result(number)
        try:
            with path.open("rb") as file:
                _, _, width, height, depth = _PNG_HEADER.unpack(file.read(_PNG_HEADER.size))
                return {"width": width, "height": height, "depth": depth, "bytes": os.fstat(file.fileno()).st_size}
        except (OSError, struct.error):
            return None

    def losses(self, number: int, points: int) -> dict[str, list[float]]:
        """Steps and losses of a job from its log, thinned out to at most that many, first and last included."""
        try:
            lines = (self._jobs / str(number) / "losses.jsonl").read_bytes().splitlines()
        except OSError:
            lines = []
        count = len(lines)
        chosen = (
            range(count) if count <= points else sorted({round(i * (count - 1) / (points - 1)) for i in range(points)})
        )
        entries = []
        for index in chosen:
            with contextlib.suppress(ValueError):  # a line that is not complete
                entries.append(json.loads(lines[index]))
        names = ("step", "scale", "seconds", "total", "content", "style", "tv", "grain")
        return {name: [entry.get(name, 0) for entry in entries] for name in names}

    def cached(self, source: Path, name: str) -> Path:
        """The path of a file that is derived from `source`; its folder exists."""
        state = source.stat()
        owner = source.parent.name if source.suffix else source.name[:32]
        folder = self._cache / f"{owner}-{state.st_mtime_ns:x}"
        folder.mkdir(exist_ok=True)
        os.utime(folder)  # the time of its last use
        return folder / name

    def discard_images(self, number: int) -> None:
        """Remove the files of a job that was canceled."""
        shutil.rmtree(self._jobs / str(number), ignore_errors=True)

    def numbers(self) -> list[int]:
        """The jobs that have folders."""
        return [int(entry.name) for entry in os.scandir(self._jobs) if entry.name.isdecimal()]

    def without_folder(self, message: str) -> str:
        """A message for clients, which need not know where the data folder is."""
        return message.replace(f"{self.root}{os.sep}", "")

    def trim_cache(self, limit: int) -> None:
        """Remove derived files, those used least recently first, until they take at most `limit` bytes."""
        entries = sorted(os.scandir(self._cache), key=lambda entry: entry.stat().st_mtime)
        sizes = [size_of(Path(entry.path)) for entry in entries]
        excess = sum(sizes) - limit
        for entry, size in zip(entries, sizes, strict=True):
            if excess <= 0:
                return
            shutil.rmtree(entry.path, ignore_errors=True)
            excess -= size


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed at this moment
                yield os.lstat(os.path.join(path, name)).st_size
