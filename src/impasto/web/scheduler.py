"""The scheduler: takes waiting jobs from the table, lets the workers run them, and records what becomes of them."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from impasto.batches.local import LocalExecutor
from impasto.errors import ImpastoError
from impasto.events import Event, JobBegan, JobProgressed, Noted
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult
from impasto.web.feed import Feed
from impasto.web.files import Files
from impasto.web.jobs import Jobs
from impasto.web.problems import FullError, RequestError
from impasto.web.spec import Request, State, outputs_in
from impasto.web.stored_job import StoredJob
from impasto.web.workspace import Workspace

RECORD_SECONDS = 2.0
"""Seconds between two records of the progress in the database."""
STEP_SECONDS = 0.5
"""Seconds between two events with the steps of a job, at least; its last step is in the event of its end."""
RETRY_SECONDS = 1.0
"""Seconds after which the end of a job is recorded again, if the disk was full."""

log = logging.getLogger("impasto.web")


class Scheduler:
    """Runs the jobs of the table in a thread; it is the queue from which `LocalExecutor` takes them."""

    is_closed = False  # more jobs may always come

    def __init__(self, jobs: Jobs, files: Files, workspace: Workspace, feed: Feed, executor: LocalExecutor) -> None:
        self._jobs, self._files, self._workspace, self._feed, self._executor = jobs, files, workspace, feed, executor
        self._stopping, self._progress, self._recorded = threading.Event(), dict[int, dict[str, Any]](), 0.0
        self._published = dict[int, float]()
        self._thread = threading.Thread(target=self._run, name="scheduler")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the running jobs after their step; they wait, and are resumed at the next start."""
        self._stopping.set()
        self._thread.join()

    def ask(self, number: int, request: Request) -> StoredJob:
        """Ask for a pause, a stop or the end of a job; raises as `Jobs.ask`."""
        job = self._jobs.ask(number, request)
        if job.state == "running":
            self._executor.stop(str(self._workspace.result(number)))
        elif job.state == "canceled":
            self._workspace.discard_images(number)
        return job

    def progress(self, job: StoredJob) -> dict[str, Any]:
        """The latest progress of a job."""
        return self._progress.get(job.number, job.progress)

    def take(self) -> Job | None:
        """The next job for the executor."""
        while not self._stopping.is_set():
            try:
                if (stored := self._jobs.take()) is None:
                    return None
            except FullError as error:
                log.error("no job is started: %s", error)
                time.sleep(RETRY_SECONDS)
                return None
            try:
                return self.job(stored)
            except ImpastoError as error:  # such as a file that is gone
                self._end(stored.number, "failed", str(error))
        return None

    def job(self, stored: StoredJob) -> Job:
        """The job as the executor runs it.

        Raises:
            RequestError: one of its files is gone.
        """
        outputs = outputs_in(self._workspace.folder(stored.number), stored.number, timelapse=stored.spec.timelapse)
        parent = None
        with contextlib.suppress(RequestError):
            parent = None if stored.parent is None else self.job(self._jobs.get(stored.parent)).id
        return stored.spec.to_job(self._files.path, lambda digest: self._files.get(digest).name, outputs, parent)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._faults_logged():
                self._jobs.recover()  # after a crash, or a fault
                for result in self._executor.run(self, self._report, self._stopping.is_set):
                    self._finish(result)

    @contextlib.contextmanager
    def _faults_logged(self) -> Iterator[None]:
        """Log an unexpected error; the scheduler then starts again."""
        try:
            yield
        except Exception:
            log.exception("the scheduler starts again")
            self._stopping.wait(RETRY_SECONDS)

    def _finish(self, result: JobResult) -> None:
        number = self._workspace.number(result.output)
        if result.steps:
            latest = self.progress(self._jobs.get(number))
            self._progress[number] = {**latest, "step": result.steps, "steps": latest.get("steps", result.steps)}
        if result.state != "stopped":
            self._end(
                number, "done" if result.state == "done" else "failed", self._workspace.without_folder(result.message)
            )
            return
        states: dict[str | None, State] = {"pause": "paused", "stop": "stopped", "cancel": "canceled", None: "waiting"}
        state = states[self._jobs.get(number).request]
        if state == "canceled":
            self._workspace.discard_images(number)
        self._end(number, state)

    def _end(self, number: int, state: State, message: str = "") -> None:
        """Record the end of a job, as soon as the disk has space for it."""
        while not self._is_recorded(number, state, message) and not self._stopping.wait(RETRY_SECONDS):
            pass  # if the server is stopped, the job still runs in the table: it is resumed, and ends once more

    def _is_recorded(self, number: int, state: State, message: str) -> bool:
        try:
            if (progress := self._progress.get(number)) is not None:
                self._jobs.record(number, progress)
            self._jobs.end(number, state, message)
        except FullError as error:
            log.error("job %d is %s: %s", number, state, error)
            return False
        self._progress.pop(number, None)
        self._published.pop(number, None)
        return True

    def _report(self, event: Event) -> None:
        """Handle an event of a worker."""
        match event:
            case JobBegan(output=output):
                number = self._workspace.number(output)
                # what was asked for before the worker had the job
                if self._jobs.get(number).request is not None:
                    self._executor.stop(output)
            case JobProgressed():
                self._follow(event)
            case Noted(message) if ": " in message:
                name, _, text = message.partition(": ")
                with contextlib.suppress(RequestError, ValueError):
                    self._jobs.note(int(name.removesuffix(".png")), self._workspace.without_folder(text))

    def _follow(self, event: JobProgressed) -> None:
        number = self._workspace.number(event.output)
        progress = event.as_dict()
        for name in ("event", "id", "output"):
            del progress[name]
        self._progress[number], now = progress, time.monotonic()
        if now - self._published.get(number, -math.inf) >= STEP_SECONDS:
            self._published[number], preview = now, self._workspace.preview_version(number)
            self._feed.publish("step", {"number": number, **progress, "preview": preview})
        if now - self._recorded > RECORD_SECONDS:
            self._recorded = now
            for each, latest in self._progress.items():
                with contextlib.suppress(FullError):  # the next one comes in seconds
                    self._jobs.record(each, latest)
