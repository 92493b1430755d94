"""Seconds from the start of the command to its first step, and how much of that is the import of torch."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.plan import Plan, Row, Section

ROUNDS, SIZE = 3, 64
FIRST = '"event": "stepped"'


def measure(plan: Plan) -> Section:
    """Measure both in turn, three times."""
    imports, starts = [], []
    for _ in range(ROUNDS):
        imports.append(_until_end([sys.executable, "-c", "import torch"]))
        with tempfile.TemporaryDirectory() as folder:
            starts.append(_until_first_step(_command(plan, Path(folder) / "out.png")))
    rows: list[Row] = [
        {"variant": "impasto stylize, to its first step", "seconds": median(starts)},
        {"variant": "python -c 'import torch'", "seconds": median(imports)},
        {"variant": "difference", "seconds": median(starts) - median(imports)},
    ]
    return Section("Start", rows, [f"Median of {ROUNDS}; long edge of {SIZE} pixels."])


def _command(plan: Plan, output: Path) -> list[str]:
    files = [str(plan.content), str(plan.style), "-o", str(output)]
    flags = ["--size", str(SIZE), "--steps", "1", "--device", "cpu", "--json"]
    return [sys.executable, "-m", "impasto", "stylize", *files, *flags]


def _until_end(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _until_first_step(command: list[str]) -> float:
    """Seconds until the first line that tells of a step; the command is left to finish."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if FIRST in line:
                seconds = time.perf_counter() - started
                process.communicate()
                return seconds
    raise RuntimeError(f"{' '.join(command)}: ended with status {process.returncode} before a first step")
