"""Each command is a function of the library: both give the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto as library
from impasto.cli.app import app
from impasto.errors import LogError, OutputError, PictureError, RecipeError, SettingError

API = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
def results(stylize, tmp_path):
    """Two results, with a log of the first."""
    assert stylize("-o", tmp_path / "a.png", "--log", tmp_path / "a.jsonl").status == 0
    assert stylize("-o", tmp_path / "b.png", "--content-weight", 5, "--log", tmp_path / "b.jsonl").status == 0
    return tmp_path / "a.png", tmp_path / "b.png"


def test_the_reference_lists_a_function_for_every_command():
    table = API.read_text(encoding="utf-8").partition("| command |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    commands = {word for row in rows for word in re.findall(r"`(?:impasto )?([a-z]+)", row[0])}
    assert commands == {name for name in app if not name.startswith("-")}
    functions = [word for row in rows for word in re.findall(r"`(?:impasto\.)?([A-Za-z_]+)", row[1])]
    assert {*functions} - {*library.__all__} == {"save", "demo"}
    assert all(callable(getattr(library, name)) for name in {*functions} - {"save", "demo", "weights"})


def test_rerun(results, impasto, content_image, style_image, narrow_weights, tmp_path, pixels):  # noqa: PLR0917
    inputs, again = [content_image, style_image], tmp_path / "again.png"
    assert impasto("rerun", results[0], *inputs, "-o", again, "--weights", narrow_weights).status == 0
    seen = []
    picture = library.rerun(str(results[0]), inputs, weights=narrow_weights, on_event=seen.append)
    picture.save(tmp_path / "library.png")
    assert np.array_equal(pixels(again), pixels(tmp_path / "library.png"))
    assert library.load_recipe(again) == library.load_recipe(tmp_path / "library.png")
    assert [type(event).__name__ for event in seen][-2:] == ["Stepped", "Ended"]
    with pytest.raises(RecipeError, match=r"its input 'photo\.png' .* was not found"):
        library.rerun(results[0], str(style_image), weights=narrow_weights)
    with pytest.raises(RecipeError, match=r"its input 'photo\.png' .* was not found"):
        library.rerun(results[0], weights=narrow_weights)
    with pytest.raises(PictureError, match="result: got a Picture; give the path of an image file"):
        library.rerun(picture)


@pytest.mark.weights
def test_rerun_of_the_one_pass_method(impasto, content_image, style_image, tmp_path, pixels):
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    assert impasto("fast", content_image, style_image, "-o", first, "--precision", "float32").status == 0
    library.rerun(first, [content_image.parent, style_image]).save(again)
    assert np.array_equal(pixels(first), pixels(again))


def test_compare(results, impasto, tmp_path, pixels):
    sheet = tmp_path / "sheet.png"
    printed = json.loads(impasto("compare", *results, "--json", "-o", sheet).out)
    comparison = library.compare([*map(str, results)])
    assert printed == [image.as_dict() for image in comparison.images]
    assert comparison.differences["content_weight"] == [1, 5]
    comparison.save(tmp_path / "library.png")
    assert np.array_equal(pixels(sheet), pixels(tmp_path / "library.png"))
    with pytest.raises(OutputError, match="exists already"):
        comparison.save(sheet, overwrite=False)


def test_compare_takes_pictures(results):
    by_path, in_memory = library.compare(results), library.compare([*map(library.load, results)])
    assert [each.similarity for each in in_memory.images] == [each.similarity for each in by_path.images]
    assert [each.name for each in in_memory.images] == ["a.png", "b.png"]
    made = library.Picture(library.load(results[0]).tensor, recipe=library.load_recipe(results[0]).model_dump())
    first, second = library.compare([made, made]).images
    assert (first.name, second.name, second.similarity.rms) == ("image 1", "image 2", 0)
    assert first.recipe == library.load_recipe(results[0])
    with pytest.raises(SettingError, match="compare: got 0 images; give two or more"):
        library.compare([])


def test_plot(results, impasto, tmp_path, pixels):
    logs, out = [path.with_suffix(".jsonl") for path in results], tmp_path / "plot.png"
    for given in (logs[:1], logs):
        assert impasto("plot", *given, "-o", out, "--overwrite").status == 0
        drawn = library.plot(given)
        assert [*drawn.runs] == [path.name for path in given]
        drawn.save(tmp_path / "library.png")
        assert np.array_equal(pixels(out), pixels(tmp_path / "library.png"))
    assert library.plot(str(logs[0])).runs == library.plot(logs[:1]).runs
    with pytest.raises(LogError, match="logs: got none"):
        library.plot([])
    with pytest.raises(LogError, match="is given twice"):
        library.plot([logs[0], str(logs[0])])
    with pytest.raises(OutputError, match="exists already"):
        drawn.save(out, overwrite=False)


def test_info(impasto, narrow_weights):
    flags = ["--weights", narrow_weights, "--device", "cpu", "--precision", "float32", "--size", 64, "--steps", 3]
    printed = json.loads(impasto("info", "--json", *flags).out)
    vgg = library.VGG19.load(narrow_weights, device="cpu", precision="float32")
    result = library.info(library.Settings(size=64, steps=3), vgg=vgg)
    measured = {"available memory in GB": None, "scales": None}
    assert {**printed, **measured} == {**result.as_dict(), **measured}
    (printed_scale,), (scale,) = printed["scales"], result.scales
    assert {**printed_scale, "seconds a step": None} == {**scale.as_dict(), "seconds a step": None}
    assert (scale.width, scale.height, scale.steps, scale.strip) == (64, 48, 3, None)
    assert result.seconds == 3 * scale.seconds > 0
    assert 0 < result.available_memory <= result.memory
    with pytest.raises(SettingError, match="method: got 'fast', which takes a second and needs no plan"):
        library.info(library.Settings(method="fast"))


def test_inspect_weights_presets_and_recolor(results, impasto, content_image, tmp_path, pixels):
    assert json.loads(impasto("inspect", results[0]).out) == library.load_recipe(results[0]).model_dump(mode="json")
    weights = json.loads(impasto("weights", "--json").out)
    assert weights == [each.as_dict() for each in library.installed_weights()]
    assert [each.used for each in library.installed_weights()].count(True) >= 1
    listed = impasto("presets").out
    for each in library.presets():
        assert each.name in listed
        assert impasto("presets", each.name).out == each.text
        assert each.settings == library.preset(each.name)
    assert impasto("recolor", results[0], content_image, "-o", tmp_path / "c.png").status == 0
    library.recolor(results[0], content_image).save(tmp_path / "d.png")
    assert np.array_equal(pixels(tmp_path / "c.png"), pixels(tmp_path / "d.png"))
    with Image.open(tmp_path / "c.png") as one, Image.open(tmp_path / "d.png") as other:
        assert one.info == other.info
