"""Events -> terminal: a live bar, a line now and then where there is no terminal, JSON, or nothing."""

import contextlib
import json
import os
import sys
import time
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from impasto.events import Began, Ended, Event, Noted, Painted, Planned, Saved, Stepped


def began(event: Began) -> str:
    """One line on what is about to happen and where."""
    return (
        f"{event.task}: {event.width}x{event.height} pixels, {event.steps} steps on {event.device} "
        f"({event.threads} threads) in {event.precision}, {event.weights} weights"
    )


def planned(event: Planned) -> str:
    """One line on what it is going to need."""
    strips = [f" in strips of {scale['strip']} rows" if scale["strip"] else "" for scale in event.scales]
    edges = [f"{max(scale['width'], scale['height'])} pixels" for scale in event.scales]
    each = ", ".join(map("".join, zip(edges, strips, strict=True)))
    return f"plan: scales of {each}; about {duration(event.seconds)} and {event.memory / 1e9:.1f} GB of memory"


def ended(event: Ended) -> str:
    """One line on what came of it."""
    how = "done" if event.complete else "stopped"
    return f"{how} after {event.steps} steps in {duration(event.seconds)}; loss of the picture: {losses(event)}"


def losses(event: Stepped | Ended) -> str:
    """The total and its terms."""
    return f"{event.total:.4g} (content {event.content:.4g}, style {event.style:.4g}, tv {event.tv:.3g})"


def duration(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def painted(event: Painted) -> str:
    """One line on what was painted in one pass."""
    return f"{event.name}: {event.width}x{event.height} pixels in {event.seconds:.2f} seconds"


def message(event: Event) -> str | None:
    """The line that an event is worth outside of the bar."""
    line: str | None = None
    match event:
        case Began():
            line = began(event)
        case Planned():
            line = planned(event)
        case Noted(text):
            line = f"note: {text}"
        case Ended():
            line = ended(event)
        case Painted():
            line = painted(event)
        case Saved(path):
            line = f"saved {path}"
    return line


class Display:
    """What is told of events; this one shows nothing."""

    def __call__(self, event: Event) -> None:
        """Show an event."""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal in order."""


class Json(Display):
    """Writes every event to standard output as one line of JSON; a reader that goes away does not stop the run."""

    def __call__(self, event: Event) -> None:
        """Write it."""
        try:
            print(json.dumps(event.as_dict()), flush=True)  # noqa: T201
        except OSError:
            give_up(sys.stdout)


def give_up(stream: IO[str]) -> None:
    """Send nowhere what is still to be written to a stream whose reader has gone, or whose disk is full."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class Lines(Display):
    """Lines on standard error, for logs and pipes: steps every few seconds."""

    EVERY = 10.0
    """Seconds between two lines on steps."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._last = file, time.monotonic()
        self._steps, self._plan = 0, Planned([], 0, 0)

    def __call__(self, event: Event) -> None:
        """Write it, if it is time."""
        if isinstance(event, Began):
            self._steps = event.steps
        if isinstance(event, Planned):
            self._plan = event
        line = message(event)
        if isinstance(event, Stepped) and time.monotonic() - self._last >= self.EVERY:
            self._last = time.monotonic()
            where = f"step {event.step + 1}/{self._steps} at {event.scale} pixels"
            line = f"{where}: loss {losses(event)}, {left(event, self._plan)}"
        if line is not None:
            with contextlib.suppress(OSError):
                print(line, file=self._file, flush=True)


def left(event: Stepped, plan: Planned) -> str:
    """The time left, if the run goes on as much faster or slower than planned as it did so far."""
    taken, done = event.step + 1, 0.0
    for scale in plan.scales:
        steps = min(taken, scale["steps"])
        done, taken = done + steps * scale["seconds"] / scale["steps"], taken - steps
    return f"{duration(event.seconds * (plan.seconds / done - 1))} left"


class Bar(Display):
    """A live bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._plan = Planned([], 0, 0)

    def __call__(self, event: Event) -> None:
        """Show it."""
        if isinstance(event, Began):
            if self._task is not None:  # of a sweep, the run before
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("", total=event.steps)
        if isinstance(event, Planned):
            self._plan = event
        if isinstance(event, Stepped) and self._task is not None:
            text = f"{event.scale} pixels, loss {losses(event)}, {left(event, self._plan)}"
            self._progress.update(self._task, completed=event.step + 1, description=text)
        if (line := message(event)) is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def display(*, as_json: bool, quiet: bool) -> Display:
    """The display that fits the flags and the terminal."""
    if as_json:
        return Json()
    if quiet or sys.stderr is None:
        return Display()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines(sys.stderr)
