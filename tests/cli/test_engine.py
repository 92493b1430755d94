"""The engine of the convolutions, from the command line: chosen, recorded, repeated, resumed."""

import json
import os
import signal

import numpy as np
import pytest
from safetensors.torch import save_file

from impasto import reporting
from impasto.settings.layers import CONVS
from impasto.vgg import trial
from impasto.vgg.convolution import DIRECTIONS
from impasto.vgg.model import VGG19

pytest.importorskip("ncnn")


@pytest.fixture(scope="module")
def wide_weights(tmp_path_factory):
    """Weights of a network of 16 channels, the fewest for ncnn."""
    kernels = VGG19.random((16,) * 5).kernels
    tensors = {f"{name}.weight": kernel.contiguous() for name, (kernel, _) in kernels.items()}
    path = tmp_path_factory.mktemp("weights") / "wide.safetensors"
    save_file(tensors | {f"{name}.bias": bias for name, (_, bias) in kernels.items()}, path)
    return path


@pytest.fixture
def small(small, wide_weights):
    return small | {"--weights": wide_weights}


@pytest.fixture
def fastest(monkeypatch):
    """Let the trial find that a package is the fastest."""

    def be(package):
        def times(kernels, ways):
            keys = [trial.time_key(each, kernel, way) for kernel, _ in kernels for each in DIRECTIONS for way in ways]
            return {key: 1.0 if package in key else 2.0 for key in keys}

        monkeypatch.setattr(trial, "times", times)

    return be


EVERY = [f"{name} {direction}" for name in CONVS[1:] for direction in DIRECTIONS]


@pytest.mark.parametrize("package", ["torch", "ncnn"])
def test_a_run_reports_and_records_the_fastest_engine_and_a_rerun_uses_it(  # noqa: PLR0917
    package, fastest, stylize, impasto, wide_weights, content_image, style_image, out, read_recipe, pixels
):
    fastest(package)
    outcome = stylize("--json")
    assert outcome.status == 0
    began = next(event for event in map(json.loads, outcome.out.splitlines()) if event["event"] == "began")
    assert began["engine"] == {"torch": "torch", "ncnn": "torch and ncnn"}[package]
    assert read_recipe()["ncnn"] == {"torch": [], "ncnn": EVERY}[package]
    fastest({"torch": "ncnn", "ncnn": "torch"}[package])
    again = out.with_name("again.png")
    repeat = ["rerun", out, content_image, style_image, "--weights", wide_weights, "-o", again]
    assert impasto(*repeat).status == 0
    assert np.array_equal(pixels(again), pixels(out))
    assert impasto(*repeat, "--engine", {"torch": "ncnn", "ncnn": "torch"}[package], "--overwrite").status == 0
    assert json.loads(impasto("inspect", again).out)["ncnn"] == {"torch": EVERY, "ncnn": []}[package]


@pytest.mark.parametrize("package", ["torch", "ncnn"])
def test_a_run_is_resumed_with_its_engine_whatever_the_trial_finds_now(package, fastest, stylize, out, monkeypatch):
    fastest(package)
    assert stylize("-o", out.with_name("whole.png")).status == 0
    reports = reporting.step_events

    def stopped(step):
        os.kill(os.getpid(), signal.SIGTERM)
        return reports(step)

    with monkeypatch.context() as patch:
        patch.setattr(reporting, "step_events", stopped)
        assert stylize().status == 143
    other = {"torch": "ncnn", "ncnn": "torch"}[package]
    complaint = stylize("--resume", "--engine", other).complaint()
    assert "out.png.checkpoint: was started with ncnn [" in complaint
    fastest(other)
    assert stylize("--resume").status == 0
    assert out.read_bytes() == out.with_name("whole.png").read_bytes()


def test_info_tells_the_engine(fastest, impasto, wide_weights):
    fastest("ncnn")
    flags = ["--weights", wide_weights, "--device", "cpu", "--precision", "float32", "--size", 64]
    facts = json.loads(impasto("info", "--json", *flags).out)
    assert (facts["precision"], facts["engine"]) == ("float32", "torch and ncnn")
