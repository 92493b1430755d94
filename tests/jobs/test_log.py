"""Logs read back: what a run wrote, and what a user may pass instead."""

import json

import pytest

from impasto.errors import LogError
from impasto.events import Stepped
from impasto.jobs.log import Log, read_log

STEP = {"step": 0, "scale": 32, "total": 2.0, "content": 0, "style": 1.5, "tv": 0.25, "grain": 0.5, "seconds": 0.5}
LAYERS = {"content": {"block4_conv2": 0.5}, "style": {"block1_conv1": 1, "block2_conv1": 2.5}}


@pytest.fixture
def log(tmp_path):
    """A file of these lines; what is not text yet becomes JSON."""

    def write(*lines):
        path = tmp_path / "run.jsonl"
        path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
        return path

    return write


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "run.jsonl"
    with Log(path) as log:
        log(Stepped(0, 32, 2.0, 0.0, 1.5, 0.25, 0.5, 0.5))
    (entry,) = read_log(path)
    assert (entry.step, entry.scale, entry.seconds, entry.layers) == (0, 32, 0.5, {})
    assert entry.losses == {"total": 2.0, "content": 0.0, "style": 1.5, "tv": 0.25, "grain": 0.5}


def test_losses_of_layers_are_read_where_they_are(log):
    assert read_log(log({**STEP, "layers": LAYERS}))[0].layers == LAYERS


def test_a_last_line_that_a_crash_left_is_passed_over(log):
    path = log(STEP, {**STEP, "step": 1})
    path.write_text(path.read_text()[:-20])
    assert [entry.step for entry in read_log(path)] == [0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no step of a run; give a file that --log wrote"),
        (["hello"], "holds no step of a run"),
        (["hello", "world"], "line 1 is not JSON"),
        ([STEP, "{", STEP], "line 2 is not JSON"),
        (["[" * 100_000, STEP], "line 1 is not JSON"),
        ([[1]], "line 1 is not a step of a run (not an object)"),
        ([{"event": "began"}], "line 1 is not a step of a run (step is missing)"),
        ([{**STEP, "total": "2"}], "line 1 is not a step of a run (total is not a number)"),
        ([{**STEP, "total": True}], "(total is not a number)"),
        ([{**STEP, "total": 10**400}], "line 1 is not a step of a run (int too large to convert to float)"),
        ([{**STEP, "step": float("nan")}], "line 1 is not a step of a run"),
        ([{**STEP, "layers": [1]}], "(layers is not an object of objects)"),
        ([{**STEP, "layers": {"style": {"a\n": "x"}}}], "(a\\n is not a number)"),
    ],
)
def test_what_is_no_log_is_refused_in_a_line(lines, said, log):
    with pytest.raises(LogError) as caught:
        read_log(log(*lines))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_that_cannot_be_read_are_refused_in_a_line(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff")
    for name, said in (
        ("none", "No such file"),
        ("", "a folder"),
        ("binary", "is not a text file"),
        ("a\0b", "null"),
    ):
        with pytest.raises(LogError, match=said):
            read_log(tmp_path / name)


def test_bytes_that_are_not_text_are_kept_when_a_run_resumes(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\xff\xfe\n{}\nlater\n")
    with Log(path, keep=2) as log:
        log(Stepped(2, 32, 2.0, 0.0, 1.5, 0.25, 0.5, 0.5))
    first, second, third = path.read_bytes().splitlines()
    assert (first, second, json.loads(third)["step"]) == (b"\xff\xfe", b"{}", 2)
