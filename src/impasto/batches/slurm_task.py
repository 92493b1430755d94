"""A task of SLURM's array job, and the folder through which it talks to the batch.

Every task has jobs of its own from the beginning, and appends what happens to a file of its own. So no two processes
write to one file, nothing is claimed, and what is left is the jobs without a result in the files.
"""

import collections
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from impasto.batches.executor import MAX_ATTEMPTS, lost
from impasto.batches.reporter import Reporter
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.memory import available_memory

REPORT_SECONDS = 5.0
"""Seconds between two reports of steps: each is a write to the shared file system."""
STOP_SECONDS = 1.0
"""Seconds after which a request to stop is looked for again."""
REQUEUE_PATIENCE = 90.0
"""Seconds for which the end of a step is waited for when the time of the task is up."""

Message = dict[str, Any]


class Spool:
    """The folder: for each task its jobs, and what it has said.

    Args:
        folder: on a file system that all nodes share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: dict[int, int] = collections.defaultdict(int)

    def write_jobs(self, number: int, jobs: Iterable[Job]) -> None:
        """Write the jobs of a task."""
        with (self.folder / f"jobs-{number}.jsonl").open("w", encoding="ascii") as file:
            file.writelines(f"{job.to_json()}\n" for job in jobs)

    def jobs(self, number: int) -> Iterator[Job]:
        """The jobs of a task."""
        with (self.folder / f"jobs-{number}.jsonl").open(encoding="ascii") as file:
            yield from map(Job.parse, file)

    def messages_path(self, number: int) -> Path:
        """The file to which a task appends."""
        return self.folder / f"messages-{number}.jsonl"

    def messages(self, number: int) -> list[Message]:
        """What a task has said since the last call."""
        try:
            with self.messages_path(number).open("rb") as file:
                file.seek(self._offsets[number])
                content = file.read()
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offsets[number] += len(complete)
        return list(_parsed(complete.splitlines()))

    def stop(self) -> None:
        """Ask all tasks to stop after the current step."""
        (self.folder / "stop").touch()

    @property
    def is_stopping(self) -> bool:
        """Whether they were asked to."""
        return (self.folder / "stop").exists()


def _parsed(lines: Iterable[bytes]) -> Iterator[Message]:
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that a killed task did not complete
            yield json.loads(line)


@dataclass(frozen=True)
class ArrayTask:
    """Runs the jobs of a task that have no result yet; submitit calls it, again after a time-out.

    The jobs run in a thread, so that `checkpoint`, which submitit calls in a signal handler, can wait for a step.
    """

    folder: str
    number: int
    compute: Compute
    overwrite: bool

    def __call__(self) -> None:
        """Run the jobs."""
        run = _TaskRun(self)
        _RUNS[:] = [run]
        run.wait()
        if run.error is not None:
            raise run.error

    def checkpoint(self) -> Any:
        """Stop the present job after its step, which leaves a checkpoint; what submitit is to start again."""
        from submitit.helpers import DelayedSubmission

        for run in _RUNS:
            run.pause()
        return DelayedSubmission(self)


_RUNS: list["_TaskRun"] = []
"""That of this process: a task is pickled, and holds no thread."""


class _TaskRun:
    """The run of a task in this process."""

    def __init__(self, task: ArrayTask) -> None:
        self._task, self._spool = task, Spool(Path(task.folder))
        self._is_paused, self._is_stopping, self._looked = False, False, 0.0
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def wait(self, seconds: float = float("inf")) -> None:
        """Wait for the end; signals are handled meanwhile."""
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def pause(self) -> None:
        """Stop after the current step, to be continued."""
        self._is_paused = True
        self.wait(REQUEUE_PATIENCE)

    def _guarded(self) -> None:
        try:
            with _appending(self._spool.messages_path(self._task.number)) as send:
                self._run(send)
        except BaseException as error:  # for the main thread
            self.error = error

    def _run(self, send: Callable[[Message], None]) -> None:
        from impasto.jobs.staging import StagingWorker  # loads torch, which the batch itself does without

        before = self._spool.messages(self._task.number)
        ended = {message["result"]["id"] for message in before if "result" in message}
        attempts = collections.Counter(message["began"] for message in before if "began" in message)
        attempts.subtract(message["paused"] for message in before if "paused" in message)
        worker = StagingWorker(self._task.compute)
        for job in self._spool.jobs(self._task.number):
            if self._should_stop():
                break
            if (identity := job.id) in ended:
                continue
            if attempts[identity] >= MAX_ATTEMPTS:
                send({"result": asdict(lost(job, "see the logs of SLURM"))})
                continue
            send({"began": identity, "output": job.outputs.result, "attempt": attempts[identity] + 1})
            memory = self._half_of_memory() if attempts[identity] == MAX_ATTEMPTS - 1 else None
            report = Reporter(send, job, REPORT_SECONDS)
            result = worker.run(job, report, self._should_stop, overwrite=self._task.overwrite, memory=memory)
            result = replace(result, id=identity)  # unknown if an input cannot be read
            is_paused = result.state == "stopped" and not self._spool.is_stopping
            send({"paused": identity} if is_paused else {"result": asdict(result)})
        worker.close()

    def _half_of_memory(self) -> int | None:
        compute = self._task.compute
        memory = available_memory() if compute.memory is None and compute.device == "cpu" else compute.memory
        return None if memory is None else memory // 2

    def _should_stop(self) -> bool:
        if self._is_paused or self._is_stopping:
            return True
        if time.monotonic() - self._looked >= STOP_SECONDS:  # not after every step: the folder is on the network
            self._looked, self._is_stopping = time.monotonic(), self._spool.is_stopping
        return self._is_stopping


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[Callable[[Message], None]]:
    """A function that appends a message to a file as one line, and flushes it to the disk."""
    with path.open("ab") as file:
        if file.tell():
            file.write(b"\n")  # a killed task may have left a part of a line

        def send(message: Message) -> None:
            file.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

        yield send
