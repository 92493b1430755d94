"""Runs on a machine with the face detector, and on one without."""

import json
import signal
from importlib import resources

import numpy as np
import pytest

from impasto import reporting
from impasto.images.faces import network, weights

NOTE = "portrait.jpg: faces are not looked for: the detector is not installed; `pip install 'impasto[faces]'`"


@pytest.fixture
def portrait():
    with resources.as_file(resources.files("impasto") / "demo" / "portrait.jpg") as path:
        yield path


@pytest.fixture
def stylize_portrait(run_small, portrait, style_image):
    return lambda *flags: run_small("stylize", portrait, style_image, "--size", 64, *flags)


@pytest.fixture
def repeat(impasto, out, portrait, style_image, narrow_weights):
    def run():
        again = out.with_name("again.png")
        return impasto("rerun", out, portrait, style_image, "-o", again, "--weights", narrow_weights, "--overwrite")

    return run


def test_without_the_detector_the_default_is_off_with_a_note(  # noqa: PLR0917
    stylize_portrait, without_detector, read_recipe, repeat, out, pixels, tmp_path
):
    assert stylize_portrait("-o", tmp_path / "off.png", "--faces", "off").status == 0
    assert stylize_portrait("-o", tmp_path / "soft.png").status == 0
    with without_detector():
        outcome = stylize_portrait()
    assert outcome.status == 0
    assert outcome.err.count("not installed") == outcome.err.count(NOTE) == 1
    assert np.array_equal(pixels(out), pixels(tmp_path / "off.png"))
    assert not np.array_equal(pixels(out), pixels(tmp_path / "soft.png"))
    recipe = read_recipe()
    assert (recipe["settings"]["faces"], recipe["faces"]) == ("off", 0)
    outcome = repeat()
    assert outcome.status == 0
    assert "face" not in outcome.err
    assert np.array_equal(pixels(out), pixels(tmp_path / "again.png"))


def test_a_result_with_faces_is_not_repeated_without_the_detector(stylize_portrait, without_detector, repeat, out):
    assert stylize_portrait().status == 0
    with without_detector():
        assert repeat().complaint() == (
            f"{out}: was made with the face detector, which is not installed; `pip install 'impasto[faces]'`"
        )
    assert repeat().status == 0


def test_a_result_without_faces_is_repeated_without_the_detector(  # noqa: PLR0917
    stylize, without_detector, impasto, content_image, style_image, narrow_weights, out, pixels
):
    assert stylize().status == 0
    again = out.with_name("again.png")
    with without_detector():
        words = [content_image, style_image, "-o", again, "--weights", narrow_weights]
        assert impasto("rerun", out, *words).status == 0
    assert np.array_equal(pixels(out), pixels(again))


def test_kept_faces_need_the_detector(stylize_portrait, without_detector):
    with without_detector():
        assert stylize_portrait("--faces", "keep").complaint() == (
            "faces: got 'keep', but the detector is not installed; `pip install 'impasto[faces]'`, or give 'off'"
        )


def test_a_damaged_detector_is_a_complaint(stylize_portrait, tmp_path, monkeypatch):
    (tmp_path / "damaged.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(weights, "path", lambda: tmp_path / "damaged.onnx")
    network.load_weights.cache_clear()
    complaint = stylize_portrait().complaint()
    assert "damaged.onnx: its SHA-256 is " in complaint
    assert "leave faces off" in complaint
    assert stylize_portrait("--faces", "off").status == 0


@pytest.mark.parametrize("command", ["texture", "reconstruct"])
def test_nothing_is_said_where_no_faces_are_looked_for(command, run_small, content_image, without_detector):
    layer = ["--layer", "block2_conv1"] if command == "reconstruct" else []
    with without_detector():
        outcome = run_small(command, content_image, *layer)
    assert outcome.status == 0
    assert "detector" not in outcome.err


def test_a_run_is_resumed_as_it_was_started(stylize_portrait, without_detector, monkeypatch, out, pixels, tmp_path):  # noqa: PLR0917
    def interrupted(*flags):
        reports = reporting.step_events

        def stopped(step):
            if step.number == 0:
                signal.raise_signal(signal.SIGINT)
            return reports(step)

        with monkeypatch.context() as patch:
            patch.setattr(reporting, "step_events", stopped)
            assert stylize_portrait(*flags).status == 128 + signal.SIGINT

    assert stylize_portrait("-o", tmp_path / "off.png", "--faces", "off").status == 0
    with without_detector():
        interrupted()
        assert stylize_portrait("-o", tmp_path / "unused.png").status == 0
    assert "was started with faces off, got soft; give the same" in stylize_portrait("--resume").complaint()
    assert stylize_portrait("--resume", "--faces", "off").status == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "off.png"))
    interrupted("--overwrite")
    with without_detector():
        complaint = stylize_portrait("--resume").complaint()
        assert "was started with faces soft, got off, since the face detector is not installed; give" in complaint
    assert stylize_portrait("--resume").status == 0


@pytest.mark.usefixtures("undrawn_plots")
def test_a_sweep_without_the_detector_has_results_and_can_be_resumed(
    run_small, portrait, style_image, without_detector, tmp_path
):
    words = [portrait, style_image, "-o", tmp_path / "sweep", "--size", 64, "--grid"]
    with without_detector():
        assert run_small("sweep", *words, "style_weight=1,2").status == 0
        rows = json.loads((tmp_path / "sweep" / "results.json").read_text())
        assert len(rows) == 2
        assert "loss" in json.dumps(rows)
        outcome = run_small("sweep", *words, "style_weight=1,2,3", "--resume")
        assert outcome.status == 0
        assert outcome.err.count("is already finished") == 2
