"""Saving the files of a run: what does not belong to it is not replaced, and the result is never lost."""

import contextlib
import functools
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from impasto.errors import ImpastoError, OutputError, SaveError, printable
from impasto.jobs.outputs import Outputs
from impasto.optimize.checkpoint import Checkpoint

Save = Callable[..., None]
"""`save(path, overwrite=...)` writes a file completely or not at all; it raises OutputError or SaveError."""


class Saver:
    """Saves the outputs of a run, and keeps account of which files belong to it.

    Those are the files that it has written, also before it was interrupted, and those that it may overwrite.

    Args:
        resume_from: the checkpoint from which the run resumes.
    """

    def __init__(self, outputs: Outputs, resume_from: Checkpoint | None) -> None:
        self.outputs = outputs
        self._owned = {path for path in outputs.paths if outputs.may_replace(path, resume_from)}

    def owns(self, path: Path) -> bool:
        """Whether a file of that name belongs to the run."""
        return path in self._owned

    def add(self, path: Path) -> None:
        """Record that the run has written a file."""
        self._owned.add(path)

    def save(self, save: Save, path: Path) -> None:
        """Save a file.

        Raises:
            OutputError: there is a file of that name that does not belong to the run.
            SaveError: it could not be written.
        """
        save(path, overwrite=self.owns(path))
        self.add(path)

    def save_result(self, save: Save) -> None:
        """Save the result; raises as the function `save_result`."""
        self.save(functools.partial(save_result, save), self.outputs.result)

    def owned_when_resumed(self, *, ending: bool) -> list[Path]:
        """The files that belong to the run if it is resumed from its present state.

        Args:
            ending: whether the run ends now, and will save its result and timelapse if their names are free.
        """
        outputs = self.outputs
        soon = (outputs.log, outputs.preview, *((outputs.result, outputs.timelapse) if ending else ()))
        return [path for path in outputs.paths if self.owns(path) or (path in soon and not os.path.lexists(path))]


def save_result(save: Save, path: Path, *, overwrite: bool) -> None:
    """Save the result to `path`; if this fails, under another name, so that the work is not lost.

    That is a free name beside `path` if its own is taken, otherwise a temporary file.

    Raises:
        SaveError: the result is in another file, which the message names, or could not be saved at all.
    """
    try:
        save(path, overwrite=overwrite)
    except (SaveError, OutputError) as error:
        place = _save_elsewhere(save, path, is_taken=not overwrite and os.path.lexists(path))
        if place is None:
            raise
        reason = str(error).removesuffix("; nothing was saved").partition("; choose another name")[0]
        raise SaveError(f"{reason}; the result is in {printable(place)} instead") from error


def _save_elsewhere(save: Save, path: Path, *, is_taken: bool) -> Path | None:
    """The file that the result was saved to; None if that failed, too."""
    if is_taken:
        numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
        free = next(place for place in numbered if not os.path.lexists(place))
        with contextlib.suppress(ImpastoError):
            save(free, overwrite=False)
            return free
    handle, temporary = tempfile.mkstemp(prefix="impasto-", suffix=path.suffix)
    os.close(handle)
    try:
        save(Path(temporary), overwrite=True)
    except ImpastoError:
        os.unlink(temporary)
        return None
    return Path(temporary)
