"""A timelapse: the images of a run over its steps, as an animated GIF or WebP."""

from pathlib import Path

from PIL import Image

from impasto import files
from impasto.errors import OutputError, SaveError, printable
from impasto.images.picture import Picture
from impasto.images.thumbnail import fit_within, thumbnail
from impasto.optimize.run import Run

FORMATS = {".gif": "GIF", ".webp": "WEBP"}
MAX_FRAMES = 60
"""Maximum number of frames, including the result as the last one."""
MAX_EDGE = 480
"""Maximum long edge of the frames in pixels."""
FRAME_MS, LAST_FRAME_MS = 100, 2000
"""Duration of a frame, and of the last one, in milliseconds."""


def check_suffix(path: Path) -> None:
    """Refuse a suffix that does not name an animation format.

    Raises:
        OutputError: naming the suffixes that work.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix is not an animation format; use {' or '.join(FORMATS)}")


class Timelapse:
    """Collects frames of a run, evenly spread over the remaining steps, all of one size, 8 bits per channel."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._first_step, self._steps = run.steps_done, run.steps - run.steps_done
        self._size = fit_within(run.width, run.height, MAX_EDGE)
        self._frames: list[Image.Image] = []

    def add_frame_if_due(self) -> None:
        """Add the present image after a step, if a frame is due; the last frame is the result, see `save`."""
        steps = self._run.steps_done - self._first_step
        if steps < self._steps and self._frames_after(steps) > self._frames_after(steps - 1):
            self._frames.append(thumbnail(self._run.picture, *self._size))

    def save(self, result: Picture, path: Path, *, overwrite: bool = True) -> None:
        """Write the frames, and the result as the last one, to `path`, completely or not at all.

        Raises:
            OutputError: there is a file of that name, and `overwrite` is false.
            SaveError: it could not be encoded or written.
        """
        first, *others = (*self._frames, thumbnail(result, *self._size))
        durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
        try:
            with files.replacing(path, overwrite=overwrite) as file:
                first.save(
                    file,
                    FORMATS[path.suffix.lower()],
                    save_all=True,
                    append_images=others,
                    duration=durations,
                    loop=0,
                    quality=85,
                )
        except ValueError as error:  # raised by Pillow if the encoder fails
            raise SaveError(f"{printable(path)}: could not be encoded ({error}); nothing was saved") from error

    def _frames_after(self, steps: int) -> int:
        """Frames due after this many steps: one per step, in a long run ceil(steps * (MAX_FRAMES - 1) / all steps)."""
        return -(-steps * (MAX_FRAMES - 1) // self._steps) if self._steps > MAX_FRAMES else steps
