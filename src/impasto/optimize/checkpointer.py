"""Saves checkpoints of a run or training at intervals."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.events import Noted, OnEvent
from impasto.optimize import checkpoint
from impasto.optimize.checkpoint import Resumable


class Checkpointer:
    """Saves the checkpoints of a run or training while it proceeds.

    A checkpoint that cannot be written does not end the run; the first failure is reported as `Noted`.

    Args:
        run: the run or training.
        path: the checkpoint file.
        seconds: minimum time between two checkpoints.
        overwrite: the first checkpoint may replace an existing file.
        outputs: returns the files that belong to the run, see `checkpoint.save`.
    """

    def __init__(
        self,
        run: Resumable,
        path: Path,
        seconds: float,
        on_event: OnEvent,
        *,
        overwrite: bool = False,
        outputs: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        self._run, self._path, self._seconds, self._on_event = run, path, seconds, on_event
        self._is_own, self._outputs = overwrite, outputs
        self._last, self._has_failed = time.monotonic(), False

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for the next one."""
        return time.monotonic() - self._last >= self._seconds

    def save(self) -> None:
        """Save a checkpoint now."""
        try:
            checkpoint.save(self._run, self._path, overwrite=self._is_own, outputs=self._outputs())
            self._is_own = True
        except ImpastoError as error:
            if not self._has_failed:
                self._on_event(Noted(f"no checkpoint written: {error}; the previous one is kept, the run continues"))
            self._has_failed = True
        self._last = time.monotonic()

    def discard(self) -> None:
        """Remove the checkpoint, unless it is another run's, and what a process killed while writing it left behind."""
        (checkpoint.discard if self._is_own else checkpoint.discard_incomplete)(self._path)
