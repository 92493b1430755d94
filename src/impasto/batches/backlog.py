"""The jobs of a batch that wait, as an executor takes them; with a watched folder, jobs are added while it runs."""

import collections
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from impasto.batches.inputs import images_in
from impasto.batches.plan import Plan, Planned
from impasto.errors import PictureError, printable
from impasto.jobs.job import Job

SCAN_SECONDS = 0.5
"""Seconds between two scans of a watched folder; a file that did not change between two scans is complete."""

Stamp = tuple[int, int]
"""Size and modification time of a file, which change while it is written."""


class Backlog:
    """The jobs of plans; each is taken once.

    Args:
        is_finished: whether a job was done before, and is not to be taken.
    """

    def __init__(self, plan: Plan, is_finished: Callable[[Planned], bool] = lambda _: False) -> None:
        self._is_finished = is_finished
        self._plans: dict[str, tuple[Plan, Planned]] = {}
        self._waiting: collections.deque[Planned] = collections.deque()
        self.add(plan)

    def add(self, plan: Plan) -> None:
        """Add the jobs of a plan that are not here yet."""
        for planned in plan.jobs:
            if planned.id not in self._plans:
                self._plans[planned.id] = plan, planned
                if not self._is_finished(planned):
                    self._waiting.append(planned)

    def take(self) -> Job | None:
        """The next job; None if none is waiting now."""
        return self.job(self._waiting.popleft()) if self._waiting else None

    @property
    def is_closed(self) -> bool:
        """Whether none is waiting, and none will come."""
        return not self._waiting

    def __len__(self) -> int:
        return len(self._plans)

    def __iter__(self) -> Iterator[Planned]:
        return (planned for _, planned in self._plans.values())

    @property
    def waiting(self) -> int:
        """The number of jobs that wait."""
        return len(self._waiting)

    def planned(self, job_id: str) -> Planned:
        """A job by its id."""
        return self._plans[job_id][1]

    def labels(self, planned: Planned) -> dict[str, str]:
        """See `Plan.labels`."""
        return self._plans[planned.id][0].labels(planned)

    def job(self, planned: Planned) -> Job:
        """See `Plan.job`."""
        return self._plans[planned.id][0].job(planned)

    @property
    def names(self) -> Mapping[str, str]:
        """The names of all results by the ids of their jobs."""
        return {planned.id: planned.name for planned in self}


class WatchedBacklog(Backlog):
    """The same, and the jobs of every image that appears in some folders, until the batch is stopped.

    Args:
        folders: the watched folders.
        plan_for: the plan for new content images, given the names in use.
    """

    def __init__(
        self,
        plan: Plan,
        is_finished: Callable[[Planned], bool],
        folders: list[Path],
        plan_for: Callable[[list[Path], Mapping[str, str]], Plan],
    ) -> None:
        super().__init__(plan, is_finished)
        self._folders, self._plan_for = folders, plan_for
        self._processed: dict[Path, Stamp] = dict(self._stamps())
        self._previous: dict[Path, Stamp] = {}
        self._next_scan = time.monotonic() + SCAN_SECONDS

    def take(self) -> Job | None:
        """The next job; None if none is waiting now."""
        if not self._waiting and time.monotonic() >= self._next_scan:
            self._scan()
        return super().take()

    @property
    def is_closed(self) -> bool:
        """Images may always appear."""
        return False

    def _scan(self) -> None:
        """Add the images that are complete: they have not changed since the previous scan."""
        current = dict(self._stamps())
        new = [
            path for path, stamp in current.items() if self._previous.get(path) == stamp != self._processed.get(path)
        ]
        if new:
            self.add(self._plan_for(new, self.names))
            self._processed |= {path: current[path] for path in new}
        self._previous, self._next_scan = current, time.monotonic() + SCAN_SECONDS

    def _stamps(self) -> Iterator[tuple[Path, Stamp]]:
        """The image files in the folders with their stamps.

        Raises:
            PictureError: a folder no longer exists.
        """
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
