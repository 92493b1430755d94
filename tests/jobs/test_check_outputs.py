"""The files that a run writes are validated before any work is done."""

import sys

import pytest

from impasto.errors import OutputError
from impasto.feedforward.style_file import check_style_suffix
from impasto.images.picture import check_suffix
from impasto.jobs.outputs import Outputs, check_outputs, checkpoint_path


@pytest.fixture
def check(tmp_path):
    """Validate outputs in the temporary folder; the names of the files may be changed."""

    def run(*, overwrite=False, inputs=(), check_result=check_suffix, **names):
        paths = {field: tmp_path / name for field, name in {"result": "out.png", "checkpoint": "c", **names}.items()}
        replaceable = paths.values() if overwrite else ()
        check_outputs(Outputs(**paths, replaceable=replaceable), inputs=inputs, check_result=check_result)

    return run


def test_the_checkpoint_lies_beside_the_result_under_a_name_of_at_most_255_bytes(tmp_path):
    assert checkpoint_path(tmp_path / "out.png") == tmp_path / "out.png.checkpoint"
    long = checkpoint_path(tmp_path / f"{'ä' * 120}.png")
    assert long.parent == tmp_path
    assert len(long.name.encode()) == len("x" * 64 + ".checkpoint")


def test_outputs_that_can_be_written_are_accepted(check, tmp_path):
    check(log="log.jsonl", preview="preview.jpg", timelapse="timelapse.webp")
    (tmp_path / "out.png").write_text("old")
    (tmp_path / "c").write_text("a checkpoint may always be replaced")
    check(overwrite=True)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ({"result": "missing/out.png"}, "missing does not exist; create it"),
        ({"checkpoint": "missing/c"}, "missing does not exist; create it"),
        ({"result": "old.png"}, "old.png: exists already"),
        ({"preview": "old.png"}, "old.png: exists already"),
        ({"log": "out.png"}, "out.png: is given for two outputs"),
        ({"checkpoint": "out.png"}, "out.png: is given for two outputs"),
        ({"result": "out.xyz"}, "out.xyz: its suffix"),
        ({"preview": "preview.xyz"}, "preview.xyz: its suffix"),
        ({"timelapse": "timelapse.mp4"}, "timelapse.mp4: its suffix is not an animation format"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(names, complaint, check, tmp_path):
    (tmp_path / "old.png").write_text("old")
    with pytest.raises(OutputError, match=complaint):
        check(**names)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_names_that_differ_in_case_are_two_outputs_in_one_place(platform, check, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(OutputError, match=r"out\.png: is given for two outputs"):
        check(preview="OUT.PNG")


@pytest.mark.parametrize("field", ["result", "checkpoint", "log"])
def test_an_input_is_never_replaced(field, check, tmp_path):
    (tmp_path / "input.png").write_text("input")
    with pytest.raises(OutputError, match=r"input\.png: is also an input"):
        check(overwrite=True, inputs=[tmp_path / "input.png"], **{field: "input.png"})


def test_a_style_file_has_a_suffix_of_its_own(check):
    check(result="style.safetensors", check_result=check_style_suffix)
    with pytest.raises(OutputError, match=r"style\.png: "):
        check(result="style.png", check_result=check_style_suffix)
