"""What a run reports: frozen, picklable, and JSON through `as_dict`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    def as_dict(self) -> dict[str, Any]:
        """The event's fields, and its name as "event"."""
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Began(Event):
    """The first step is about to be taken."""

    task: str
    width: int
    height: int
    steps: int
    device: str
    precision: str
    threads: int
    weights: str


@dataclass(frozen=True)
class Planned(Event):
    """What the whole run needs: bytes of memory, and seconds as a trial step tells.

    Each of the `scales` says its width, height, steps and seconds, and as strip the rows evaluated at a time, None for
    all.
    """

    scales: list[dict[str, Any]]
    memory: int
    seconds: float


@dataclass(frozen=True)
class Noted(Event):
    """Something that the user should know, in one line."""

    message: str


@dataclass(frozen=True)
class Stepped(Event):
    """One step: the loss before its update, the terms without their weights, and the seconds since the run began.

    `layers` says what every layer adds to content and style: {"style": {"block1_conv1": 0.1}}.
    """

    step: int
    scale: int
    total: float
    content: float
    style: float
    tv: float
    seconds: float
    layers: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended(Event):
    """The painting stopped: the loss of the picture in eight bits a channel, and whether all steps were done."""

    steps: int
    seconds: float
    total: float
    content: float
    style: float
    tv: float
    complete: bool


@dataclass(frozen=True)
class Painted(Event):
    """A picture was painted in one pass: the name of the photograph, the size of the result, and the seconds taken."""

    name: str
    width: int
    height: int
    seconds: float


@dataclass(frozen=True)
class Saved(Event):
    """The picture is in a file."""

    path: str


OnEvent = Callable[[Event], object]
