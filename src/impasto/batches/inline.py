"""The executor that runs jobs in this process, one after the other."""

from collections.abc import Generator

from impasto.batches.executor import Queue, ShouldStop
from impasto.events import JobBegan, OnEvent
from impasto.jobs.result import JobResult
from impasto.jobs.worker import Worker


class InlineExecutor:
    """Runs jobs in this process. Their images may be in memory, and all events of their runs are reported.

    Args:
        worker: executes the jobs.
        overwrite: existing files that are not the results of their jobs are replaced.
    """

    workers = 1

    def __init__(self, worker: Worker, *, overwrite: bool = False) -> None:
        self._worker, self._overwrite = worker, overwrite

    def run(self, jobs: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        """See `Executor.run`."""
        while not should_stop() and (job := jobs.take()) is not None:
            on_event(JobBegan(job.id, job.outputs.result))
            yield self._worker.run(job, on_event, should_stop, overwrite=self._overwrite)
