"""The executor of a Ray cluster: an actor per GPU, or per group of CPUs, each with a loaded network.

Jobs and events are passed, never images: the nodes share a file system, or the files are at URIs.
"""

import collections
import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any

from impasto.batches.executor import (
    MAX_ATTEMPTS,
    Queue,
    ShouldStop,
    lost,
    with_absolute_paths,
    with_absolute_weights,
)
from impasto.batches.ray_actor import RayActor
from impasto.batches.ray_cluster import check_version, connected, reason, shares
from impasto.errors import BatchError, SettingError
from impasto.events import Event, JobBegan, JobProgressed, Noted, OnEvent, from_dict
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult

WAIT_SECONDS = 0.2
"""Seconds after which a closed queue and a request to stop are noticed at the latest."""
CLOSE_SECONDS = 5.0
"""Seconds for which actors may clean up at the end."""
NOTE_SECONDS = 30.0
"""Seconds after which a note says that the cluster has started no worker yet."""


@dataclass
class _Attempt:
    """A job, how often it was started without getting further, and the last step that it has reached."""

    job: Job
    number: int = 1
    furthest: int = 0

    def report(self, event: Event) -> None:
        """A job that comes further than before does not end its workers: its attempts start anew."""
        if isinstance(event, JobProgressed) and event.step > self.furthest:
            self.number, self.furthest = 1, event.step


class RayExecutor:
    """Runs jobs on a Ray cluster.

    A worker that ends during a job, killed or with its node, is replaced, and its job is started again.

    Args:
        compute: where and how, of each worker: `threads` are its CPUs (default: one), `memory` is its memory (default:
            an equal share of its node's).
        workers: by default one per GPU of the cluster, or one per `threads` CPUs if there is no GPU.
        address: of the cluster: "auto", "ray://HOST:10001", or "HOST:PORT"; "local" starts one on this machine.
        jobs: the number of jobs; no more workers are started.
        overwrite: existing files that are not the results of their jobs are replaced.

    Raises:
        MissingError: Ray is not installed.
        SettingError: there is no cluster at the address, or it cannot have such a worker.
    """

    def __init__(
        self,
        compute: Compute = Compute(),  # noqa: B008
        workers: int | None = None,
        *,
        address: str = "auto",
        jobs: int | None = None,
        overwrite: bool = False,
    ) -> None:
        if workers is not None and workers < 1:
            raise SettingError(f"--workers: got {workers}; give 1 or more")
        self._ray, self._is_own = connected(address)
        self._overwrite = overwrite
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        try:
            places, self._compute, self._resources = shares(nodes, with_absolute_weights(compute))
        except SettingError:
            self._close([])
            raise
        count = workers or places
        self.workers = max(1, count if jobs is None else min(count, jobs))

    def run(self, jobs: Queue, on_event: OnEvent, should_stop: ShouldStop) -> Generator[JobResult]:
        """See `Executor.run`.

        Raises:
            BatchError: no worker can be started.
        """
        actor_class = self._ray.remote(**self._resources)(RayActor)
        slots = [_Slot(self._ray, actor_class, self._compute) for _ in range(self.workers)]
        try:
            yield from self._run(slots, jobs, on_event, should_stop)
        finally:
            self._close(slots)

    def _run(
        self, slots: list["_Slot"], jobs: Queue, on_event: OnEvent, should_stop: ShouldStop
    ) -> Generator[JobResult]:
        again: collections.deque[_Attempt] = collections.deque()
        is_stopping, notice = False, _StartNotice(self._resources)
        while True:
            if should_stop() and not is_stopping:
                is_stopping = True
                for slot in slots:
                    slot.stop()
            for slot in [] if is_stopping else [each for each in slots if each.is_idle]:
                if (attempt := again.popleft() if again else _next(jobs)) is None:
                    break
                slot.start(attempt, overwrite=self._overwrite)
                if attempt.number == 1:
                    on_event(JobBegan(attempt.job.id, attempt.job.outputs.result))
            if all(slot.attempt is None for slot in slots) and (is_stopping or (not again and jobs.is_closed)):
                return
            notice.check(slots, on_event)
            for slot in self._ready(slots):
                yield from slot.receive(on_event, again, is_stopping=is_stopping)

    def _close(self, slots: list["_Slot"]) -> None:
        """End the actors, and the connection if it is this executor's."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            if closing := [slot.closing for slot in slots if slot.is_idle]:  # a busy one was left by an error
                self._ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for slot in slots:
            slot.kill()
        if self._is_own:
            self._ray.shutdown()

    def _ready(self, slots: list["_Slot"]) -> list["_Slot"]:
        """The slots that have something to say, after `WAIT_SECONDS` at the latest."""
        pending = {slot.pending: slot for slot in slots if slot.pending is not None}
        if not pending:
            time.sleep(WAIT_SECONDS)
            return []
        self._ray.wait(list(pending), num_returns=1, timeout=WAIT_SECONDS)
        ready, _ = self._ray.wait(list(pending), num_returns=len(pending), timeout=0)
        return [pending[each] for each in ready]


class _Slot:
    """A place for an actor, and the job that it runs; a new actor is started when it ends.

    Attributes:
        pending: what the actor is about to say; None if it has nothing to do, as a call would delay its next job.
        has_started: whether the actor has answered once.
        attempt: its job.
    """

    def __init__(self, ray: Any, actor_class: Any, compute: Compute) -> None:
        self._ray, self._actor_class, self._compute = ray, actor_class, compute
        self.attempt: _Attempt | None = None
        self.pending: Any = None
        self.has_started, self._failed_starts = False, 0
        self._launch()

    @property
    def is_idle(self) -> bool:
        """Whether it can take a job."""
        return self.has_started and self.attempt is None

    def start(self, attempt: _Attempt, *, overwrite: bool) -> None:
        """Start a job; the last attempt has half of the memory."""
        self.attempt = attempt
        memory = self._compute.memory if attempt.number == MAX_ATTEMPTS else None
        self._actor.start.remote(attempt.job.to_json(), overwrite, None if memory is None else memory // 2)
        self.pending = self._actor.poll.remote()

    def stop(self) -> None:
        """Ask the actor to stop its job after the current step."""
        if self.has_started:
            self._actor.stop.remote()

    def receive(
        self, on_event: OnEvent, again: "collections.deque[_Attempt]", *, is_stopping: bool
    ) -> Iterator[JobResult]:
        """Handle what the actor says: the result of its job if that has ended.

        Args:
            again: gets the job if the actor has ended during it.
        """
        try:
            messages = self._ray.get(self.pending)
        except self._ray.exceptions.RayError as error:
            yield from self._ended(reason(error), again, is_stopping=is_stopping)
            return
        if not self.has_started:
            check_version(messages)
            self.has_started, self._failed_starts, messages = True, 0, []
        for message in messages:
            if "result" in message and self.attempt is not None:
                job, self.attempt = self.attempt.job, None
                yield replace(JobResult(**message["result"]), id=job.id)  # unknown to it if it cannot read an input
            elif "event" in message:
                event = from_dict(message)
                if self.attempt is not None:
                    self.attempt.report(event)
                on_event(event)
        self.pending = None if self.attempt is None else self._actor.poll.remote()

    @property
    def closing(self) -> Any:
        """The end of the actor's cleaning up, which is asked for here."""
        return self._actor.close.remote()

    def kill(self) -> None:
        """End the actor."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor)

    def _ended(self, why: str, again: "collections.deque[_Attempt]", *, is_stopping: bool) -> Iterator[JobResult]:
        """Replace the actor; its job is taken by the next that is idle, since another node may have to be found."""
        self._failed_starts += not self.has_started
        if self._failed_starts == MAX_ATTEMPTS:
            raise BatchError(f"--executor ray: no worker can be started ({why}); see the logs of Ray")
        attempt, self.attempt = self.attempt, None
        self.kill()  # it may be alive where the network is not
        self._launch()
        if attempt is None:
            return
        if is_stopping:
            job = attempt.job
            yield JobResult(job.id, job.outputs.result, "stopped", message=f"its worker ended ({why})")
        elif attempt.number == MAX_ATTEMPTS:
            yield lost(attempt.job, why)
        else:
            again.append(replace(attempt, number=attempt.number + 1))

    def _launch(self) -> None:
        self._actor = self._actor_class.remote(self._compute)
        self.has_started, self.pending = False, self._actor.version.remote()


class _StartNotice:
    """A note, made once, that the cluster has started no worker."""

    def __init__(self, resources: dict[str, float]) -> None:
        self._resources, self._deadline = resources, time.monotonic() + NOTE_SECONDS

    def check(self, slots: list[_Slot], on_event: OnEvent) -> None:
        """Make the note if it is time."""
        if time.monotonic() < self._deadline:
            return
        self._deadline = float("inf")
        if not any(slot.has_started for slot in slots):
            wanted = ", ".join(f"{name} {amount}" for name, amount in self._resources.items())
            on_event(Noted(f"waiting for the cluster to start a worker ({wanted}); see `ray status`"))


def _next(jobs: Queue) -> _Attempt | None:
    job = jobs.take()
    return None if job is None else _Attempt(with_absolute_paths(job))
