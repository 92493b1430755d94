"""The executor of one machine: a process per GPU, or some on the CPUs, each with a loaded network."""

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from typing import Any

from impasto.batches.executor import MAX_ATTEMPTS, MAX_STARTS, Queue, ShouldStop, lost
from impasto.errors import SettingError
from impasto.events import Event, JobBegan, JobProgressed, OnEvent, from_dict
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult
from impasto.memory import available_memory

COMMAND = (sys.executable, "-m", "impasto.batches.process")
"""Starts a worker process, which talks JSON Lines, see `batches.process`."""
POLL_SECONDS = 0.2
"""Seconds after which a closed queue and a request to stop are noticed at the latest."""

Message = tuple[int, int, dict[str, Any] | None]
"""The number of a worker, the id of its process, and what that said; None: it has ended."""


class LocalExecutor:
    """Runs jobs in worker processes on this machine.

    A worker that is killed is replaced, and its job is started again. If this process is killed, the workers end.

    Args:
        compute: where and how; its device, threads and memory are divided among the workers.
        workers: by default one per GPU, on a CPU see `cpu_workers`.
        jobs: the number of jobs; no more workers are started.
        overwrite: existing files that are not the results of their jobs are replaced.
        idle_seconds: after which a worker without a job is ended, which frees its memory; None: it stays.
        command: starts a worker process.

    Attributes:
        workers: the number of processes.
        computes: the part of each.
    """

    def __init__(
        self,
        compute: Compute,
        workers: int | None = None,
        *,
        jobs: int | None = None,
        overwrite: bool = False,
        idle_seconds: float | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        if workers is not None and workers < 1:
            raise SettingError(f"--workers: got {workers}; give 1 or more")
        self._overwrite, self._idle_seconds = overwrite, math.inf if idle_seconds is None else idle_seconds
        devices = _devices(compute)
        count = workers or (len(devices) if devices else cpu_workers())
        self.workers = max(1, count if jobs is None else min(count, jobs))
        self.computes = [_share(compute, number, self.workers, devices) for number in range(self.workers)]
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._processes = [_Process(number, command, each, self._messages) for number, each in enumerate(self.computes)]

    def stop(self, result: str) -> None:
        """Ask the worker of the job that writes `result` to stop it after its step; from any thread."""
        for process in self._processes:
            if (job := process.job) is not None and job.outputs.result == result:
                process.stop()

    def run(self, jobs: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        """See `Executor.run`."""
        try:
            yield from self._run(jobs, on_event, should_stop)
        finally:
            for process in self._processes:
                process.close()

    def _run(self, jobs: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        processes, is_stopping = self._processes, False
        while True:
            if should_stop() and not is_stopping:
                is_stopping = True
                for process in processes:
                    process.stop()
            for process in [] if is_stopping else [each for each in processes if each.job is None]:
                if (job := jobs.take()) is None:
                    process.close_if_idle(self._idle_seconds)
                    continue
                process.start(job, overwrite=self._overwrite)
                on_event(JobBegan(job.id, job.outputs.result))
            if all(process.job is None for process in processes) and (is_stopping or jobs.is_closed):
                return
            with contextlib.suppress(queue.Empty):
                number, process_id, message = self._messages.get(timeout=POLL_SECONDS)
                if (result := processes[number].receive(process_id, message, on_event)) is not None:
                    yield result


class _Process:
    """A worker process, and the job that it runs; a new process is started when it ends."""

    def __init__(self, number: int, command: Sequence[str], compute: Compute, messages: "queue.SimpleQueue[Message]"):
        self._number, self._command, self._compute, self._messages = number, command, compute, messages
        self._process: subprocess.Popen[bytes] | None = None
        self._overwrite, self._is_stopping, self._idle_since = False, False, 0.0
        self._starts, self._attempts, self._furthest = 0, 0, 0
        self.job: Job | None = None

    def start(self, job: Job, *, overwrite: bool) -> None:
        """Start a job."""
        self.job, self._overwrite, self._is_stopping = job, overwrite, False
        self._starts, self._attempts, self._furthest = 0, 0, 0
        self._attempt()

    def stop(self) -> None:
        """Ask the process to stop its job after the current step."""
        if (job := self.job) is not None:
            self._is_stopping = True
            self._send({"stop": job.outputs.result})

    def close_if_idle(self, seconds: float) -> None:
        """End the process if it has had no job for that long."""
        if self._process is not None and time.monotonic() - self._idle_since > seconds:
            self.close()

    def receive(self, process_id: int, message: dict[str, Any] | None, on_event: OnEvent) -> JobResult | None:
        """Handle what a process said; the result of its job if that has ended."""
        job = self.job
        if self._process is None or process_id != self._process.pid:
            return None  # the end of a process that has been replaced
        if message is None:
            return None if job is None else self._replace(job)
        if "began" in message:
            self._starts, self._attempts = 0, self._attempts + 1
            return None
        if "event" in message:
            self._report(from_dict(message), on_event)
            return None
        if job is None:
            return None
        self.job, self._idle_since = None, time.monotonic()
        return replace(JobResult(**message["result"]), id=job.id)  # the id is unknown to it if it cannot read an input

    def _report(self, event: Event, on_event: OnEvent) -> None:
        """Pass on an event. A job that comes further than before does not end its workers: its attempts start anew."""
        if isinstance(event, JobProgressed) and event.step > self._furthest:
            self._furthest, self._attempts = event.step, 1
        on_event(event)

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        if self.job is not None:  # left by an error or a second signal
            self._process.kill()
        self._close_process()

    def _attempt(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._launch()
        self._starts += 1
        memory = self._compute.memory if self._attempts == MAX_ATTEMPTS - 1 else None
        assert self.job is not None
        self._send(
            {
                "job": self.job.model_dump(),
                "overwrite": self._overwrite,
                "memory": None if memory is None else memory // 2,
            }
        )

    def _replace(self, job: Job) -> JobResult | None:
        """Start the job of a process that has ended again, in a new process."""
        status = self._process.wait() if self._process is not None else 0
        reason = f"signal {-status}" if status < 0 else f"exit status {status}"
        if self._is_stopping:
            self.job = None
            return JobResult(job.id, job.outputs.result, "stopped", message=f"its worker ended ({reason})")
        if self._attempts == MAX_ATTEMPTS or self._starts == MAX_STARTS:
            self.job = None
            return lost(job, reason, max(self._attempts, self._starts))
        self._attempt()
        return None

    def _close_process(self) -> None:
        """Close the input of the process, with which it ends, and wait until it has."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._reader.join()
            self._process = None

    def _launch(self) -> None:
        self._close_process()
        # a process group of its own: Ctrl-C is for this process, which asks the workers to stop
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=os.name == "posix"
        )
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        self._send({"compute": asdict(self._compute)})

    def _send(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # the process has ended, which its reader reports
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        """In a thread: pass on what the process says."""
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # a line that a killed process did not complete
                    self._messages.put((self._number, process.pid, json.loads(line)))
        self._messages.put((self._number, process.pid, None))


def cpu_workers() -> int:
    """The number of workers on CPUs: one per core, since threads wait for each other.

    See "Batches" in `benchmarks/NOTES.md`.
    """
    return os.cpu_count() or 1


def _devices(compute: Compute) -> list[str]:
    """The GPUs among which the workers are divided, by torch's names; none: the CPUs.

    Raises:
        SettingError: a device that this machine does not have.
    """
    if compute.device == "cpu" or "+cpu" in metadata.version("torch"):
        return []
    # in another process: this one loads no torch, which takes seconds and 200 MB
    found = subprocess.run([*COMMAND, "--devices", compute.device], capture_output=True, check=False, text=True)
    if found.returncode:
        raise SettingError(found.stderr.strip().splitlines()[-1])
    devices: list[str] = json.loads(found.stdout)
    return devices


def _share(compute: Compute, number: int, workers: int, devices: Sequence[str]) -> Compute:
    """The part of worker `number`: a GPU, or its share of threads; and of the memory."""
    memory = (available_memory() if compute.memory is None else compute.memory) // workers
    if devices:
        return replace(compute, device=devices[number % len(devices)], memory=compute.memory and memory)
    threads = max(1, (compute.threads or os.cpu_count() or 1) // workers)
    return replace(compute, threads=threads, memory=memory)
