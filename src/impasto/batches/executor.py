"""What an executor is: it takes jobs from a queue, runs them somewhere, and returns their results as they end."""

from collections.abc import Callable, Generator
from typing import Protocol

from impasto.events import OnEvent
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult

MAX_ATTEMPTS = 3
"""Times that a job is started if its worker ends during it, killed or for lack of memory; the last time it gets half
of the memory."""

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

        A job whose worker is killed is started again, from its last checkpoint, `MAX_ATTEMPTS` times in all.
        """


def lost(job: Job, reason: str) -> JobResult:
    """The result of a job that was started `MAX_ATTEMPTS` times in vain."""
    return JobResult(
        job.id,
        job.outputs.result,
        "failed",
        message=f"its worker ended {MAX_ATTEMPTS} times ({reason}); try a smaller --size, or fewer --workers",
    )
