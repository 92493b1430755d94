"""A timelapse: the painting coming to be, as an animation that any browser shows."""

from pathlib import Path

from PIL import Image

from impasto import files
from impasto.errors import OutputError, SaveError, printable
from impasto.images.picture import Picture
from impasto.images.thumbnail import fit_within, thumbnail
from impasto.optimize.run import Run, Step

FORMATS = {".gif": "GIF", ".webp": "WEBP"}
FRAMES = 60
"""At most so many, the finished picture being the last."""
EDGE = 480
"""Long edge of the frames in pixels, or less."""
FRAME_MS, LAST_MS = 100, 2000
"""Milliseconds that a frame is shown, and the last one."""


def check_suffix(path: Path) -> None:
    """Refuse a timelapse in a format that holds none.

    Raises:
        OutputError: naming the suffixes that work.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix names no animation; end it in {' or '.join(FORMATS)}")


class Timelapse:
    """Frames of a run from where it stands, evenly spread over the steps to come, all of one size, 8 bits a channel."""

    def __init__(self, run: Run) -> None:
        self.begun, self.steps = run.steps_done, run.steps - run.steps_done
        self.size = fit_within(run.width, run.height, EDGE)
        self.frames: list[Image.Image] = []

    def look(self, step: Step) -> None:
        """Keep a frame if it is time; the last step's is the finished picture, which `save` is given."""
        before = step.number - self.begun
        if before + 1 < self.steps and self._due(before + 1) > self._due(before):
            self.frames.append(thumbnail(step.preview(), *self.size))

    def save(self, picture: Picture, path: Path) -> None:
        """Write the frames, and the finished picture as the last, to `path`, whole or not at all.

        Raises:
            SaveError: it could not be encoded or written; nothing is left behind.
        """
        first, *others = (*self.frames, thumbnail(picture, *self.size))
        durations = [FRAME_MS] * len(others) + [LAST_MS]
        try:
            with files.replacing(path) as file:
                first.save(
                    file,
                    FORMATS[path.suffix.lower()],
                    save_all=True,
                    append_images=others,
                    duration=durations,
                    loop=0,
                    quality=85,
                )
        except ValueError as error:  # Pillow's word for an encoder that failed
            raise SaveError(f"{printable(path)}: could not be made ({error}); nothing was saved") from error

    def _due(self, steps: int) -> int:
        """How many frames there are after so many steps."""
        return -(-steps * (FRAMES - 1) // self.steps) if self.steps > FRAMES else steps
