"""--timelapse: the painting coming to be, as a user meets it."""

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
    with Image.open(path) as film:
        shown = []
        for number in range(film.n_frames):
            film.seek(number)
            shown.append((np.array(film.convert("RGB")).astype(int), film.info["duration"]))
    return shown


@pytest.mark.parametrize("suffix", ["gif", "webp", "GIF"])
def test_the_last_frame_is_the_finished_picture_and_is_held(suffix, stylize, out, pixels):
    film = out.with_name(f"film.{suffix}")
    outcome = stylize("--timelapse", film, "--optimizer", "adam")
    assert outcome.status == 0
    assert outcome.err.splitlines()[-2:] == [f"saved {out}", f"saved {film}"]
    *before, (last, held) = frames(film)
    assert len(before) == 2  # of three steps
    assert (held, {each for _, each in before}) == (LAST_FRAME_MS, {100})
    assert np.abs(last - pixels(out)).mean() < 12  # a palette, or colors at half the size


def test_frames_are_of_one_size_and_few_however_many_steps_and_scales(stylize, out):
    film = out.with_name("film.webp")
    assert stylize("--timelapse", film, "--size", 48, "--first-scale", 24, "--steps", 100).status == 0
    shown = frames(film)
    assert 30 < len(shown) <= MAX_FRAMES
    assert {each.shape for each, _ in shown} == {(36, 48, 3)}


def test_a_frame_has_a_bounded_size(paint, content_image, style_image, out):
    film = out.with_name("film.webp")
    assert paint("stylize", content_image, style_image, "--timelapse", film, "--size", 500, "--steps", 1).status == 0
    assert {each.shape for each, _ in frames(film)} == {(MAX_EDGE * 3 // 4, MAX_EDGE, 3)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("film.mp4", "its suffix is not an animation format; use .gif or .webp"),
        ("film", "its suffix is not an animation format; use .gif or .webp"),
        ("no/film.gif", "the folder no does not exist"),
        ("old.gif", "exists already"),
    ],
)
def test_a_timelapse_that_cannot_be_is_refused_before_the_first_step(name, said, stylize, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "create_run", None)  # the work
    (tmp_path / "old.gif").write_text("precious")
    assert said in stylize("--timelapse", name).complaint()
    assert [path.name for path in tmp_path.iterdir()] == ["old.gif"]


def test_a_timelapse_in_the_place_of_another_file_of_the_run_is_refused(stylize, out, content_image):
    webp = out.with_suffix(".webp")
    assert "is given for two outputs" in stylize("-o", webp, "--timelapse", webp).complaint()
    assert "is also an input" in stylize("--timelapse", content_image, "--overwrite").complaint()


def test_that_a_timelapse_cannot_be_written_does_not_lose_the_picture(stylize, out, monkeypatch):
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


def test_a_run_that_is_stopped_has_a_timelapse_and_resumed_one_of_the_steps_since(stylize, out, monkeypatch):
    film, reports = out.with_name("film.gif"), reporting.step_events

    def stopped(step):
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return reports(step)

    monkeypatch.setattr(reporting, "step_events", stopped)
    how = ["--timelapse", film, "--steps", 6, "--optimizer", "adam"]
    assert stylize(*how).status == 143
    assert len(frames(film)) >= 4
    monkeypatch.undo()
    outcome = stylize(*how, "--resume")
    assert "note: the timelapse starts at step 4: frames of earlier steps are not kept" in outcome.err
    assert len(frames(film)) == 2


def test_a_timelapse_does_not_change_the_picture_and_is_json_too(stylize, out, tmp_path, pixels):
    assert stylize("-o", tmp_path / "plain.png").status == 0
    outcome = stylize("--timelapse", tmp_path / "film.gif", "--json")
    assert np.array_equal(pixels(out), pixels(tmp_path / "plain.png"))
    assert [json.loads(line) for line in outcome.out.splitlines()][-1]["path"].endswith("film.gif")
