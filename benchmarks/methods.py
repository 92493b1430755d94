"""The default against a single scale for the same time and against the command of pastiche: results and losses.

The loss is that of pastiche, of the saved files; `pastiche` minimizes it, the others do not. It depends strongly on how
the style image is resized: `pastiche` gives it as many pixels as the content image has, by bilinear interpolation;
impasto gives it the same long edge, with a sharper filter. So there are two losses, one for each way to resize it.
"""

from collections.abc import Callable
from pathlib import Path

from pastiche.pastiche import load_image
from torch import Tensor

from benchmarks import peers
from benchmarks.plain import MEAN, Plain
from benchmarks.plan import Plan, Row, Section
from impasto import Run, load, preset
from impasto.optimize.result import result_of

UNLIMITED = 100_000
"""Steps of a run that is limited by time."""


def measure(plan: Plan) -> Section:
    """Run each method once; results go into `methods` of the output folder."""
    folder = plan.out / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    objectives = {
        "loss, images read by pastiche": Plain(*_as_pastiche_reads(plan)),
        "loss, images read by impasto": Plain(*plan.tensors()),
    }

    def row(name: str, run: Callable[[Path], tuple[float, int]]) -> Row:
        path = folder / f"{plan.content.stem}-{plan.style.stem}-{name}.png"
        seconds, steps = run(path)
        image = load(path).tensor[None]
        losses = {title: objective.saved_loss(image) for title, objective in objectives.items()}
        return {"method": name, "seconds": seconds, "steps": steps} | losses

    rows = [row("painterly", lambda path: _painterly(plan, path))]
    seconds = float(rows[0]["seconds"] or 0)
    rows.append(row("single-scale", lambda path: _single_scale(plan, path, seconds)))
    rows.append(row("pastiche", lambda path: _pastiche(plan, path)))
    return Section(f"{plan.content.stem} x {plan.style.stem}, {plan.size} pixels", rows)


def _as_pastiche_reads(plan: Plan) -> tuple[Tensor, Tensor]:
    """Content and style (1, 3, H, W) in [0, 1], as `pastiche` reads and resizes them."""
    content = load_image(str(plan.content), size=plan.size)
    style = load_image(str(plan.style), pixels=content.shape[2] * content.shape[3])
    mean = content.new_tensor(MEAN).view(1, 3, 1, 1)
    return (content + mean).flip(1) / 255, (style + mean).flip(1) / 255


def _painterly(plan: Plan, path: Path) -> tuple[float, int]:
    run = plan.run(preset().replace(size=plan.size), "auto")
    return _save_result(run, path, float("inf"))


def _single_scale(plan: Plan, path: Path, seconds: float) -> tuple[float, int]:
    run = plan.run(preset().replace(size=plan.size, scale_factor=1, steps=UNLIMITED), "auto")
    return _save_result(run, path, seconds)


def _save_result(run: Run, path: Path, seconds: float) -> tuple[float, int]:
    """Run for at most `seconds` and save the result; return the seconds of its steps and their number."""
    for step in run:
        if step.seconds >= seconds:
            break
    result_of(run).save(path)
    return run.seconds, run.steps_done


def _pastiche(plan: Plan, path: Path) -> tuple[float, int]:
    """The command of pastiche at its defaults except for the number of steps; start-up and saving are included."""
    return peers.seconds(plan, plan.steps, path), plan.steps
