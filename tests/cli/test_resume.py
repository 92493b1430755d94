"""Checkpoints and --resume, from the command line."""

import errno
import os
import signal

import pytest

from impasto import reporting
from impasto.errors import DivergedError
from impasto.optimize.run import Run

STOPS = [
    (getattr(signal, name), 128 + getattr(signal, name))
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)
]
LONG = ("--steps", 1000)


@pytest.fixture
def stopping(monkeypatch):
    """A run gets a signal after so many steps."""

    def stop(number, after):
        reports = reporting.step_events

        def stopped(step):
            if step.number + 1 == after:
                signal.raise_signal(number)
            return reports(step)

        monkeypatch.setattr(reporting, "step_events", stopped)

    return stop


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize(("number", "status"), STOPS)
def test_a_run_that_was_stopped_is_resumed_to_the_same_picture(  # noqa: PLR0917
    number, status, optimizer, stylize, stopping, monkeypatch, out, tmp_path
):
    how = ["--size", 48, "--first-scale", 24, "--optimizer", optimizer, "--log", tmp_path / "l.jsonl"]
    assert stylize(*how, "-o", tmp_path / "whole.png").status == 0
    lines = (tmp_path / "l.jsonl").read_text().splitlines()
    (tmp_path / "l.jsonl").unlink()
    stopping(number, 4)
    stopped = stylize(*how)
    assert stopped.status == status
    assert "note: stopped at the" not in stopped.err  # four steps lead to the second scale
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.jsonl", "out.png", "out.png.checkpoint", "whole.png"]
    monkeypatch.undo()
    outcome = stylize(*how, "--resume")
    assert outcome.status == 0
    assert outcome.err.splitlines()[0] == "note: resuming at step 4 of 6"
    assert out.read_bytes() == (tmp_path / "whole.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.jsonl", "out.png", "whole.png"]
    again = (tmp_path / "l.jsonl").read_text().splitlines()
    assert [line.rpartition('"seconds"')[0] for line in again] == [line.rpartition('"seconds"')[0] for line in lines]


def test_a_run_without_a_checkpoint_starts_at_step_0_and_says_so(stylize, out):
    outcome = stylize("--resume")
    assert outcome.status == 0
    assert outcome.err.splitlines()[0] == f"note: no checkpoint at {out}.checkpoint; starting at step 0"


def test_a_run_that_was_done_is_not_overwritten(stylize):
    assert stylize().status == 0
    assert "exists already" in stylize("--resume").complaint()


def test_an_unfinished_run_is_not_started_over_by_mistake(stylize, stopping, out, monkeypatch):
    stopping(signal.SIGTERM, 2)
    stylize()
    out.unlink()
    monkeypatch.undo()
    complaint = stylize().complaint()
    assert complaint == (
        f"{out}.checkpoint: holds an unfinished run; resume it (--resume), or start over (--overwrite)"
    )
    assert stylize("--overwrite").status == 0
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]


def test_the_checkpoint_of_another_run_is_refused(stylize, stopping, out, monkeypatch):
    stopping(signal.SIGTERM, 2)
    stylize()
    monkeypatch.undo()
    before = out.read_bytes()
    complaint = stylize("--resume", "--steps", 4).complaint()
    assert complaint.startswith(f"{out}.checkpoint: was started with steps 3, got 4; give the same again, ")
    assert (out.read_bytes(), out.with_name("out.png.checkpoint").exists()) == (before, True)


def test_a_checkpoint_may_lie_elsewhere(stylize, stopping, out, tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    where = tmp_path / "kept" / "run"
    stopping(signal.SIGTERM, 2)
    assert stylize("--checkpoint", where).status == 143
    assert where.exists()
    monkeypatch.undo()
    assert "resuming at step 2" in stylize("--checkpoint", where, "--resume").err
    assert not where.exists()


def test_checkpoints_are_saved_as_often_as_requested(stylize, monkeypatch):
    kept = []
    monkeypatch.setattr("impasto.optimize.checkpoint.save", lambda run, path, **_: kept.append(run.steps_done))
    assert stylize("--overwrite").status == 0
    assert kept == []
    assert stylize("--overwrite", "--checkpoint-every", "0s").status == 0
    assert kept == [1, 2, 3]


@pytest.mark.linux("/proc/self/fd")
def test_a_full_disk_keeps_the_last_checkpoint_and_is_reported_once(stylize, stopping, out, monkeypatch):
    stopping(signal.SIGTERM, 2)
    stylize()
    monkeypatch.undo()
    before = out.with_name("out.png.checkpoint").read_bytes()
    fsync, saved = os.fsync, []

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(out.with_name("out.png.checkpoint").read_bytes())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    outcome = stylize("--steps", 3, "--resume", "--checkpoint-every", "0s")
    assert outcome.status == 0
    assert outcome.err.count("no checkpoint written: ") == 1
    assert "(No space left on device); nothing was saved; the previous one is kept, the run continues" in outcome.err
    assert saved == [before, before]  # when the result and then its folder are flushed


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--checkpoint-every", "soon"], "--checkpoint-every: got 'soon'; give a time such as 30s, 5m or 1h"),
        (["--checkpoint-every", "-5m"], "--checkpoint-every: got '-5m'; give a time such as 30s, 5m or 1h"),
        (["--checkpoint-every", "5"], "--checkpoint-every: got '5'; give a time such as 30s, 5m or 1h"),
        (["--memory-limit", "4X"], "--memory-limit: got '4X'; give a size such as 4G or 800M"),
        (["--memory-limit", "0G"], "--memory-limit: got '0G'; give more than 0"),
        (["--memory-limit", "10M"], "memory: 32x24 pixels need 0.5 GB, got 0.0 GB; give a smaller --size, or a"),
        (["--checkpoint", "no/folder/c"], "no/folder/c: the folder no/folder does not exist; create it, or choose"),
    ],
)
def test_flags_that_make_no_sense_are_refused(flags, complaint, stylize, out):
    words = [f"{flags[0]}={flags[1]}"]
    assert stylize(*words).complaint().startswith(complaint)
    assert [*out.parent.iterdir()] == []


def test_a_checkpoint_in_the_place_of_an_input_or_an_output_is_refused(stylize, content_image, out):
    assert "is also an input" in stylize("--checkpoint", content_image, "--overwrite").complaint()
    assert "is given for two outputs" in stylize("--checkpoint", out).complaint()


def test_a_file_in_the_place_of_the_checkpoint_is_not_overwritten(stylize, out):
    place = out.with_name("out.png.checkpoint")
    place.write_text("mine")
    assert "holds an unfinished run" in stylize().complaint()
    assert "is not a checkpoint or is damaged" in stylize("--resume").complaint()
    assert place.read_text() == "mine"


def test_a_run_that_diverges_saves_its_best_picture_and_ends_with_1(stylize, out, monkeypatch):
    steps = Run.__iter__

    def diverging(self):
        for step in steps(self):
            yield step
            if step.number == 1:
                raise DivergedError("step 2: the loss is nan; the run is stopped; lower the weights or --learning-rate")

    monkeypatch.setattr(Run, "__iter__", diverging)
    outcome = stylize("--checkpoint-every", "0s")
    assert outcome.status == 1
    *_, saved, output = outcome.err.splitlines()
    assert saved == f"saved {out}"
    assert output == "impasto: step 2: the loss is nan; the run is stopped; lower the weights or --learning-rate"
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]
