"""The commands `impasto plot` and `impasto compare`."""

import json

import pytest
from PIL import Image


@pytest.fixture
def logs(stylize, tmp_path):
    """The logs of two runs, one of two scales."""
    places = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path, size in zip(places, (32, 48), strict=True):
        how = ["--size", size, "--first-scale", 24, "--log", path, "-o", path.with_suffix(".png")]
        assert stylize(*how).status == 0
    return places


def test_logs_are_plotted(logs, impasto, out):
    for given in (logs[:1], logs):
        outcome = impasto("plot", *given, "-o", out, "--overwrite")
        assert (outcome.status, outcome.out, outcome.err) == (0, f"saved {out}\n", "")
        with Image.open(out) as image:
            assert image.format == "PNG"


def test_logs_with_the_same_file_name_are_named_with_their_folders(logs, impasto, out, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr("impasto.sweeps.plot.save", lambda runs, _, **__: drawn.extend(runs))
    (tmp_path / "folder").mkdir()
    other = tmp_path / "folder" / "one.jsonl"
    other.write_bytes(logs[0].read_bytes())
    assert impasto("plot", logs[0], other, "-o", out).status == 0
    assert drawn == [str(logs[0]), str(other)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("one.jsonl one.jsonl -o o.png", "one.jsonl: is given twice; give each log once"),
        ("one.jsonl ./one.jsonl -o o.png", "one.jsonl: is given twice; give each log once"),
        ("none.jsonl -o o.png", "none.jsonl: cannot be read (No such file or directory); give a file that --log wrote"),
        ("one.png -o o.png", "one.png: is not a text file; give a file that --log wrote"),
        (". -o o.png", ".: cannot be read (a folder)"),
        ("one.jsonl -o o.gif", "o.gif: its suffix names no plot format; use one of .png, .svg, .pdf"),
        ("one.jsonl -o one.png", "one.png: exists already"),
        ("one.jsonl one.png -o one.png --overwrite", "one.png: is also an input"),
        ("one.jsonl -o no/o.png", "the folder no does not exist"),
        ("one.jsonl", "--output is missing (see `impasto plot --help`)"),
        ("-o o.png", "LOG is missing"),
    ],
)
def test_invalid_arguments_of_plot_are_refused_in_one_line(  # noqa: PLR0917
    arguments, message, logs, impasto, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert message in impasto("plot", *arguments.split()).complaint()
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def results(stylize, tmp_path):
    """Two results that differ in a weight and the number of steps."""
    places = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, flags in zip(places, ([], ["--content-weight", 5, "--steps", 2]), strict=True):
        assert stylize("-o", path, *flags).status == 0
    return places


def test_results_are_compared_by_similarity_losses_and_settings(results, impasto):
    lines = impasto("compare", *results).out.splitlines()
    rows = {line[:24].strip(): line[24:].split() for line in lines}
    assert rows["size"] == ["32x24", "32x24"]
    assert rows["content_weight"] == ["1", "5"]
    assert rows["steps"] == rows["steps_done"] == ["3", "2"]
    assert len(rows["loss: total"]) == 2
    assert "style_weight" not in rows
    assert 0 < float(rows["RMS difference, of 255"][0]) < 255


def test_all_images_are_compared_with_the_first_also_without_recipes(results, impasto, content_image):
    images = json.loads(impasto("compare", *results, content_image, "--json").out)
    assert [image["name"] for image in images] == ["a.png", "b.png", "photo.png"]
    assert [image["rms"] is None for image in images] == [True, False, False]
    assert [image["recipe"] is None for image in images] == [False, False, True]
    outcome = impasto("compare", *results, content_image)
    assert outcome.out.splitlines()[-1] == "note: photo.png: resized to the size of the first image for the comparison"
    assert "loss" not in outcome.out


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_sheet_shows_them_side_by_side(suffix, results, impasto, tmp_path):
    sheet = tmp_path / f"sheet.{suffix}"
    assert impasto("compare", *results, "-o", sheet).out.endswith(f"saved {sheet}\n")
    with Image.open(sheet) as image:
        assert image.width > 240


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("a.png", "SECOND is missing (see `impasto compare --help`)"),
        ("a.png none.png", "none.png: does not exist"),
        ("a.png text.txt", "text.txt: is text"),
        ("a.png b.png -o s.gif", "s.gif: its suffix names no known format"),
        ("a.png b.png -o a.png --overwrite", "a.png: is also an input"),
        ("a.png b.png -o text.txt/s.png", "text.txt is a file"),
        (" ".join(["a.png"] * 101), "got 101 images; give at most 100"),
    ],
)
def test_invalid_arguments_of_compare_are_refused_in_one_line(  # noqa: PLR0917
    arguments, message, results, impasto, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("only words\n")
    assert message in impasto("compare", *arguments.split()).complaint()


def test_equal_images_have_an_infinite_psnr(results, impasto):
    assert "inf" in impasto("compare", results[0], results[0]).out
    assert json.loads(impasto("compare", results[0], results[0], "--json").out)[1]["psnr"] is None
