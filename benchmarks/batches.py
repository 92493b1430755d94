"""Batches: what planning and resuming 100 000 jobs takes, and what kills of worker processes cost.

`python -m benchmarks.batches plan` prints seconds and memory until the first job starts, of a new batch and of one that
is resumed. `python -m benchmarks.batches kills CONTENT... --styles STYLE...` runs a batch, and once more while a random
worker is killed at 20 random moments, and compares the files. A tenth of its time should be longer
than the start of a worker, or no worker ever begins.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from impasto.batches import manifest
from impasto.batches.backlog import Backlog
from impasto.batches.grid import Combination
from impasto.batches.planner import Planner
from impasto.batches.run import Batch, Before
from impasto.jobs.result import JobResult
from impasto.settings.presets import preset

KILLS = 20
SMALL = (
    "--size",
    "64",
    "--first-scale",
    "32",
    "--steps",
    "60",
    "--checkpoint-every",
    "0s",
    "--workers",
    "2",
    "--quiet",
)


class Pretending:
    """An executor that runs no job: `count` of them count as done at once; `began` is when it takes the first."""

    workers = 1

    def __init__(self, count: int) -> None:
        self._count, self.began = count, 0.0

    def run(self, jobs: Backlog, *_: object) -> Iterator[JobResult]:
        """The results."""
        self.began = time.perf_counter()
        for _ in range(self._count):
            if (job := jobs.take()) is not None:
                Path(job.outputs.result).touch()
                yield JobResult(job.id, job.outputs.result, "done", 10, 2.0, {"total": 1.0, "content": 0.5})


def plan(folder: Path, jobs: int, done: int, *, resume: bool) -> None:
    """Plan a batch of `jobs` jobs, of which `done` are done then, and print what it took."""
    began = time.perf_counter()
    before = Before(folder / "out", resume=resume)
    planner = Planner(sorted((folder / "styles").iterdir()), [Combination({}, preset())], folder / "out")
    backlog = Backlog(planner(sorted((folder / "in").iterdir()), before.names), before.is_finished)
    executor = Pretending(done)
    memory = psutil.Process().memory_info().rss / 1e6
    Batch(backlog, folder / "out", before).run(executor, lambda _: None)
    seconds = (time.perf_counter() - executor.began) / max(done, 1)
    state = "resumed" if resume else "new"
    print(f"{state}: {jobs} jobs, {executor.began - began:.1f} s, {memory:.0f} MB; then {1e3 * seconds:.2f} ms a job")


def plan_twice(jobs: int) -> None:
    """A new batch, and one that is resumed in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place, count in (("in", jobs // 10), ("styles", 10), ("out", 0)):
            (folder / place).mkdir()
            for number in range(count):
                (folder / place / f"{number:06}.png").write_bytes(f"{place} {number}".encode() * 100)
        for arguments in (["new", str(jobs * 7 // 10)], ["resumed", "1"]):
            command = [sys.executable, "-m", "benchmarks.batches", "once", name, str(jobs), *arguments]
            subprocess.run(command, check=True)


def kills(contents: list[str], styles: list[str]) -> None:
    """Run a batch twice, the second time with kills, and print what became of its images."""
    command = [sys.executable, "-m", "impasto", "batch", *contents, *SMALL]
    command += [word for style in styles for word in ("--style", style)]
    with tempfile.TemporaryDirectory() as name:
        whole, out = Path(name) / "whole", Path(name) / "out"
        began = time.monotonic()
        subprocess.run([*command, "-o", str(whole)], check=True)
        seconds = time.monotonic() - began
        count, status = _run_with_kills([*command, "-o", str(out)], seconds / 10)
        lines = (out / manifest.NAME).read_text(encoding="utf-8").splitlines()
        done = [record["output"] for record in map(json.loads, lines) if record["state"] == "done"]
        images = sorted(whole.glob("*.png"))
        equal = sum(path.read_bytes() == (out / path.name).read_bytes() for path in images if path.name in done)
        print(
            f"{count} kills, exit status {status}: {len(images)} images, {len(images) - len(set(done))} lost, "
            f"{len(done) - len(set(done))} made twice, {equal} equal to those of the undisturbed batch"
        )


def _run_with_kills(command: list[str], pause: float) -> tuple[int, int]:
    """Run a batch and kill its workers; the number of kills, and the exit status."""
    moments, count = random.Random(1), 0
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and count < KILLS:
        time.sleep(moments.uniform(1, max(pause, 1)))
        if process.poll() is None and (workers := psutil.Process(process.pid).children()):
            moments.choice(workers).kill()
            count += 1
    return count, process.wait()


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser("python -m benchmarks.batches", description="Measure batches.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("plan").add_argument("--jobs", type=int, default=100_000)
    killing = commands.add_parser("kills")
    killing.add_argument("contents", nargs="+")
    killing.add_argument("--styles", nargs="+", required=True)
    once = commands.add_parser("once", help="used by plan")
    for name, kind in (("folder", Path), ("jobs", int), ("state", str), ("done", int)):
        once.add_argument(name, type=kind)
    given = parser.parse_args()
    if given.command == "plan":
        plan_twice(given.jobs)
    elif given.command == "kills":
        kills(given.contents, given.styles)
    else:
        plan(given.folder, given.jobs, given.done, resume=given.state == "resumed")


if __name__ == "__main__":
    main()
