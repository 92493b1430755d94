"""impasto info, weights, presets and inspect."""

import hashlib
import json

import pytest
import requests
import torch

from impasto.feedforward import weights as feedforward_weights
from impasto.images.faces import weights as yunet
from impasto.settings.model import Settings
from impasto.settings.presets import names, tomllib
from impasto.version import __version__
from impasto.vgg import weights


@pytest.fixture
def info(impasto, narrow_weights):
    """What `impasto info` says of a run with the narrow network."""
    return lambda *flags: impasto("info", "--weights", narrow_weights, *flags)


def test_info_tells_versions_and_what_every_scale_would_need(info):
    output = json.loads(info("--json").out)
    assert (output["impasto"], output["torch"]) == (__version__, torch.__version__)
    assert output["threads"] == torch.get_num_threads()
    assert output["memory in GB"] >= output["available memory in GB"] > 0
    assert [scale["size"] for scale in output["scales"]] == ["128x96", "256x192", "512x384"]
    assert {scale["evaluated"] for scale in output["scales"]} == {"whole"}
    assert all(scale["GB"] > 0 and scale["seconds a step"] > 0 for scale in output["scales"])


def test_info_of_a_larger_size_needs_more(info):
    scales = json.loads(info("--json", "--size", 2048).out)["scales"]
    assert [scale["steps"] for scale in scales] == [150, 75, 38, 30, 30]
    assert scales[-1]["GFLOP a step"] == pytest.approx(4 * scales[-2]["GFLOP a step"], rel=0.02)
    assert [scale["GB"] for scale in scales] == sorted(scale["GB"] for scale in scales)


def test_info_refuses_what_does_not_fit(info):
    complaint = info("--size", 8192, "--memory-limit", "1500M").complaint()
    assert complaint.startswith("memory: ")
    assert complaint.endswith(" GB, got 1.6 GB; give a smaller --size, or a higher --memory-limit")


def test_info_is_the_same_as_text(info):
    output = json.loads(info("--json").out)
    *lines, _, one, two, three, total = info().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [name for name in output if name != "scales"]
    assert [line.split()[0] for line in (one, two, three)] == [scale["size"] for scale in output["scales"]]
    assert total.startswith("in total about 0:")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Where weights are looked for: nothing downloaded, something bundled."""
    found = tmp_path / "keras.h5", tmp_path / "bundled.bin"
    found[1].write_bytes(b"bundled")
    monkeypatch.setattr(weights, "places", lambda: found)
    return found


def test_weights_lists_what_is_there_and_what_a_run_would_use(impasto, places):
    downloaded, bundled, *fast, faces = json.loads(impasto("weights", "--json").out)
    assert [downloaded["kind"], downloaded["present"], downloaded["used"]] == ["downloaded", False, False]
    assert downloaded["sha256"] is None
    assert [bundled["kind"], bundled["present"], bundled["used"]] == ["bundled", True, True]
    assert bundled["sha256"] == hashlib.sha256(b"bundled").hexdigest()
    assert bundled["path"] == str(places[1])
    assert all(row["license"].startswith("CC BY 4.0") for row in (downloaded, bundled))
    assert [(row["kind"], row["used"], row["license"]) for row in fast] == [
        ("fast", True, feedforward_weights.LICENSE)
    ] * 2
    assert (faces["kind"], faces["used"], faces["sha256"]) == ("faces", True, yunet.SHA256)


def test_weights_prefers_the_downloaded_file(impasto, places):
    places[0].write_bytes(b"downloaded")
    assert [row["used"] for row in json.loads(impasto("weights", "--json").out)][:2] == [True, False]


def test_weights_are_listed_as_text_with_their_hashes(impasto, places):
    output = impasto("weights").out
    assert "downloaded (missing): " in output
    assert "bundled (used): " in output
    assert f"  SHA-256: {hashlib.sha256(b'bundled').hexdigest()}\n" in output


def test_weights_download_prints_where_the_file_is(impasto, places, monkeypatch):
    def download(*, on_progress):
        on_progress(1, 2)
        return weights.sources()[0]

    monkeypatch.setattr(weights, "download", download)
    outcome = impasto("weights", "download")
    assert (outcome.status, outcome.out) == (0, f"{places[0]}\n")


def test_weights_that_cannot_be_fetched_are_told_in_a_line(impasto, places, monkeypatch):
    def get(*_, **__):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", get)
    outcome = impasto("weights", "download")
    assert outcome.status == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith("impasto: VGG19's weights could not be fetched (")
    assert "pass --weights FILE" in last


def test_presets_lists_every_preset_the_default_first(impasto, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    head, *rows = impasto("presets").out.splitlines()
    assert head.split() == ["preset", "description"]
    assert [row.split()[0] for row in rows] == list(names())
    assert rows[0].startswith("painterly")


@pytest.mark.parametrize("name", names())
def test_a_preset_is_printed_as_toml_to_copy_and_change(name, impasto, stylize, tmp_path):
    text = impasto("presets", name).out
    assert set(tomllib.loads(text)) <= {"base", "description", "settings"}
    mine, log = tmp_path / "mine.toml", []
    mine.write_text(text)
    for chosen in (name, mine):
        assert stylize("--preset", chosen, "-o", tmp_path / "o.png", "--overwrite").status == 0
        log.append(json.loads(impasto("inspect", tmp_path / "o.png").out)["settings"])
    assert log[0] == log[1]


def test_inspect_prints_settings_that_make_settings_again(impasto, stylize, out):
    assert stylize("--seed", 5).status == 0
    output = json.loads(impasto("inspect", out).out)
    assert Settings(**output["settings"]).seed == 5
    assert list(output["loss"]) == ["total", "content", "style", "tv", "grain"]


def test_inspect_tells_names_in_any_script_to_any_terminal(impasto, run_small, content_image, out):
    fancy = content_image.with_name("キツネ.png")
    fancy.write_bytes(content_image.read_bytes())
    assert run_small("stylize", fancy, content_image).status == 0
    assert json.loads(impasto("inspect", out).out)["content"]["name"] == "キツネ.png"
