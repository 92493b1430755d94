"""Seconds until impasto's saved picture is as good as the usual way's: the same loss, each with its own optimizer.

The bar is the loss of the picture that plain Adam ends with. Every picture is rounded to eight bits a channel, as a
file holds it, and judged by the plain float32 network, outside the clock; the clock runs for the steps alone.
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
"""The settings that make the loss what it is."""
EVERY = 10
"""Steps of plain Adam from one look at its picture to the next."""
USUAL = "plain Adam, float32"


def ours(size: int) -> Settings:
    """impasto's own way: the loss of pastiche, and all else at the defaults, but for one scale."""
    formula = preset("pastiche")
    return Settings(size=size, scale_factor=1, **{name: getattr(formula, name) for name in FORMULA})


def measure(plan: Plan) -> Section:
    """Plain Adam once, then impasto in the precision that it chooses itself, and in float32 if that is another."""
    content, style = plan.tensors()
    judge = Plain(content, style)
    start = (0.0, judge.saved_loss(content))
    curves = {USUAL: [start, *_usual(judge, plan)]}
    seconds, bar = curves[USUAL][-1]
    rows: list[Row] = [{"variant": USUAL, "steps": plan.steps, "seconds": seconds, "loss": bar, "times as fast": 1.0}]
    notes = ["Seconds of the steps alone, until the saved picture's loss is at or below plain Adam's last."]
    for precision in dict.fromkeys((_best_precision(), "float32")):
        run = plan.run(ours(plan.size), precision)
        name = f"impasto ({run.settings.optimizer}), {precision}"
        curves[name] = [start, *_own(run, judge, bar)]
        rows.append(_row(name, curves[name], seconds, bar))
        if rows[-1]["times as fast"] is None:
            notes.append(f"{name}: NOT REACHED in {run.steps_done} steps; the row tells of its best picture.")
    return Section("Seconds to the same loss", rows, notes, curves)


def _best_precision() -> str:
    return str(select_dtype("auto", torch.device("cpu"))).removeprefix("torch.")


def _usual(judge: Plain, plan: Plan) -> Iterator[tuple[float, float]]:
    """Plain Adam's way down, looked at now and then and at its end."""
    content, _ = plan.tensors()
    for number, (seconds, picture) in enumerate(adam(judge, content, plan.steps), 1):
        if number % EVERY == 0 or number == plan.steps:
            yield seconds, judge.saved_loss(picture)


def _own(run: Run, judge: Plain, bar: float) -> Iterator[tuple[float, float]]:
    """impasto's way down, as far as the bar."""
    for seconds, step in _timed(run):
        loss = judge.saved_loss(step.preview().tensor[None])
        yield seconds, loss
        if loss <= bar:
            return


def _timed(run: Run) -> Iterator[tuple[float, Step]]:
    """The steps, each with the seconds of all so far; what is done between them does not count."""
    steps, seconds = iter(run), 0.0
    while True:
        began = time.perf_counter()
        step = next(steps, None)
        seconds += time.perf_counter() - began
        if step is None:
            return
        yield seconds, step


def _row(name: str, curve: Curve, usual: float, bar: float) -> Row:
    """The best picture of a curve, and how much sooner than usual it came to be if it is good enough."""
    steps = min(range(1, len(curve)), key=lambda index: curve[index][1])
    seconds, loss = curve[steps]
    speed = usual / seconds if loss <= bar else None
    return {"variant": name, "steps": steps, "seconds": seconds, "loss": loss, "times as fast": speed}
