"""--timelapse: the images of a run as an animation."""

import errno
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from impasto import api, reporting
from impasto.jobs.timelapse import LAST_FRAME_MS, MAX_EDGE, MAX_FRAMES


def frames(path):
    """The frames of an animation as arrays, and how long each is shown in milliseconds."""
    with Image.open(path) as animation:
        shown = []
        for number in range(animation.n_frames):
            animation.seek(number)
            shown.append((np.array(animation.convert("RGB")).astype(int), animation.info["duration"]))
    return shown


@pytest.mark.parametrize("suffix", ["gif", "webp", "GIF"])
def test_the_last_frame_is_the_result_and_is_shown_longer(suffix, stylize, out, pixels):
    animation = out.with_name(f"film.{suffix}")
    outcome = stylize("--timelapse", animation, "--optimizer", "adam")
    assert outcome.status == 0
    assert outcome.err.splitlines()[-2:] == [f"saved {out}", f"saved {animation}"]
    *before, (last, held) = frames(animation)
    assert len(before) == 2  # of three steps
    assert (held, {each for _, each in before}) == (LAST_FRAME_MS, {100})
    assert np.abs(last - pixels(out)).mean() < 12  # a palette, or colors at half the size


def test_the_number_of_frames_is_limited_and_all_have_one_size(stylize, out):
    animation = out.with_name("film.webp")
    assert stylize("--timelapse", animation, "--size", 48, "--first-scale", 24, "--steps", 100).status == 0
    shown = frames(animation)
    assert 30 < len(shown) <= MAX_FRAMES
    assert {each.shape for each, _ in shown} == {(36, 48, 3)}


def test_a_frame_has_a_bounded_size(run_small, content_image, style_image, out):
    animation = out.with_name("film.webp")
    assert (
        run_small("stylize", content_image, style_image, "--timelapse", animation, "--size", 500, "--steps", 1).status
        == 0
    )
    assert {each.shape for each, _ in frames(animation)} == {(MAX_EDGE * 3 // 4, MAX_EDGE, 3)}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("film.mp4", "its suffix is not an animation format; use .gif or .webp"),
        ("animation", "its suffix is not an animation format; use .gif or .webp"),
        ("no/film.gif", "the folder no does not exist"),
        ("old.gif", "exists already"),
    ],
)
def test_a_timelapse_that_cannot_be_written_is_refused_before_the_first_step(
    name, complaint, stylize, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "create_run", None)  # the work
    (tmp_path / "old.gif").write_text("precious")
    assert complaint in stylize("--timelapse", name).complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["old.gif"]


def test_a_timelapse_in_the_place_of_another_file_of_the_run_is_refused(stylize, out, content_image):
    webp = out.with_suffix(".webp")
    assert "is given for two outputs" in stylize("-o", webp, "--timelapse", webp).complaint()
    assert "is also an input" in stylize("--timelapse", content_image, "--overwrite").complaint()


@pytest.mark.linux("/proc/self/fd")
def test_a_timelapse_that_cannot_be_written_does_not_lose_the_result(stylize, out, monkeypatch):
    fsync = os.fsync

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".gif"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    outcome = stylize("--timelapse", out.with_name("film.gif"))
    assert outcome.status == 0
    assert "note: no timelapse: " in outcome.err
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]


def test_a_stopped_run_has_a_timelapse_and_a_resumed_one_only_of_the_remaining_steps(stylize, out, monkeypatch):
    animation, reports = out.with_name("film.gif"), reporting.step_events

    def stopped(step):
        if step.number == 3:
            signal.raise_signal(signal.SIGTERM)
        return reports(step)

    monkeypatch.setattr(reporting, "step_events", stopped)
    how = ["--timelapse", animation, "--steps", 6, "--optimizer", "adam"]
    assert stylize(*how).status == 143
    assert len(frames(animation)) >= 4
    monkeypatch.undo()
    outcome = stylize(*how, "--resume")
    assert "note: the timelapse starts at step 4: frames of earlier steps are not kept" in outcome.err
    assert len(frames(animation)) == 2


def test_a_timelapse_does_not_change_the_result_and_has_an_event(stylize, out, tmp_path, pixels):
    assert stylize("-o", tmp_path / "plain.png").status == 0
    outcome = stylize("--timelapse", tmp_path / "film.gif", "--json")
    assert np.array_equal(pixels(out), pixels(tmp_path / "plain.png"))
    assert [json.loads(line) for line in outcome.out.splitlines()][-1]["path"].endswith("film.gif")
