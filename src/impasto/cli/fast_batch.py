"""Several content images for one network: files, a folder, and a watched folder."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from impasto import files
from impasto.batches.watch import SCAN_SECONDS, WatchedFolders
from impasto.cli.display import Display
from impasto.cli.image_options import check_image_output
from impasto.errors import BatchError, ImpastoError, OutputError, UsageError, printable
from impasto.events import Noted, Saved

if TYPE_CHECKING:
    from impasto.images.picture import Picture

Stylize = Callable[[Path], "Picture"]


def _target(content: Path, folder: Path) -> Path:
    """The output file of a content image: its name, with .png for formats that are only read."""
    from impasto.images.formats import FORMATS

    return folder / (content.name if content.suffix.lower() in FORMATS else f"{content.stem}.png")


@dataclass(frozen=True)
class FastBatch:
    """Content images to stylize, until a signal is received.

    Attributes:
        output: the folder of the results; for a single image, `stylize_one` gets its file.
        inputs: files that must not be overwritten.
        depth: bits per channel, for the validation of output files.
        stylize: stylizes one image.
        show: gets the events.
        received: the signals received so far.
    """

    output: Path
    inputs: Sequence[Path]
    overwrite: bool
    depth: int
    stylize: Stylize
    show: Display
    received: list[int]

    def stylize_one(self, content: Path, output: Path, *, overwrite: bool) -> None:
        """Stylize one image and save it.

        Raises:
            ImpastoError: it could not be read or saved, or another run is writing to `output`.
        """
        from impasto.jobs.claims import claimed
        from impasto.jobs.saving import save_result

        with claimed([output]):
            save_result(self.stylize(content).save, output, overwrite=overwrite)
        self.show(Saved(printable(output)))

    def stylize_all(self, contents: Sequence[Path], notes: Sequence[str] = ()) -> None:
        """Stylize all images into the folder; `notes` are shown first.

        Raises:
            OutputError: before any work, if one could not be saved.
            BatchError: at the end, if some failed.
        """
        targets = [_target(content, self.output) for content in contents]
        names = list(map(files.comparable, targets))
        for index, target in enumerate(targets):
            if names[index] in names[:index]:
                raise OutputError(f"{printable(target)}: is the output of two content images; rename one of them")
            self._check(target, overwrite=self.overwrite, inputs=self.inputs)
        for note in notes:
            self.show(Noted(note))
        failures = []
        for content, target in zip(contents, targets, strict=True):
            if self.received:
                return
            try:
                self.stylize_one(content, target, overwrite=self.overwrite)
            except ImpastoError as error:
                self.show(Noted(f"failed: {error}"))
                failures.append(error)
        if failures:
            raise BatchError(f"{len(failures)} of {len(contents)} images failed, the first: {failures[0]}")

    def watch(self, folder: Path) -> None:
        """Stylize every image in `folder`, now and whenever one appears or changes."""
        if os.path.samefile(folder, self.output):
            raise OutputError(f"{printable(self.output)}: is the watched folder; give another one")
        self.show(Noted(f"watching {printable(folder)}; Ctrl-C ends it"))
        watched = WatchedFolders([folder])
        written: set[Path] = set()
        while not self.received:
            for content in watched.scan():
                if not self.received:
                    self._stylize_watched(content, written)
            wait_for_scan(self.received)

    def _stylize_watched(self, content: Path, written: set[Path]) -> None:
        """Stylize one image; an existing output is only overwritten if this process has written it."""
        target = _target(content, self.output)
        try:
            overwrite = self.overwrite or target in written
            self._check(target, overwrite=overwrite, inputs=[content, *self.inputs])
            self.stylize_one(content, target, overwrite=overwrite)
            written.add(target)
        except UsageError as error:
            self.show(Noted(f"skipped: {error}"))

    def _check(self, target: Path, *, overwrite: bool, inputs: Sequence[Path]) -> None:
        check_image_output(target, overwrite=overwrite, inputs=inputs, depth=self.depth)


def wait_for_scan(received: list[int]) -> None:
    """Wait for the next scan, or until a signal is received."""
    end = time.monotonic() + SCAN_SECONDS
    while not received and time.monotonic() < end:
        time.sleep(0.05)
