"""The runner executes a run and a training by the same loop."""

import json

import pytest
import torch

from impasto import Picture, Run, Settings, events, load
from impasto.errors import DivergedError
from impasto.feedforward.procedural_images import procedural_image
from impasto.feedforward.train import Training
from impasto.jobs import runner
from impasto.jobs.outputs import Outputs
from impasto.optimize import checkpoint
from impasto.settings.presets import preset


@pytest.fixture
def create(request, narrow, content_image, style_image):
    """Create a run or a training of four steps."""

    def run():
        return Run(load(content_image), [load(style_image)], Settings(size=32, steps=4), vgg=narrow)

    def training():
        images = [Picture(procedural_image(0), name="image 0")]
        return Training(load(style_image), images, preset().replace(steps=4), narrow)

    return {"run": run, "training": training}[request.param]


@pytest.fixture
def outputs(create, tmp_path):
    result = "out.png" if create.__name__ == "run" else "out.safetensors"
    return Outputs(tmp_path / result, tmp_path / "c", log=tmp_path / "log.jsonl")


pytestmark = pytest.mark.usefixtures("small_crops")
both = pytest.mark.parametrize("create", ["run", pytest.param("training", marks=pytest.mark.weights)], indirect=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@both
def test_a_stopped_run_resumes_to_the_same_bytes(create, outputs, tmp_path):
    runner.execute(create(), outputs, lambda _: None, lambda: False)
    whole, lines = outputs.result.read_bytes(), outputs.log.read_text().splitlines()
    for path in (outputs.result, outputs.log):
        path.unlink()

    seen = []

    def stopped():
        return sum(isinstance(event, events.Stepped) for event in seen) == 2

    runner.execute(create(), outputs, seen.append, stopped)
    assert checkpoint.read(outputs.checkpoint).steps_done == 2
    resumed = []
    runner.execute(create(), outputs, resumed.append, lambda: False, checkpoint.read(outputs.checkpoint))
    assert resumed[0] == events.Noted("resuming at step 2 of 4")
    assert [event.step for event in resumed if isinstance(event, events.Stepped)] == [2, 3]
    assert resumed[-1] == events.Saved(str(outputs.result))
    assert outputs.result.read_bytes() == whole
    assert names(tmp_path) == sorted(["log.jsonl", outputs.result.name])
    losses = [[json.loads(line)["total"] for line in text] for text in (lines, outputs.log.read_text().splitlines())]
    assert losses[0] == losses[1]


@pytest.mark.weights
@pytest.mark.parametrize("create", ["training"], indirect=True)
def test_a_training_that_diverges_saves_nothing_and_keeps_its_checkpoint(create, outputs, tmp_path):
    training = create()
    checkpoint.save(training, outputs.checkpoint)
    with torch.no_grad():
        training.network.shift[0].fill_(float("nan"))
    with pytest.raises(DivergedError, match="step 0: the loss is nan"):
        runner.execute(training, outputs, lambda _: None, lambda: False)
    assert names(tmp_path) == ["c", "log.jsonl"]
