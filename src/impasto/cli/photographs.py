"""Photographs that are painted one after the other: files, a pipe, a folder, and what appears in it."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto import files
from impasto.cli.display import Display
from impasto.errors import BatchError, ImpastoError, OutputError, PictureError, UsageError, printable
from impasto.events import Noted, Saved

if TYPE_CHECKING:
    from impasto.images.picture import Picture

PIPE = Path("-")
"""Standard input as a photograph, standard output as a result."""
READABLE = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"}
POLL = 0.5
"""Seconds between two looks at a folder: a file that did not change from one to the next is whole."""

Paint = Callable[[Path], "Picture"]
Stamp = tuple[int, int]
"""What changes while a file is written: its bytes, and the time of the last change."""


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, by their suffixes, those beginning with a dot left out."""
    paths = (folder / name for name in sorted(os.listdir(folder)) if not name.startswith("."))
    return [path for path in paths if path.suffix.lower() in READABLE and path.is_file()]


def piped() -> "Picture":
    """The image on standard input."""
    from impasto.images.picture import load_bytes

    if sys.stdin is None:
        raise PictureError("standard input: is closed; send an image, or give the name of a file")
    return load_bytes(sys.stdin.buffer.read(), name="standard input")


def _write(picture: "Picture") -> None:
    """Write the image to standard output as a PNG; nothing is written if it cannot be encoded."""
    encoded = io.BytesIO()
    picture.write(encoded)
    sys.stdout.buffer.write(encoded.getbuffer())


def _target(photo: Path, folder: Path) -> Path:
    """Where a photograph's painting goes: under its own name, as a PNG where that is of a kind that is not written."""
    from impasto.images.formats import FORMATS

    return folder / (photo.name if photo.suffix.lower() in FORMATS else f"{photo.stem}.png")


def check(output: Path, overwrite: bool, inputs: Sequence[Path], depth: int) -> None:
    """Refuse, before any work is done, a place where the picture could not be saved."""
    from impasto.images.formats import check_suffix

    files.check_output(output, overwrite=overwrite, inputs=inputs)
    check_suffix(output, depth)


@dataclass(frozen=True)
class Photographs:
    """What is to be done with photographs, until a signal is received."""

    output: Path
    inputs: Sequence[Path]
    overwrite: bool
    depth: int
    paint: Paint
    show: Display
    received: list[int]

    def save(self, photo: Path, output: Path) -> None:
        """Paint one."""
        picture = self.paint(photo)
        if output == PIPE:
            _write(picture)
        else:
            picture.save(output)
            self.show(Saved(printable(output)))

    def paint_all(self, photos: Sequence[Path]) -> None:
        """Paint all of them into the folder.

        Raises:
            OutputError: before any is painted, if one could not be saved.
            BatchError: in the end, if some failed.
        """
        targets = [_target(photo, self.output) for photo in photos]
        for place, target in enumerate(targets):
            if target in targets[:place]:
                raise OutputError(f"{printable(target)}: two photographs would be painted there; rename one of them")
            check(target, self.overwrite, self.inputs, self.depth)
        failures = []
        for photo, target in zip(photos, targets, strict=True):
            if self.received:
                return
            try:
                self.save(photo, target)
            except ImpastoError as error:
                self.show(Noted(f"failed: {error}"))
                failures.append(error)
        if failures:
            raise BatchError(f"{len(failures)} of {len(photos)} photographs failed, such as {failures[0]}")

    def watch(self, folder: Path) -> None:
        """Paint every picture in `folder`, now and whenever one appears or changes."""
        if os.path.samefile(folder, self.output):
            raise OutputError(f"{printable(self.output)}: is the folder that is watched; give another one")
        self.show(Noted(f"watching {printable(folder)}; Ctrl-C ends it"))
        before: dict[Path, Stamp] = {}
        seen: dict[Path, Stamp] = {}
        ours: set[Path] = set()
        while not self.received:
            now = dict(_stamps(folder))
            for photo, stamp in now.items():
                # if it has changed since the last look, it is still being written
                if not self.received and before.get(photo) == stamp != seen.get(photo):
                    self._paint_what_appeared(photo, ours)
                    seen[photo] = stamp
            before = now
            _wait(self.received)

    def _paint_what_appeared(self, photo: Path, ours: set[Path]) -> None:
        """Paint one, over what is there only if that is among what was painted before."""
        target = _target(photo, self.output)
        try:
            check(target, self.overwrite or target in ours, [photo, *self.inputs], self.depth)
            self.save(photo, target)
            ours.add(target)
        except UsageError as error:
            self.show(Noted(f"left alone: {error}"))


def _stamps(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    """The pictures in a folder.

    Raises:
        PictureError: the folder is not there any more.
    """
    try:
        paths = pictures_in(folder)
    except OSError as error:
        raise PictureError(f"{printable(folder)}: can no longer be read ({error.strerror}); watch another") from error
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # gone in between
            status = path.stat()
            yield path, (status.st_size, status.st_mtime_ns)


def _wait(received: list[int]) -> None:
    """Until it is time for the next look, or a signal has come."""
    end = time.monotonic() + POLL
    while not received and time.monotonic() < end:
        time.sleep(0.05)
