"""`python -m benchmarks.at_size CONTENT STYLE SIZE MEMORY` runs a few steps at one size and prints time and memory.

It does everything that a user's process does, from reading the files to saving the result; MEMORY is a limit in bytes.
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
from impasto.optimize.result import result_of


@dataclass(frozen=True)
class Measurement:
    """Measurements of one process.

    Attributes:
        width, height: of the image in pixels.
        strip: rows of a strip; None if the image was evaluated whole.
        peak: peak resident memory of the process in bytes.
        planned: the memory plan's estimate in bytes.
        steps: seconds of every step.
        notes: notes of the steps.
    """

    width: int
    height: int
    strip: int | None
    peak: int
    planned: int
    steps: Sequence[float]
    notes: Sequence[str]


def count(size: int) -> int:
    """Number of steps at a long edge of `size` pixels."""
    return 3 if size <= 1024 else 2


def _measure(content: Path, style: Path, size: int, memory: int) -> Measurement:
    """Run impasto at its default settings, except for a single scale and few steps."""
    settings = preset().replace(size=size, steps=count(size), scale_factor=1)
    run = Plan(content, style, size).run(settings, "auto", memory=memory)
    times, notes = [0.0], []
    for step in run:
        times.append(step.seconds)
        notes += step.notes
    with tempfile.TemporaryDirectory() as folder:
        result_of(run).save(Path(folder) / "out.png")
    (plan,) = run.plan
    seconds = [later - earlier for earlier, later in pairwise(times)]
    return Measurement(run.width, run.height, plan.strip, peak(), plan.memory, seconds, notes)


def _main(content: str, style: str, size: str, memory: str) -> None:
    print(json.dumps(dataclasses.asdict(_measure(Path(content), Path(style), int(size), int(memory)))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
