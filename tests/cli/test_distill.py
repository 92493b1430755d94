"""`impasto distill`, and `impasto fast` with the style file that it wrote."""

import errno
import json
import os
import signal

import pytest
import torch

from impasto import Picture, load, reporting
from impasto.cli.display import Lines
from impasto.feedforward import training_images
from impasto.jobs.claims import claimed

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("small_crops")]


@pytest.fixture
def style(tmp_path):
    return tmp_path / "style.safetensors"


@pytest.fixture
def distill(impasto, style_image, narrow_weights, style, monkeypatch):
    """Run it with the narrow network, by default for two steps; the images to train on are fewer than usual."""
    monkeypatch.setattr(training_images, "PROCEDURAL_IMAGES", 1)
    fixed = ["--weights", narrow_weights, "--device", "cpu", "--precision", "float32"]

    def run(*arguments, steps=2):
        return impasto("distill", style_image, "-o", style, "--steps", steps, *fixed, *arguments)

    return run


@pytest.fixture(scope="module")
def made():
    """The bytes of a style file, once there is one."""
    return []


@pytest.fixture
def trained(distill, style, made):
    """A style file."""
    if not made:
        assert distill(steps=1).status == 0
        made.append(style.read_bytes())
    style.write_bytes(made[0])
    return style


def test_a_style_file_is_written_and_used_by_fast(distill, impasto, style, content_image, tmp_path):
    outcome = distill()
    assert (outcome.status, outcome.out) == (0, "")
    assert "distill: 512x512 pixels, 2 steps on cpu" in outcome.err
    assert outcome.err.endswith(f"saved {style}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors"]
    out = tmp_path / "out.png"
    assert impasto("fast", content_image, style, "-o", out).status == 0
    assert load(out).tensor.shape == (3, 30, 40)
    again = tmp_path / "again.png"
    assert impasto("rerun", out, content_image, style, "-o", again).status == 0
    assert torch.equal(load(out).tensor, load(again).tensor)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--strength", "0.3"], "strength: got 0.3, but the strength of a distilled style is fixed"),
        (["--color", "match"], "color: got 'match', which needs the style image"),
    ],
)
def test_options_that_a_style_file_does_not_support_are_refused(  # noqa: PLR0917
    flags, complaint, impasto, trained, content_image, tmp_path
):
    words = [content_image, trained, "-o", tmp_path / "out.png", *flags, "--quiet"]
    assert complaint in impasto("fast", *words).complaint()


def test_a_style_file_is_not_mixed(impasto, trained, content_image, style_image, tmp_path):
    complaint = impasto("fast", content_image, trained, style_image, "-o", tmp_path / "out.png").complaint()
    assert "cannot be mixed" in complaint


def test_training_images_may_come_from_a_folder(distill, tmp_path, content_image):
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert "contains no images" in distill("--pictures", folder).complaint()
    load(content_image).save(folder / "small.png")
    assert "too few for a training image" in distill("--pictures", folder).complaint()
    Picture(torch.rand(3, 300, 400)).save(folder / "small.png")
    assert distill("--pictures", folder).status == 0
    assert "is not a folder" in distill("--pictures", content_image, "--overwrite").complaint()


def test_another_suffix_and_a_file_that_exists_are_refused(impasto, distill, style, style_image, tmp_path):
    assert "give a name that ends in it" in impasto("distill", style_image, "-o", tmp_path / "style.png").complaint()
    style.write_bytes(b"mine")
    assert "exists already" in distill().complaint()
    assert style.read_bytes() == b"mine"


def test_a_stopped_training_is_resumed_to_the_same_bytes(distill, style, tmp_path, monkeypatch):
    assert distill(steps=3).status == 0
    whole = style.read_bytes()
    style.unlink()
    step_events = reporting.step_events

    def stopping(step):
        if step.number == 1:
            signal.raise_signal(signal.SIGINT)
        return step_events(step)

    monkeypatch.setattr(reporting, "step_events", stopping)
    assert distill(steps=3).status == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors.checkpoint"]
    monkeypatch.setattr(reporting, "step_events", step_events)
    assert "holds an unfinished run" in distill(steps=3).complaint()
    assert "was started with steps 3, got 4" in distill("--resume", "--quiet", steps=4).complaint()
    style.write_bytes(b"of another program")
    assert "exists already" in distill("--resume", steps=3).complaint()
    style.unlink()
    with claimed([style]):
        assert "is being written by another run" in distill("--resume", steps=3).complaint()
    monkeypatch.setattr(Lines, "EVERY", 0.0)
    outcome = distill("--resume", steps=3)
    assert "step 3/3 at 512 pixels" in outcome.err
    assert outcome.status == 0
    assert outcome.err.startswith("note: resuming at step 2 of 3\n")
    assert style.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors"]


def test_the_events_of_a_training(distill, style):
    outcome = distill("--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["event"] for event in events] == ["began", "planned", "stepped", "stepped", "saved"]
    assert events[0]["task"] == "distill"
    assert events[-1]["path"] == str(style)


@pytest.mark.linux("/proc/self/fd")
def test_a_checkpoint_that_cannot_be_written_is_reported_once_and_does_not_end_the_training(distill, monkeypatch):
    fsync = os.fsync

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    outcome = distill("--checkpoint-every", "0s")
    assert outcome.status == 0
    assert outcome.err.count("no checkpoint written: ") == 1
