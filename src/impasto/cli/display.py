"""Events -> terminal: a progress bar, lines for logs and pipes, JSON, or nothing."""

import contextlib
import json
import os
import sys
import time
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from impasto.cli.printing import console
from impasto.cli.streams import is_stand_in
from impasto.errors import printable
from impasto.events import (
    BatchBegan,
    Began,
    Ended,
    Event,
    JobBegan,
    JobEnded,
    JobProgressed,
    Noted,
    Painted,
    Planned,
    Saved,
    Stepped,
)


def start_line(event: Began) -> str:
    """The line for a run that starts."""
    return (
        f"{event.task}: {event.width}x{event.height} pixels, {event.steps} steps on {event.device} "
        f"({event.threads} threads) in {event.precision} by {event.engine}, {event.weights} weights"
    )


def plan_line(event: Planned) -> str:
    """The line for the scales, time and memory of a run."""
    strips = [f" in strips of {scale['strip']} rows" if scale["strip"] else "" for scale in event.scales]
    edges = [f"{max(scale['width'], scale['height'])} pixels" for scale in event.scales]
    scales = ", ".join(map("".join, zip(edges, strips, strict=True)))
    return f"plan: scales of {scales}; about {duration(event.seconds)} and {event.memory / 1e9:.1f} GB of memory"


def end_line(event: Ended) -> str:
    """The line for a run that ended."""
    state = "done" if event.complete else "stopped"
    return f"{state} after {event.steps} steps in {duration(event.seconds)}; loss of the output: {losses(event)}"


def losses(event: Stepped | Ended) -> str:
    """The total loss and its terms."""
    terms = f"content {event.content:.4g}, style {event.style:.4g}, tv {event.tv:.3g}, grain {event.grain:.3g}"
    return f"{event.total:.4g} ({terms})"


def duration(seconds: float) -> str:
    """Seconds as "0:07", "12:34" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def one_pass_line(event: Painted) -> str:
    """The line for an image that was stylized in one pass."""
    return f"{event.name}: {event.width}x{event.height} pixels in {event.seconds:.2f} seconds"


def job_line(event: JobEnded) -> str:
    """The line for a job of a batch that ended."""
    reason = f" ({event.message})" if event.message else ""
    left = f", about {duration(event.seconds_left)} left" if event.finished < event.jobs else ""
    return f"{event.finished} of {event.jobs}: {printable(event.output)} {event.state}{reason}{left}"


def message(event: Event) -> str | None:
    """The line for an event, None for steps, which the bar shows."""
    line: str | None = None
    match event:
        case Began():
            line = start_line(event)
        case Planned():
            line = plan_line(event)
        case Noted(text):
            line = f"note: {text}"
        case Ended():
            line = end_line(event)
        case Painted():
            line = one_pass_line(event)
        case BatchBegan(jobs, finished, workers):
            line = f"batch: {jobs} jobs, {finished} of them finished before, {workers} at a time"
        case JobEnded():
            line = job_line(event)
        case Saved(path) if not is_stand_in(path):
            line = f"saved {path}"
    return line


class Display:
    """Shows events; this base class shows nothing."""

    def __call__(self, event: Event) -> None:
        """Show an event."""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the terminal."""


class Json(Display):
    """Prints every event to standard output as a line of JSON; a closed pipe does not stop the run."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __call__(self, event: Event) -> None:
        """Print the event."""
        try:
            print(json.dumps(event.as_dict()), file=self._file, flush=True)
        except OSError:
            discard_output(self._file)


def discard_output(stream: IO[str]) -> None:
    """Redirect a stream to /dev/null: its pipe is closed, or its disk full."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), stream.fileno())


class Lines(Display):
    """Prints lines to standard error, for logs and pipes; a step every few seconds."""

    EVERY = 10.0
    """Seconds between two lines about steps."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._last = file, time.monotonic()
        self._steps, self._plan = 0, Planned([], 0, 0)

    def __call__(self, event: Event) -> None:
        """Print the event, a step only if it is time."""
        if isinstance(event, Began):
            self._steps = event.steps
        if isinstance(event, Planned):
            self._plan = event
        line = message(event)
        if isinstance(event, Stepped) and time.monotonic() - self._last >= self.EVERY:
            self._last = time.monotonic()
            position = f"step {event.step + 1}/{self._steps} at {event.scale} pixels"
            line = f"{position}: loss {losses(event)}, {time_left(event, self._plan)}"
        if line is not None:
            with contextlib.suppress(OSError):
                print(line, file=self._file, flush=True)


def time_left(event: Stepped, plan: Planned) -> str:
    """The remaining time as text: the plan, scaled by how much faster or slower the run has been so far."""
    return f"{duration(plan.seconds_left(event.step + 1, event.seconds))} left"


class Bar(Display):
    """A live progress bar on a terminal.

    Attributes:
        progress: Rich's bar, with one task: that of the current run.
    """

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._plan = Planned([], 0, 0)
        self._jobs: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show the event."""
        self._show_batch(event)
        if isinstance(event, Began):
            if self._task is not None:  # the previous run of a sweep
                self.progress.remove_task(self._task)
            self._task = self.progress.add_task("", total=event.steps)
        if isinstance(event, Planned):
            self._plan = event
        if isinstance(event, Stepped) and self._task is not None:
            text = f"{event.scale} pixels, loss {losses(event)}, {time_left(event, self._plan)}"
            self.progress.update(self._task, completed=event.step + 1, description=text)
        if (line := message(event)) is not None:
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show_batch(self, event: Event) -> None:
        """A bar for all jobs of a batch, and one for each that runs."""
        match event:
            case BatchBegan(jobs, finished):
                self._task = self.progress.add_task("jobs", total=jobs, completed=finished)
            case JobBegan(job, output):
                self._jobs[job] = self.progress.add_task(os.path.basename(output), total=None)
            case JobProgressed(job, _, step, steps) if job in self._jobs:
                self.progress.update(self._jobs[job], completed=step, total=steps)
            case JobEnded(job) if self._task is not None:
                if job in self._jobs:
                    self.progress.remove_task(self._jobs.pop(job))
                text = f"jobs, about {duration(event.seconds_left)} left"
                self.progress.update(self._task, completed=event.finished, total=event.jobs, description=text)

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def display(*, as_json: bool, quiet: bool) -> Display:
    """The display for the options given and the terminal."""
    if as_json:
        return Json(sys.stdout)
    if quiet or sys.stderr is None:
        return Display()
    terminal = console(stderr=True)
    return Bar(terminal) if terminal.is_terminal else Lines(sys.stderr)
