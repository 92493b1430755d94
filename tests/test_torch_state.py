"""Results depend neither on the state of torch that the caller has set nor on where the input tensors come from."""

import contextlib
import dataclasses
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import impasto
from impasto import Picture, Settings, api, events
from impasto.feedforward.style_file import DistilledStyle
from impasto.jobs import rerun
from impasto.vgg.model import VGG19

pytestmark = pytest.mark.usefixtures("small_crops", "undrawn_plots")
SMALL = Settings(size=32, steps=2, tv_weight=0.1)


def noise() -> Tensor:
    """An image of 128x128 pixels, made in any state of torch."""
    generator = torch.Generator("cpu").manual_seed(1)
    return torch.rand(3, 128, 128, generator=generator, dtype=torch.float32, device="cpu")


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The files that the entry points read, and a folder for those that they write."""

    content: Path
    style: Path
    weights: Path
    folder: Path

    @functools.cached_property
    def vgg(self) -> VGG19:
        return VGG19.load(self.weights, device="cpu", precision="float32")


@pytest.fixture
def inputs(content_image: Path, style_image: Path, narrow_weights: Path, tmp_path: Path) -> Inputs:
    return Inputs(content_image, style_image, narrow_weights, tmp_path)


def check_state() -> Callable[[events.Event], None]:
    """A callback for events that the library must call in the caller's state."""
    state = torch_state()

    def check(_: events.Event) -> None:
        assert torch_state() == state

    return check


def stylize(given: Inputs, **changes: Any) -> Tensor:
    styles, settings = [given.style, given.content], SMALL.replace(**changes)
    return impasto.stylize(given.content, styles, settings, vgg=given.vgg, on_event=check_state()).tensor


def take_steps(given: Inputs) -> Tensor:
    run = api.create_run(given.content, given.style, SMALL.replace(size=64, first_scale=32), vgg=given.vgg)
    state = torch_state()
    for step in run:
        assert torch_state() == state
        step.preview()
    return run.picture.tensor


def write(given: Inputs) -> Tensor:
    impasto.load(given.content).save(given.folder / "saved.png", depth=16)
    return impasto.load(given.folder / "saved.png").tensor


def sweep(given: Inputs) -> Tensor:
    folder = given.folder / "sweep"
    impasto.sweep(given.content, given.style, {"steps": [1]}, folder, SMALL, vgg=given.vgg, on_event=check_state())
    return impasto.load(next(folder.glob("*steps*.png"))).tensor


def repeat(given: Inputs) -> Tensor:
    result = given.folder / "result.png"
    impasto.stylize(given.content, given.style, SMALL, vgg=given.vgg).save(result)
    found = rerun.find_inputs(result, [given.content, given.style])
    return api.complete(rerun.recreate_run(found, str(given.weights), rerun.Overrides(threads=1))).tensor


def distill(given: Inputs) -> Tensor:
    settings = impasto.preset("distill").replace(
        steps=1, style_layers=["block1_conv1"], content_layers=["block1_conv2"]
    )
    image = Picture(noise())
    distilled = impasto.distill(given.style, [image], settings, vgg=given.vgg, on_event=check_state())
    return torch.cat([values.detach().flatten() for values in distilled.network.parameters()])


ENTRIES: dict[str, Callable[[Inputs], Tensor]] = {
    "stylize": stylize,
    "stylize, wasserstein": lambda given: stylize(given, style_loss="wasserstein", color="match"),
    "stylize, nearest": lambda given: stylize(given, style_loss="nearest", color="luminance", optimizer="adam"),
    "stylize, from the one-pass result": lambda given: stylize(given, init="fast", style_rotation=30, size=64),
    "texture": lambda given: impasto.texture(given.style, SMALL, vgg=given.vgg).tensor,
    "reconstruct": lambda given: impasto.reconstruct(given.content, settings=SMALL, vgg=given.vgg).tensor,
    "fast": lambda given: impasto.fast(given.content, given.style).tensor,
    "recolor": lambda given: impasto.recolor(given.content, given.style).tensor,
    "steps": take_steps,
    "save": write,
    "sweep": sweep,
    "rerun": repeat,
    "distill": distill,
}


@contextlib.contextmanager
def changed(value: Any, set_value: Callable[[Any], object], default: Any) -> Iterator[None]:
    set_value(value)
    try:
        yield
    finally:
        set_value(default)


STATES: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "inference": torch.inference_mode,
    "no grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: changed("meta", torch.set_default_device, None),
    "device context": lambda: torch.device("meta"),
    "float64": lambda: changed(torch.float64, torch.set_default_dtype, torch.float32),
    "float16": lambda: changed(torch.float16, torch.set_default_dtype, torch.float32),
    "deterministic": lambda: changed(True, torch.use_deterministic_algorithms, False),
    "matmul": lambda: changed("medium", torch.set_float32_matmul_precision, "highest"),
}


def torch_state() -> tuple[object, ...]:
    """What the library must leave as it was."""
    return (
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )


@pytest.fixture(scope="module")
def reference(
    content_image: Path, style_image: Path, narrow_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Tensor]:
    """The result of an entry point in torch's own state."""

    @functools.cache
    def compute(entry: str) -> Tensor:
        return ENTRIES[entry](Inputs(content_image, style_image, narrow_weights, tmp_path_factory.mktemp("clean")))

    return compute


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("entry", ENTRIES)
def test_no_state_of_torch_changes_a_result_or_is_changed(
    entry: str, state: str, inputs: Inputs, reference: Callable[[str], Tensor]
) -> None:
    expected = reference(entry)
    with STATES[state]():
        before = torch_state()
        result = ENTRIES[entry](inputs)
        assert torch_state() == before
    assert torch.equal(result, expected)
    assert result.dtype == torch.float32


def test_the_state_is_restored_after_an_error(inputs: Inputs) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        before = torch_state()
        with pytest.raises(impasto.ImpastoError):
            impasto.load(inputs.folder / "missing.png")
        assert torch_state() == before


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_may_be_continued_in_another_state(inputs: Inputs, optimizer: str) -> None:
    settings = SMALL.replace(steps=4, optimizer=optimizer, average=0.5)
    whole = api.complete(api.create_run(inputs.content, inputs.style, settings, vgg=inputs.vgg))
    with torch.inference_mode():
        run = api.create_run(inputs.content, inputs.style, settings, vgg=inputs.vgg)
        steps = iter(run)
        next(steps)
    next(steps)
    with torch.inference_mode():
        next(steps)
    next(steps)
    assert torch.equal(run.picture.rounded().tensor, whole.rounded().tensor)


@pytest.mark.parametrize("kind", ["inference", "requires grad", "parameter"])
@pytest.mark.parametrize("entry", ["stylize", "fast", "distill", "recolor", "save"])
def test_a_picture_may_be_made_of_any_float32_tensor(entry: str, kind: str, inputs: Inputs) -> None:
    plain, given = noise(), noise()
    if kind == "inference":
        with torch.inference_mode():
            given = plain.clone()
    elif kind == "requires grad":
        given = plain.clone().requires_grad_() * 1
    else:
        given = torch.nn.Parameter(plain.clone())
    results = []
    for tensor in (plain, given):
        before, picture = tensor.clone(), Picture(tensor, tensor[:1], name="noise")
        if entry == "stylize":
            found = impasto.stylize(picture, [inputs.style, picture], SMALL, vgg=inputs.vgg)
        elif entry == "fast":
            found = impasto.fast(picture, picture, reuse=True)
        elif entry == "recolor":
            found = impasto.recolor(picture, picture, "content")
        elif entry == "save":
            picture.save(inputs.folder / "saved.png")
            found = impasto.load(inputs.folder / "saved.png")
        else:
            settings = impasto.preset("distill").replace(steps=1, style_layers=["block1_conv1"])
            distilled = impasto.distill(picture, [picture], settings, vgg=inputs.vgg)
            found = impasto.fast(inputs.content, saved(distilled, inputs.folder / "style.safetensors"))
        results.append((found.tensor, picture.content_hash))
        assert entry == "fast" or torch.equal(tensor, before)
    (one, one_hash), (other, other_hash) = results
    assert one_hash == other_hash
    assert torch.equal(one, other)


def saved(style: DistilledStyle, path: Path) -> Path:
    style.save(path)
    return path


FORK = """
import os, torch, impasto
from impasto import Picture, Settings, VGG19
image = Picture(torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1)))
vgg = VGG19.random((8, 8, 16, 16, 16))

def work():
    return impasto.stylize(image, image, Settings(size=96, steps=1, init="noise"), vgg=vgg).content_hash

def in_child():
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, work().encode())
        os._exit(0)
    os.close(write)
    return os.read(read, 64).decode()

torch.set_num_threads(2)
first = in_child()
torch.rand(1000, 1000) @ torch.rand(1000, 1000)
assert in_child() == first
assert work() == first
assert in_child() == first
assert work() == first
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system has no fork")
def test_a_process_may_be_forked_before_and_after_threads_were_used() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}  # of the cores that tests share
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 0
