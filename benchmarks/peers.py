"""Seconds a step of other programs, through their own commands: pastiche."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.plan import Plan, Row, Section

FEW = 2
"""Steps of the shorter run."""


def measure(plan: Plan) -> Section:
    """Two runs of different length: what they differ by is the steps; starting and saving cancel out."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = (seconds(plan, steps, Path(folder) / "out.png") for steps in (FEW, FEW + plan.rounds))
    row: Row = {"variant": "pastiche (L-BFGS), float32", "seconds": (many - few) / plan.rounds}
    note = f"Its own command at its defaults: {FEW + plan.rounds} steps less {FEW}, divided by {plan.rounds}."
    return Section("Peers, a whole step", [row], [note])


def seconds(plan: Plan, steps: int, output: Path) -> float:
    """What pastiche's command takes for so many steps, from its start to the saved PNG."""
    files = ["--content", str(plan.content), "--styles", str(plan.style), "--output", str(output)]
    flags = ["--size", str(plan.size), "--num-steps", str(steps), "--device", "cpu", "--no-verbose"]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pastiche", *files, *flags], check=True)
    return time.perf_counter() - began
