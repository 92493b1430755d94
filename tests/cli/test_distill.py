"""`impasto distill`, and `impasto fast` with what it wrote."""

import os
import signal

import pytest
import torch

from impasto import Picture, load
from impasto.cli.display import Lines
from impasto.feedforward import train

pytestmark = pytest.mark.weights


@pytest.fixture
def style(tmp_path):
    return tmp_path / "style.safetensors"


@pytest.fixture
def distill(impasto, style_image, narrow_weights, style):
    """Run it with the narrow network, for two steps unless told otherwise."""
    fixed = ["--weights", narrow_weights, "--device", "cpu", "--precision", "float32"]

    def run(*arguments, steps=2):
        return impasto("distill", style_image, "-o", style, "--steps", steps, *fixed, *arguments)

    return run


def test_a_style_is_written_and_painted_with(distill, impasto, style, content_image, tmp_path):
    outcome = distill()
    assert (outcome.status, outcome.out) == (0, "")
    assert "distill: 256x256 pixels, 2 steps on cpu" in outcome.err
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
def test_what_a_style_does_not_have_is_refused(  # noqa: PLR0917
    flags, complaint, distill, impasto, style, content_image, tmp_path
):
    assert distill(steps=1).status == 0
    assert complaint in impasto("fast", content_image, style, "-o", tmp_path / "out.png", *flags, "--quiet").complaint()


def test_a_style_is_not_mixed(  # noqa: PLR0917
    distill, impasto, style, content_image, style_image, tmp_path
):
    assert distill(steps=1).status == 0
    complaint = impasto("fast", content_image, style, style_image, "-o", tmp_path / "out.png").complaint()
    assert "cannot be mixed" in complaint


def test_it_learns_on_a_folder(distill, tmp_path, content_image):
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert "holds no pictures" in distill("--pictures", folder).complaint()
    load(content_image).save(folder / "small.png")
    assert "too few to learn on" in distill("--pictures", folder).complaint()
    Picture(torch.rand(3, 300, 400)).save(folder / "small.png")
    assert distill("--pictures", folder).status == 0
    assert "is not a folder" in distill("--pictures", content_image, "--overwrite").complaint()


def test_another_suffix_and_a_file_that_exists_are_refused(impasto, distill, style, style_image, tmp_path):
    assert "give a name that ends in it" in impasto("distill", style_image, "-o", tmp_path / "style.png").complaint()
    style.write_bytes(b"mine")
    assert "exists already" in distill().complaint()
    assert style.read_bytes() == b"mine"


def test_what_was_stopped_is_gone_on_with_to_the_same_bytes(distill, style, tmp_path, monkeypatch):
    assert distill(steps=3).status == 0
    whole = style.read_bytes()
    style.unlink()
    take = train.Training._take

    def stopping(self, crop):
        if self.steps_done == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return take(self, crop)

    monkeypatch.setattr(train.Training, "_take", stopping)
    assert distill(steps=3).status == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors.checkpoint"]
    monkeypatch.undo()
    assert "holds an unfinished run" in distill(steps=3).complaint()
    assert "is of another painting" in distill("--resume", "--quiet", steps=4).complaint()
    monkeypatch.setattr(Lines, "EVERY", 0.0)
    outcome = distill("--resume", steps=3)
    assert "step 3/3 at 256 pixels" in outcome.err
    assert outcome.status == 0
    assert outcome.err.startswith("note: going on from step 2 of 3\n")
    assert style.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["style.safetensors"]
