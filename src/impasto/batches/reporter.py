"""What a worker tells its batch of the job that it runs."""

import os
import time
from collections.abc import Callable
from typing import Any

from impasto.events import Event, JobProgressed, Noted, Planned, Stepped
from impasto.jobs.job import Job

REPORT_SECONDS = 0.2
"""Seconds between two reports of steps, within one machine."""


class Reporter:
    """Sends the events of a job that its batch shows, as `Event.as_dict`: notes, and its progress now and then.

    Args:
        seconds: between two reports of steps.
    """

    def __init__(self, send: Callable[[dict[str, Any]], object], job: Job, seconds: float = REPORT_SECONDS) -> None:
        self._send, self._id, self._output = send, job.id, job.outputs.result
        self._steps, self._plan = 0, Planned([], 0, 0)
        self._seconds, self._last = seconds, -seconds

    def __call__(self, event: Event) -> None:
        """Send the event, if it is one of those."""
        now = time.monotonic()
        if isinstance(event, Stepped) and now - self._last >= self._seconds:
            self._last = now
            self._send(self._progress(event).as_dict())
        elif isinstance(event, Noted):
            self._send(Noted(f"{os.path.basename(self._output)}: {event.message}").as_dict())
        elif isinstance(event, Planned):
            self._plan = event
        else:
            self._steps = getattr(event, "steps", self._steps)

    def _progress(self, step: Stepped) -> JobProgressed:
        is_planned = self._plan.seconds > 0
        return JobProgressed(
            self._id,
            self._output,
            step.step + 1,
            self._steps,
            step.scale,
            {"total": step.total, "content": step.content, "style": step.style, "tv": step.tv, "grain": step.grain},
            step.seconds,
            self._plan.seconds_left(step.step + 1, step.seconds) if is_planned else None,
            self._plan.memory if is_planned else None,
        )
