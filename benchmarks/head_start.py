"""Begun with what one pass paints, or with the photograph: the loss of the picture in 8 bits as the steps go on."""

from pathlib import Path

from benchmarks.plan import Plan, Row, Section
from impasto import api, load, preset
from impasto.optimize.result import result_of

MOMENTS = (0.1, 0.25, 0.5, 1.0)
"""Shares of all steps after which the picture is looked at."""


def measure(plan: Plan) -> Section:
    """Both ways at one scale and at several, pictures into `head-start` of the benchmark's folder."""
    folder = plan.out / "head-start"
    folder.mkdir(parents=True, exist_ok=True)
    photo, style = load(plan.content), load(plan.style)
    rows: list[Row] = []
    for scales, factor in (("one scale", 1.0), ("several", 2.0)):
        for init in ("content", "fast"):
            settings = preset().replace(size=plan.size, steps=plan.steps, scale_factor=factor, init=init)
            run = api.create_run(photo, [style], settings)
            name = f"{plan.content.stem}-{plan.style.stem}-{scales.replace(' ', '-')}-{init}.png"
            losses = _losses(run, folder / name)
            rows.append({"scales": scales, "begun with": init, **losses})
    title = f"Head start: {plan.content.stem} in the manner of {plan.style.stem}, {plan.size} pixels"
    return Section(title, rows, ["The loss is the run's own, at its last scale, of the picture in 8 bits."])


def _losses(run: api.Run, path: Path) -> dict[str, float]:
    """The loss after shares of the steps of the last scale."""
    last = run.plan[-1].scale.steps
    moments = {run.steps - last + max(round(share * last), 1): share for share in MOMENTS}
    found = {}
    for step in run:
        if (share := moments.get(step.number + 1)) is not None:
            found[f"after {share:.0%}"] = run.evaluate(run.picture.rounded()).to_floats()["total"]
    result_of(run).save(path)
    return {**found, "seconds": run.seconds}
