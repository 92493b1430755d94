"""What runs on the nodes of a Ray cluster: a worker, and the messages that wait for the batch."""

import contextlib
import queue
import threading
from dataclasses import asdict
from typing import Any

from impasto.batches.reporter import Reporter
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.version import __version__

POLL_SECONDS = 0.5
"""Seconds for which a poll waits for a message; any other call waits for the end of the poll."""
REPORT_SECONDS = 1.0
"""Seconds between two reports of steps."""


class RayActor:
    """Runs one job at a time, in a thread of its own, so that it answers meanwhile. Methods take and return JSON."""

    def __init__(self, compute: Compute) -> None:
        from impasto.jobs.staging import StagingWorker  # loads torch, which the batch itself does without

        self._worker = StagingWorker(compute)
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._stop = threading.Event()

    def version(self) -> str:
        """The version of impasto on this node."""
        return __version__

    def start(self, job: str, overwrite: bool, memory: int | None) -> None:
        """Start a job."""
        arguments = Job.parse(job), overwrite, memory
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def poll(self) -> list[dict[str, Any]]:
        """What has happened since the last poll: events, then {"result": ...}.

        Raises:
            RuntimeError: the job ended by an error that is no `ImpastoError`: a fault of the program.
        """
        messages = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._messages.get(timeout=POLL_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        if messages and "error" in messages[-1]:
            raise RuntimeError(messages[-1]["error"])
        return messages

    def stop(self) -> None:
        """Ask the job to stop after its current step."""
        self._stop.set()

    def close(self) -> None:
        """Remove temporary files."""
        self._worker.close()

    def _run(self, job: Job, overwrite: bool, memory: int | None) -> None:
        send = self._messages.put
        try:
            report = Reporter(send, job, REPORT_SECONDS)
            result = self._worker.run(job, report, self._stop.is_set, overwrite=overwrite, memory=memory)
        except Exception as error:  # what would end a worker process
            send({"error": f"{type(error).__name__}: {error}"})
        else:
            send({"result": asdict(result)})
