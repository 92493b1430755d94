"""How a job ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

JobState = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class JobResult:
    """How a job ended; picklable, and JSON through `dataclasses.asdict`.

    Attributes:
        id: of the job; "" if its inputs could not be read.
        output: the file of the image.
        state: stopped: by the user, it can be resumed; failed: `message` says why.
        steps: steps done.
        seconds: of its steps; None if unknown.
        loss: of the image as saved, by term; empty if there is none.
        error: the class of the error by which it failed, such as "DivergedError".
    """

    id: str
    output: str
    state: JobState
    steps: int = 0
    seconds: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    error: str = ""
