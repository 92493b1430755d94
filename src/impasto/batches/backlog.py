"""The jobs of a batch that wait, as an executor takes them; with a watched folder, jobs are added while it runs."""

import collections
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from impasto.batches.plan import Plan, PlannedJob
from impasto.batches.watch import SCAN_SECONDS, WatchedFolders
from impasto.jobs.job import Job


class Backlog:
    """The jobs of plans; each is taken once.

    Args:
        is_finished: whether a job was done before, and is not to be taken.
    """

    def __init__(self, plan: Plan, is_finished: Callable[[PlannedJob], bool] = lambda _: False) -> None:
        self._is_finished = is_finished
        self._plans: dict[str, tuple[Plan, PlannedJob]] = {}
        self._waiting: collections.deque[PlannedJob] = collections.deque()
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

    def __iter__(self) -> Iterator[PlannedJob]:
        return (planned for _, planned in self._plans.values())

    @property
    def waiting(self) -> int:
        """The number of jobs that wait."""
        return len(self._waiting)

    def planned(self, job_id: str) -> PlannedJob:
        """A job by its id."""
        return self._plans[job_id][1]

    def labels(self, planned: PlannedJob) -> dict[str, str]:
        """See `Plan.labels`."""
        return self._plans[planned.id][0].labels(planned)

    def job(self, planned: PlannedJob) -> Job:
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
        is_finished: Callable[[PlannedJob], bool],
        folders: list[Path],
        plan_for: Callable[[list[Path], Mapping[str, str]], Plan],
    ) -> None:
        super().__init__(plan, is_finished)
        self._watched, self._plan_for = WatchedFolders(folders), plan_for
        self._watched.skip_present()
        self._next_scan = time.monotonic() + SCAN_SECONDS

    def take(self) -> Job | None:
        """The next job; None if none is waiting now."""
        if not self._waiting and time.monotonic() >= self._next_scan:
            if new := self._watched.scan():
                self.add(self._plan_for(new, self.names))
            self._next_scan = time.monotonic() + SCAN_SECONDS
        return super().take()

    @property
    def is_closed(self) -> bool:
        """Images may always appear."""
        return False
