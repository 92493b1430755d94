"""A progress bar for calls of the library, on a terminal and in notebooks."""

import html
import time
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from impasto.events import Began, Event, Planned, Stepped

INTERVAL = 0.1
"""Seconds between two updates in a notebook, each of which is a message to the browser."""


class _Bar(Protocol):
    def show(self, share: float, text: str) -> None:
        """Show which share of the work is done, 0 to 1."""

    def close(self) -> None:
        """Leave the last state."""


class ProgressBar:
    """Shows the events of a run as one bar, whose length is the share of the planned time.

    On a terminal it is Rich's, on standard error; if that is no terminal, one line at the end. In a notebook it is
    HTML that is updated in place, which needs no widgets (Rich's bar needs ipywidgets there, and is not shown without).
    """

    def __init__(self) -> None:
        self._bar: _Bar = _NotebookBar() if Console().is_jupyter else _TerminalBar()
        self._steps, self._plan = 1, Planned([], 0, 0)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Began):
            self._steps = event.steps
        if isinstance(event, Planned):
            self._plan = event
        if isinstance(event, Stepped):
            done = event.step + 1
            share = self._plan.seconds_of(done) / self._plan.seconds if self._plan.seconds else done / self._steps
            self._bar.show(share, f"step {done}/{self._steps}, {event.scale} pixels, loss {event.total:.4g}")

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()


class _TerminalBar:
    def __init__(self) -> None:
        columns = (BarColumn(), TextColumn("{task.percentage:.0f}%"), TextColumn("{task.description}"))
        # Rich asks for the time between updates, and so also takes the steps of a GPU that are reported together
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self._task = self._progress.add_task("", total=1)
        self._progress.start()

    def show(self, share: float, text: str) -> None:
        self._progress.update(self._task, completed=share, description=text)

    def close(self) -> None:
        self._progress.stop()


class _NotebookBar:
    def __init__(self) -> None:
        from IPython.display import display  # a notebook has it

        self._last = (0.0, "")
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)
        self._updated = time.monotonic()

    def show(self, share: float, text: str) -> None:
        self._last = share, text
        if time.monotonic() - self._updated >= INTERVAL:
            self._update()

    def close(self) -> None:
        self._update()

    def _update(self) -> None:
        self._handle.update(self._bundle(), raw=True)
        self._updated = time.monotonic()

    def _bundle(self) -> dict[str, str]:
        """The bar by media type, as notebooks display it."""
        share, text = self._last
        line = f"{share:.0%} {text}"
        bar = f'<progress max="1" value="{share:.4f}"></progress> {html.escape(line)}'
        return {"text/html": bar, "text/plain": line}
