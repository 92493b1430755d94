"""What an executor is: it takes jobs from a queue, runs them somewhere, and returns their results as they end."""

import os
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Protocol

from impasto.events import OnEvent
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult
from impasto.storage import is_uri

MAX_ATTEMPTS = 3
"""Times that a job is started if its worker ends during it, killed or for lack of memory, and the job has not come
further than before; the last time it gets half of the memory."""
MAX_STARTS = 5
"""Times that a worker may end before it begins a job."""

ShouldStop = Callable[[], object]


class Queue(Protocol):
    """The jobs that wait."""

    def take(self) -> Job | None:
        """The next job; None if none is waiting now."""

    @property
    def is_closed(self) -> bool:
        """Whether none is waiting, and none will come."""


class Executor(Protocol):
    """Runs jobs in some place. `workers` is the number of jobs that run at a time."""

    workers: int

    def run(self, queue: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        """Run all jobs of the queue until it is closed, or until `should_stop`; the results in the order they end.

        A job whose worker is killed is started again, from its last checkpoint, see `MAX_ATTEMPTS`.
        """


def with_absolute_paths(job: Job) -> Job:
    """The job for a process in another folder, or on another machine that has the same file systems."""
    job = job.with_files(lambda _, file: file.model_copy(update={"path": _absolute(file.path)}))
    return job.model_copy(update={"outputs": job.outputs.with_paths(lambda _, path: _absolute(path))})


def with_absolute_weights(compute: Compute) -> Compute:
    """The same for `Compute`, whose weights may be a file."""
    return replace(compute, weights=_absolute(compute.weights)) if os.path.exists(compute.weights) else compute


def _absolute(path: str) -> str:
    return path if is_uri(path) else os.path.abspath(path)


def lost(job: Job, reason: str, times: int = MAX_ATTEMPTS) -> JobResult:
    """The result of a job that was started several times in vain."""
    return JobResult(
        job.id,
        job.outputs.result,
        "failed",
        message=f"its worker ended {times} times ({reason}); try a smaller --size, or fewer --workers",
    )
