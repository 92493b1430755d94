"""A run that is continued from bytes gives the same bits as one without interruption."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto import Run, Settings, StyleTargets, api, load
from impasto.errors import CheckpointError
from impasto.optimize import checkpoint
from impasto.vgg.model import VGG19

SETTINGS = Settings(size=48, first_scale=24, steps=4, seed=3)


@pytest.fixture
def begin(content_image: Path, style_image: Path, narrow: VGG19) -> Callable[..., Run]:
    def begin(**changes: object) -> Run:
        return Run(content_image, style_image, SETTINGS.replace(**changes), vgg=narrow)

    return begin


def advance(run: Run, steps: int) -> Run:
    for _, _ in zip(range(steps), run, strict=False):
        pass
    return run


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("done", [0, 3, 4, 6, 8])
def test_a_run_continues_from_its_bytes(  # noqa: PLR0917
    done: int, optimizer: str, begin: Callable[..., Run], content_image: Path, style_image: Path, narrow: VGG19
) -> None:
    whole, broken = begin(optimizer=optimizer), advance(begin(optimizer=optimizer), done)
    data = broken.to_bytes()
    assert isinstance(data, bytes)
    styles = StyleTargets(style_image, vgg=narrow)
    for given in ({"styles": style_image, "vgg": narrow}, {"styles": styles}):
        resumed = Run.from_bytes(data, load(content_image), **given)
        assert (resumed.steps_done, resumed.settings) == (done, broken.settings)
        assert torch.equal(resumed.picture.tensor, broken.picture.tensor)
    expected = [(step.number, step.scale, step.terms.to_floats()) for step in whole][done:]
    assert [(step.number, step.scale, step.terms.to_floats()) for step in resumed] == expected
    assert torch.equal(resumed.picture.tensor, whole.picture.tensor)


def test_masks_strips_and_an_initial_image_are_given_again(
    content_image: Path, style_image: Path, narrow: VGG19
) -> None:
    mask = torch.zeros(30, 40)
    mask[5:20, 5:20] = 1
    images = {"init": style_image, "keep": mask, "detail": mask.flip(1)}
    settings = SETTINGS.replace(init="painting.png")
    whole, broken = (
        Run(content_image, [style_image], settings, vgg=narrow, strips=[16, 32], **images) for _ in range(2)
    )
    data = advance(broken, 5).to_bytes()
    resumed = Run.from_bytes(data, content_image, [style_image], vgg=narrow, **images)
    assert [plan.strip for plan in resumed.plan] == [16, 32]
    for run in (whole, resumed):
        list(run)
    assert torch.equal(resumed.picture.tensor, whole.picture.tensor)
    with pytest.raises(CheckpointError, match="the bytes of a checkpoint: was started with another keep: "):
        Run.from_bytes(data, content_image, [style_image], vgg=narrow, **{**images, "keep": 1 - mask})


def test_the_bytes_are_those_of_a_checkpoint_file(
    begin: Callable[..., Run], content_image: Path, style_image: Path, narrow: VGG19, tmp_path: Path
) -> None:
    run = advance(begin(), 5)
    checkpoint.save(run, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == run.to_bytes()
    (tmp_path / "d").write_bytes(run.to_bytes())
    resumed = begin()
    checkpoint.resume(resumed, checkpoint.read(tmp_path / "d"))
    assert torch.equal(resumed.picture.tensor, run.picture.tensor)
    saved = checkpoint.read(run.to_bytes())
    assert (saved.steps_done, saved.owns(tmp_path / "c")) == (5, False)


def test_other_images_and_damaged_bytes_are_refused(
    begin: Callable[..., Run], content_image: Path, style_image: Path, narrow: VGG19
) -> None:
    data = advance(begin(), 2).to_bytes()
    with pytest.raises(CheckpointError, match=r"was started with another content: photo\.png, got painting\.png"):
        Run.from_bytes(data, style_image, style_image, vgg=narrow)
    with pytest.raises(CheckpointError, match=r"was started with another style 1: painting\.png, got photo\.png"):
        Run.from_bytes(data, content_image, content_image, vgg=narrow)
    with pytest.raises(CheckpointError, match="was started with precision float32, got bfloat16"):
        Run.from_bytes(data, content_image, style_image, vgg=VGG19(narrow.kernels, dtype=torch.bfloat16))
    header = data.index(b"\n") if b"\n" in data[:8] else 8
    for broken in (
        b"",
        b"x",
        b"\xff" * 8,
        data[:7],
        data[:-1],
        data[:header],
        data[:-40] + b"x" + data[-39:],
        data[:200],
    ):
        with pytest.raises(CheckpointError, match=r"^the bytes of a checkpoint: is not a checkpoint or is damaged \("):
            Run.from_bytes(broken, content_image, style_image, vgg=narrow)


def test_every_single_byte_counts(
    begin: Callable[..., Run], content_image: Path, style_image: Path, narrow: VGG19
) -> None:
    data = begin().to_bytes()
    for place in range(0, len(data), max(1, len(data) // 150)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(CheckpointError):
            Run.from_bytes(bytes(changed), content_image, style_image, vgg=narrow)


def test_the_network_is_loaded_as_it_was(
    content_image: Path, style_image: Path, narrow_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vgg = VGG19.load(narrow_weights, device="cpu", precision="bfloat16")
    data = advance(Run(content_image, style_image, SETTINGS, vgg=vgg), 2).to_bytes()
    load_network, asked = VGG19.load, []
    monkeypatch.setattr(VGG19, "load", lambda **how: asked.append(how) or load_network(narrow_weights, **how))
    assert Run.from_bytes(data, content_image, style_image).steps_done == 2
    assert asked == [{"device": "cpu", "precision": "bfloat16", "engine": []}]


def test_a_canceled_run_can_be_continued_from_its_bytes(
    begin: Callable[..., Run], content_image: Path, style_image: Path, narrow: VGG19
) -> None:
    whole, run = begin(), begin()
    api.complete(run, cancel=lambda: run.steps_done == 3)
    resumed = Run.from_bytes(run.to_bytes(), content_image, style_image, vgg=narrow)
    assert torch.equal(api.complete(resumed).tensor, api.complete(whole).tensor)
