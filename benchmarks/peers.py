"""Seconds per step of another program, measured through its own command: pastiche."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.plan import Plan, Row, Section

BASE_STEPS = 2
"""Steps of the shorter run."""


def measure(plan: Plan) -> Section:
    """The difference of two runs of different length: start-up and saving cancel out."""
    with tempfile.TemporaryDirectory() as folder:
        short, long = (
            seconds(plan, steps, Path(folder) / "out.png") for steps in (BASE_STEPS, BASE_STEPS + plan.rounds)
        )
    row: Row = {"variant": "pastiche (L-BFGS), float32", "seconds": (long - short) / plan.rounds}
    note = f"Its own command at its defaults: ({BASE_STEPS + plan.rounds} steps - {BASE_STEPS} steps) / {plan.rounds}."
    return Section("Other programs, a whole step", [row], [note])


def seconds(plan: Plan, steps: int, output: Path) -> float:
    """Seconds that the command of pastiche takes for a number of steps, from its start to the saved PNG."""
    files = ["--content", str(plan.content), "--styles", str(plan.style), "--output", str(output)]
    flags = ["--size", str(plan.size), "--num-steps", str(steps), "--device", "cpu", "--no-verbose"]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pastiche", *files, *flags], check=True)
    return time.perf_counter() - started
