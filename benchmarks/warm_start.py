"""Warm start: the one-pass result against the content image as the initial image; the 8-bit loss over the steps."""

from pathlib import Path

from benchmarks.plan import Plan, Row, Section
from impasto import api, load, preset
from impasto.optimize.result import result_of

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
"""Fractions of the last scale's steps after which the loss is measured."""


def measure(plan: Plan) -> Section:
    """Both initial images, at one scale and at several; results go into `warm-start` of the output folder."""
    folder = plan.out / "warm-start"
    folder.mkdir(parents=True, exist_ok=True)
    content, style = load(plan.content), load(plan.style)
    rows: list[Row] = []
    for scales, factor in (("one scale", 1.0), ("several", 2.0)):
        for init in ("content", "fast"):
            settings = preset().replace(size=plan.size, steps=plan.steps, scale_factor=factor, init=init)
            run = api.create_run(content, [style], settings)
            name = f"{plan.content.stem}-{plan.style.stem}-{scales.replace(' ', '-')}-{init}.png"
            losses = _losses(run, folder / name)
            rows.append({"scales": scales, "initial image": init, **losses})
    title = f"Warm start: {plan.content.stem} x {plan.style.stem}, {plan.size} pixels"
    return Section(title, rows, ["The loss is the run's own at its last scale, of the image rounded to 8 bits."])


def _losses(run: api.Run, path: Path) -> dict[str, float]:
    """The loss after each of the fractions of the last scale's steps."""
    last = run.plan[-1].scale.steps
    fractions = {run.steps - last + max(round(fraction * last), 1): fraction for fraction in FRACTIONS}
    losses = {}
    for step in run:
        if (fraction := fractions.get(step.number + 1)) is not None:
            losses[f"after {fraction:.0%}"] = run.evaluate(run.picture.rounded()).to_floats()["total"]
    result_of(run).save(path)
    return {**losses, "seconds": run.seconds}
