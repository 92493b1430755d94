"""`python -m benchmarks.at_size CONTENT STYLE SIZE MEMORY` takes a few steps at one size and prints what that took.

It does all that a user's process does, from reading the files to saving the picture; MEMORY is its limit in bytes.
"""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.peak import peak
from benchmarks.plan import Plan
from impasto import preset
from impasto.api import finished


@dataclass(frozen=True)
class Taken:
    """What a process found: its picture's size, the rows of a strip (None: whole), and what it took.

    Attributes:
        peak: bytes of the process at its largest.
        planned: bytes that it had planned with.
        steps: seconds of every step.
        notes: what the steps told.
    """

    width: int
    height: int
    strip: int | None
    peak: int
    planned: int
    steps: Sequence[float]
    notes: Sequence[str]


def count(size: int) -> int:
    """Steps at that long edge."""
    return 3 if size <= 1024 else 2


def _taken(content: Path, style: Path, size: int, memory: int) -> Taken:
    """impasto at its default settings, but for a single scale and a few steps."""
    settings = preset().replace(size=size, steps=count(size), scale_factor=1)
    run = Plan(content, style, size).run(settings, "auto", memory=memory)
    moments, notes = [0.0], []
    for step in run:
        moments.append(step.seconds)
        notes += step.notes
    with tempfile.TemporaryDirectory() as folder:
        finished(run).save(Path(folder) / "out.png")
    (plan,) = run.plan
    seconds = [later - earlier for earlier, later in pairwise(moments)]
    return Taken(run.width, run.height, plan.strip, peak(), plan.memory, seconds, notes)


def _main(content: str, style: str, size: str, memory: str) -> None:
    print(json.dumps(dataclasses.asdict(_taken(Path(content), Path(style), int(size), int(memory)))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
