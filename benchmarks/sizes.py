"""Memory and seconds per step over image size under a memory limit, each size in its own process."""

import json
import subprocess
import sys
from statistics import median

from benchmarks.at_size import Measurement, count
from benchmarks.plan import Plan, Row, Section

WHOLE = 1024
"""The long edge of the reference: its image is evaluated whole."""


def measure(plan: Plan) -> Section:
    """Run every size once; a size that fails, such as for lack of memory, becomes a note."""
    measurements: list[Measurement] = []
    notes = [
        f"Default settings at a single scale, limit of {plan.memory_limit / 1e6:.0f} MB; with file input and output.",
        f"Median of the steps except the first: {count(WHOLE)} steps up to {WHOLE} pixels, {count(WHOLE + 1)} beyond.",
    ]
    for size in plan.sizes:
        done = subprocess.run(_command(plan, size), capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.splitlines() or [f"it ended with status {done.returncode}"])[-1]
            notes.append(f"{size}: NOT MEASURED. {reason}")
            continue
        measurements.append(Measurement(**json.loads(done.stdout)))
        notes += [f"{size}: {note}" for note in measurements[-1].notes]
    return Section("Image sizes", _rows(measurements), notes)


def _command(plan: Plan, size: int) -> list[str]:
    files = [str(plan.content), str(plan.style)]
    return [sys.executable, "-m", "benchmarks.at_size", *files, str(size), str(plan.memory_limit)]


def _rows(measurements: list[Measurement]) -> list[Row]:
    """The rows, relative to the time per megapixel at `WHOLE` if it was measured and evaluated whole."""
    whole = (m for m in measurements if m.strip is None and max(m.width, m.height) == WHOLE)
    pace = next(map(_pace, whole), None)
    return [
        {
            "size": f"{measurement.width}x{measurement.height}",
            "strip": measurement.strip or "whole",
            "peak MB": measurement.peak / 1e6,
            "planned MB": measurement.planned / 1e6,
            "seconds": _seconds(measurement),
            "seconds per megapixel": _pace(measurement),
            f"as a multiple of {WHOLE} whole": None if pace is None else _pace(measurement) / pace,
        }
        for measurement in measurements
    ]


def _seconds(measurement: Measurement) -> float:
    """Seconds per step, without the first one if there are others: it warms up and may evaluate twice."""
    return median(measurement.steps[1:] or measurement.steps)


def _pace(measurement: Measurement) -> float:
    """Seconds per step and megapixel."""
    return _seconds(measurement) / (measurement.width * measurement.height / 1e6)
