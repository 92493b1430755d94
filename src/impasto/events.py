"""Progress events of a run: immutable, picklable, and JSON through `as_dict`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Base class of all events."""

    def as_dict(self) -> dict[str, Any]:
        """The fields of the event, and its class name in lower case as "event"."""
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Began(Event):
    """A run is about to take its first step: its task, the size of the output in pixels, and where it is computed."""

    task: str
    width: int
    height: int
    steps: int
    device: str
    precision: str
    threads: int
    weights: str
    engine: str = "torch"


@dataclass(frozen=True)
class Planned(Event):
    """The estimated cost of the whole run: peak memory in bytes, and seconds, extrapolated from a trial step.

    Each of the `scales` has width, height, steps, seconds, and strip: the rows evaluated at a time, None for all.
    """

    scales: list[dict[str, Any]]
    memory: int
    seconds: float

    def seconds_of(self, steps: int) -> float:
        """The estimated cost of the first `steps` steps, in seconds."""
        total = 0.0
        for scale in self.scales:
            taken = min(steps, scale["steps"])
            total, steps = total + taken * scale["seconds"] / scale["steps"], steps - taken
        return total

    def seconds_left(self, steps: int, seconds: float) -> float:
        """The remaining time after the first `steps` steps took `seconds`: the plan, scaled by the pace so far."""
        return seconds * (self.seconds / self.seconds_of(steps) - 1)


@dataclass(frozen=True)
class Noted(Event):
    """A message for the user, in one line."""

    message: str


@dataclass(frozen=True)
class Stepped(Event):
    """One step: the loss before its update, its unweighted terms, and the seconds since the run started.

    `scale` is the long edge in pixels. `layers` are the contributions to the terms by layer:
    {"style": {"block1_conv1": 0.1}}.
    """

    step: int
    scale: int
    total: float
    content: float
    style: float
    tv: float
    grain: float
    seconds: float
    layers: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended(Event):
    """A run ended: the loss of the output image as quantized for its file, and whether all steps were done."""

    steps: int
    seconds: float
    total: float
    content: float
    style: float
    tv: float
    grain: float
    complete: bool


@dataclass(frozen=True)
class Painted(Event):
    """The one-pass method processed an image: the content image's name, the size of the output, and the seconds."""

    name: str
    width: int
    height: int
    seconds: float


@dataclass(frozen=True)
class Saved(Event):
    """A file was written."""

    path: str


@dataclass(frozen=True)
class BatchBegan(Event):
    """A batch is about to start its first job: the number of all jobs, of those finished before, and of workers."""

    jobs: int
    finished: int
    workers: int


@dataclass(frozen=True)
class JobBegan(Event):
    """A job of a batch started: its id, and the file of its result."""

    id: str
    output: str


@dataclass(frozen=True)
class JobProgressed(Event):
    """A job of a batch took steps: the number of those done, and of all.

    `scale` is the long edge in pixels, `loss` that of the last step by term, `seconds` those since the run started,
    `seconds_left` and `memory` (bytes) as planned; None if there is no plan.
    """

    id: str
    output: str
    step: int
    steps: int
    scale: int = 0
    loss: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_left: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class JobEnded(Event):
    """A job of a batch ended: done, stopped, or failed with a message.

    `seconds_left` is extrapolated from the jobs that have ended. `finished` counts those that failed as well.
    """

    id: str
    output: str
    state: str
    message: str
    finished: int
    failed: int
    jobs: int
    seconds_left: float


OnEvent = Callable[[Event], object]


def from_dict(content: dict[str, Any]) -> Event:
    """The event of `Event.as_dict`."""
    fields = dict(content)
    kinds = {kind.__name__.lower(): kind for kind in Event.__subclasses__()}
    return kinds[fields.pop("event")](**fields)
