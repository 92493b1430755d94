"""Memory and seconds of a step at one size after the other under a limit, each in a process of its own."""

import json
import subprocess
import sys
from statistics import median

from benchmarks.at_size import Taken, count
from benchmarks.plan import Plan, Row, Section

WHOLE = 1024
"""The long edge whose picture, evaluated whole, the others are compared with."""


def measure(plan: Plan) -> Section:
    """Every size once; one that fails, for want of memory say, is told of in a note."""
    found: list[Taken] = []
    notes = [
        f"Default settings at a single scale, limit of {plan.memory_limit / 1e6:.0f} MB; files read, picture saved.",
        f"The median step without the first, of {count(WHOLE)} up to {WHOLE} pixels, of {count(WHOLE + 1)} beyond.",
    ]
    for size in plan.sizes:
        done = subprocess.run(_command(plan, size), capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.splitlines() or [f"it ended with status {done.returncode}"])[-1]
            notes.append(f"{size}: NOT MEASURED. {reason}")
            continue
        found.append(Taken(**json.loads(done.stdout)))
        notes += [f"{size}: {note}" for note in found[-1].notes]
    return Section("One size after the other", _rows(found), notes)


def _command(plan: Plan, size: int) -> list[str]:
    files = [str(plan.content), str(plan.style)]
    return [sys.executable, "-m", "benchmarks.at_size", *files, str(size), str(plan.memory_limit)]


def _rows(found: list[Taken]) -> list[Row]:
    """The table: a row's pace beside that of WHOLE, if that is among them and was evaluated whole."""
    is_whole = (each for each in found if each.strip is None and max(each.width, each.height) == WHOLE)
    pace = next(map(_pace, is_whole), None)
    return [
        {
            "size": f"{each.width}x{each.height}",
            "strip": each.strip or "whole",
            "peak MB": each.peak / 1e6,
            "planned MB": each.planned / 1e6,
            "seconds": _seconds(each),
            "seconds a megapixel": _pace(each),
            f"as a multiple of {WHOLE} whole": None if pace is None else _pace(each) / pace,
        }
        for each in found
    ]


def _seconds(taken: Taken) -> float:
    """Of a step. The first one, which warms up and may evaluate twice, counts only if there is no other."""
    return median(taken.steps[1:] or taken.steps)


def _pace(taken: Taken) -> float:
    """Seconds of a step for a megapixel."""
    return _seconds(taken) / (taken.width * taken.height / 1e6)
