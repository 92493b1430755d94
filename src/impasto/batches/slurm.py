"""The executor of a SLURM cluster: an array job through submitit, each of whose tasks runs a part of the jobs."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.batches.executor import (
    MAX_ATTEMPTS,
    Queue,
    ShouldStop,
    with_absolute_paths,
    with_absolute_weights,
)
from impasto.batches.slurm_queue import load_submitit, still_queued
from impasto.batches.slurm_task import ArrayTask, Spool
from impasto.errors import BatchError, OutputError, SettingError, printable
from impasto.events import JobBegan, Noted, OnEvent, from_dict
from impasto.jobs.compute import Compute
from impasto.jobs.result import JobResult

WORKERS = 8
"""Tasks of the array job by default."""
SPOOL = ".slurm"
"""The folder in that of the manifest through which the tasks talk to the batch; removed unless a job has failed."""
POLL_SECONDS = 1.0
"""Seconds between two looks at what the tasks have said."""
QUEUE_SECONDS = 10.0
"""Seconds between two questions to SLURM which tasks have ended."""
SIGNAL_SECONDS = 120
"""Seconds before the time limit at which SLURM tells a task to save its state, at most; a step must end within it."""


class SlurmExecutor:
    """Runs jobs as tasks of an array job on a SLURM cluster.

    Each task has a fixed part of the jobs. At its time limit it saves a checkpoint and is queued again. One that ends
    otherwise, killed or with its node, is submitted again.

    Args:
        folder: of the manifest, on a file system that all nodes share.
        compute: where and how, of each task: `threads` are its CPUs, `memory` is its memory.
        workers: the number of tasks.
        partition, minutes, gpus: partition, time limit and GPUs of a task.
        sbatch: any other options of sbatch, such as {"account": "lab"}.
        jobs: the number of jobs; no more tasks are submitted.
        overwrite: existing files that are not the results of their jobs are replaced.
        cluster: "slurm"; "local" runs the tasks as processes of this machine.

    Raises:
        MissingError: submitit is not installed.
        SettingError: there is no SLURM here, or a value is out of range.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        compute: Compute = Compute(),  # noqa: B008
        workers: int | None = None,
        *,
        partition: str | None = None,
        minutes: int = 240,
        gpus: int = 1,
        sbatch: Mapping[str, str] | None = None,
        jobs: int | None = None,
        overwrite: bool = False,
        cluster: str = "slurm",
    ) -> None:
        if workers is not None and workers < 1:
            raise SettingError(f"--workers: got {workers}; give 1 or more")
        if gpus not in (0, 1):
            raise SettingError(f"--gpus: got {gpus}; give 0 or 1: a worker uses one")
        self._submitit = load_submitit(cluster)
        count = WORKERS if workers is None else workers
        self.workers = max(1, count if jobs is None else min(count, jobs))
        self._folder, self._compute = Path(folder).absolute() / SPOOL, with_absolute_weights(compute)
        self._overwrite, self._cluster = overwrite, cluster
        self._parameters: dict[str, Any] = {
            "name": "impasto",
            "timeout_min": minutes,
            "cpus_per_task": compute.threads or 1,
            "slurm_signal_delay_s": min(SIGNAL_SECONDS, 30 * minutes),
            "slurm_array_parallelism": self.workers,
            "slurm_additional_parameters": dict(sbatch or {}),
        }
        if gpus:
            self._parameters["gpus_per_node"] = gpus
        if compute.memory is not None:
            self._parameters["mem_gb"] = compute.memory / 2**30
        if partition is not None:
            self._parameters["slurm_partition"] = partition

    def run(self, jobs: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        """See `Executor.run`.

        Raises:
            SettingError: SLURM refuses the job, or the queue is that of a watched folder.
            OutputError: an earlier batch still runs in the folder.
            BatchError: tasks end without having started a job.
        """
        spool, counts = self._prepare(jobs)
        tasks = [_Task(number, count) for number, count in enumerate(counts)]
        if not tasks:
            return
        try:
            self._submit(tasks)
            on_event(Noted(f"submitted as job {tasks[0].main_id}; logs are in {printable(self._folder / 'log')}"))
            yield from self._run(spool, tasks, on_event, should_stop)
        finally:
            for task in tasks:
                task.cancel()
        if self._have_left(tasks) and not any(task.has_failed for task in tasks):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _prepare(self, jobs: Queue) -> tuple[Spool, list[int]]:
        """Write the jobs of each task; how many each has."""
        waiting = [with_absolute_paths(job) for job in iter(jobs.take, None)]
        if not jobs.is_closed:
            raise SettingError("--watch: SLURM runs jobs that are known before; leave it out, or use another executor")
        self._check_earlier()
        shutil.rmtree(self._folder, ignore_errors=True)
        if waiting:
            (self._folder / "log").mkdir(parents=True)
        spool = Spool(self._folder)
        parts = [waiting[number :: self.workers] for number in range(min(self.workers, len(waiting)))]
        for number, part in enumerate(parts):
            spool.write_jobs(number, part)
        return spool, [len(part) for part in parts]

    def _check_earlier(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            earlier = (self._folder / "submitted").read_text(encoding="ascii").split()
            if queued := still_queued(self._cluster, earlier):
                main = min(queued).partition("_")[0]
                raise OutputError(
                    f"{printable(self._folder.parent)}: job {main} of an earlier batch has not ended; wait for it, or "
                    f"end it (scancel {main})"
                )

    def _submit(self, tasks: Sequence["_Task"]) -> None:
        """Submit tasks as an array job."""
        limits = {"slurm_max_num_timeout": 2**30, "local_max_num_timeout": 2**30}  # each makes progress
        executor = self._submitit.AutoExecutor(self._folder / "log", cluster=self._cluster, **limits)
        executor.update_parameters(**self._parameters)
        calls = [ArrayTask(str(self._folder), task.number, self._compute, self._overwrite) for task in tasks]
        try:
            with executor.batch():
                submitted = [executor.submit(call) for call in calls]
        except self._submitit.core.utils.FailedJobError as error:
            lines = [line for line in str(error).splitlines() if line.strip()] or ["no reason given"]
            reason = lines[-1].rpartition("error: ")[2]
            if not (self._folder / "submitted").exists():
                shutil.rmtree(self._folder)
            raise SettingError(f"--executor slurm: sbatch refused the tasks ({reason}); change the options") from error
        for task, job in zip(tasks, submitted, strict=True):
            task.job = job
        with (self._folder / "submitted").open("a", encoding="ascii") as file:
            file.writelines(f"{job.job_id}\n" for job in submitted)

    def _run(
        self, spool: Spool, tasks: list["_Task"], on_event: OnEvent, should_stop: ShouldStop
    ) -> Iterator[JobResult]:
        is_stopping, next_look = False, time.monotonic() + QUEUE_SECONDS
        while any(task.is_active for task in tasks):
            if should_stop() and not is_stopping:
                is_stopping, next_look = True, 0.0
                spool.stop()
                for task in tasks:
                    if not spool.messages_path(task.number).exists():  # it has not started
                        task.cancel()
            queued = None
            if time.monotonic() >= next_look:
                queued = still_queued(self._cluster, [task.job.job_id for task in tasks if task.is_active])
                next_look = time.monotonic() + (POLL_SECONDS if is_stopping else QUEUE_SECONDS)
            for task in tasks:  # after the question: what a task has said before it ended is there
                yield from task.receive(spool, on_event)
            if queued is not None:
                self._replace([task for task in tasks if task.is_active and task.job.job_id not in queued], is_stopping)
            time.sleep(POLL_SECONDS)

    def _replace(self, ended: list["_Task"], is_stopping: bool) -> None:
        """Submit tasks that have ended before their jobs again, unless the batch is stopping."""
        for task in ended:
            task.is_active = not is_stopping
            task.ends += 1
        if is_stopping or not ended:
            return
        if any(task.ends == MAX_ATTEMPTS for task in ended):
            raise BatchError(
                f"--executor slurm: tasks end without having started a job; see {printable(self._folder / 'log')}"
            )
        with contextlib.suppress(SettingError):  # SLURM may be busy; the next look finds them ended again
            self._submit(ended)

    def _have_left(self, tasks: list["_Task"]) -> bool:
        """Whether all tasks have left the queue, after a while at most: a task that has said all still writes a log."""
        deadline = time.monotonic() + QUEUE_SECONDS
        while queued := still_queued(self._cluster, [task.job.job_id for task in tasks]):
            if time.monotonic() >= deadline:
                break
            time.sleep(POLL_SECONDS)
        return not queued


class _Task:
    """A task of the array job.

    Attributes:
        job: submitit's.
        left: the number of its jobs without a result.
        has_failed: whether one of them has failed.
        is_active: whether it is queued or runs, as far as is known.
        ends: how often it has ended without having said anything.
    """

    def __init__(self, number: int, jobs: int) -> None:
        self.number, self.left, self.ends = number, jobs, 0
        self.job: Any = None
        self.is_active, self.has_failed = True, False

    @property
    def main_id(self) -> str:
        """The number of the array job."""
        return str(self.job.job_id).partition("_")[0]

    def receive(self, spool: Spool, on_event: OnEvent) -> Iterator[JobResult]:
        """Handle what the task has said since the last time."""
        for message in spool.messages(self.number):
            self.ends = 0
            if "result" in message:
                result = JobResult(**message["result"])
                self.left -= result.state != "stopped"
                self.has_failed |= result.state == "failed"
                self.is_active = self.left > 0
                yield result
            elif message.get("attempt") == 1:
                on_event(JobBegan(message["began"], message["output"]))
            elif "event" in message:
                on_event(from_dict(message))

    def cancel(self) -> None:
        """End the task, if it is active."""
        if self.is_active and self.job is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.job.cancel(check=False)
        self.is_active = False
