"""`impasto fast` with pipes, folders and several content images."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from outputs import LIMIT, MACHINE, names, size
from PIL import Image

from impasto.feedforward import one_pass, pretrained

pytestmark = pytest.mark.weights


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


def test_a_closed_standard_input_is_reported_in_a_line(fast, out, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it then
    assert fast("-", "-o", out).complaint().startswith("standard input: ")


@pytest.mark.linux("/dev/full")
def test_a_full_disk_behind_the_pipe_is_reported_in_a_line(begin, content_image, style_image):
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


def test_a_folder_is_stylized_into_a_folder(fast, content_images, into):
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
def test_more_content_images_are_named_with_also(words, fast, content_images, into):
    named = {"B": content_images / "b.JPG", "C": content_images / "c.gif"}
    outcome = fast(content_images / "a.png", "-o", into, *(named.get(word, word) for word in words.split()))
    assert outcome.status == 0
    assert names(into) == ["a.png", "b.JPG", "c.png"]


def test_the_network_is_loaded_once(fast, content_images, into, monkeypatch):
    loaded, load = [], pretrained.load
    monkeypatch.setattr(pretrained, "load", lambda: loaded.append(1) or load())
    assert fast(content_images, "-o", into).status == 0
    assert loaded == [1]


def test_a_damaged_content_image_does_not_keep_the_others_from_being_stylized(fast, content_images, into):
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


def test_a_content_image_too_small_or_missing_is_one_that_failed(fast, content_images, into):
    Image.new("RGB", (40, 3)).save(content_images / "a.png")
    outcome = fast(content_images, "-o", into, "--also", content_images / "missing.png", "-q")
    assert "2 of 4 images failed, the first: a.png: 40x3 pixels become 40x3" in outcome.complaint(1)
    assert names(into) == ["b.JPG", "c.png"]


def test_events_of_several_are_lines_of_json(fast, content_images, into):
    (content_images / "b.JPG").write_bytes(b"words")
    outcome = fast(content_images, "-o", into, "--json")
    assert [json.loads(line)["event"] for line in outcome.out.splitlines()] == [
        *("noted", "noted"),  # what is skipped
        *("painted", "saved", "noted", "painted", "saved"),
    ]


def test_what_is_skipped_in_a_folder_is_noted(fast, content_images, into):
    (content_images / "raw.heic").touch()
    outcome = fast(content_images, "-o", into)
    assert [line for line in outcome.err.splitlines() if line.startswith("note: ")] == [
        f"note: skipped {content_images / 'folder.png'}: is a folder",
        f"note: skipped {content_images / 'raw.heic'}: its suffix is not that of an image",
        f"note: skipped {content_images / 'words.txt'}: its suffix is not that of an image",
    ]
    assert outcome.status == 0


@pytest.mark.posix("named pipes and links")
def test_an_image_in_a_folder_that_cannot_be_read_is_one_that_failed(fast, content_images, into):
    (content_images / "d.png").symlink_to("missing.png")
    os.mkfifo(content_images / "e.png")
    outcome = fast(content_images, "-o", into, "-q")
    assert outcome.complaint(1).startswith(f"2 of 5 images failed, the first: {content_images / 'd.png'}: does not")
    assert names(into) == ["a.png", "b.JPG", "c.png"]


@pytest.mark.parametrize("second", ["a.png", "a.gif"])
def test_two_content_images_for_one_output_are_refused_before_any_work(second, fast, content_images, into, tmp_path):
    other = tmp_path / "other" / second
    other.parent.mkdir()
    Image.new("RGB", (40, 30)).save(other)
    complaint = fast(content_images, "-o", into, "--also", other).complaint()
    assert f"{into / 'a.png'}: is the output of two content images; rename one" in complaint
    assert names(into) == []


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_so_are_two_for_names_that_differ_in_case(platform, fast, content_images, into, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    other = into.parent / "A.PNG"
    Image.new("RGB", (40, 30)).save(other)
    assert "is the output of two content images" in fast(content_images, "-o", into, "--also", other).complaint()
    assert names(into) == []


def test_the_same_content_image_twice_is_refused(fast, content_image, into):
    assert "two content images" in fast(content_image, "-o", into, "--also", content_image).complaint()


def test_what_exists_is_not_replaced_unless_asked(fast, content_images, into):
    (into / "c.png").write_bytes(b"precious")
    assert f"{into / 'c.png'}: exists already" in fast(content_images, "-o", into).complaint()
    assert names(into) == ["c.png"]
    assert fast(content_images, "-o", into, "--overwrite").status == 0
    assert size(into / "c.png") == (30, 50)


def test_content_images_are_not_overwritten(fast, content_images):
    before = (content_images / "a.png").read_bytes()
    assert "is also an input" in fast(content_images, "-o", content_images, "--overwrite").complaint()
    assert (content_images / "a.png").read_bytes() == before


def test_a_style_image_is_not_overwritten(impasto, content_images, style_image, into):
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


def test_a_folder_without_images_is_refused(fast, into, tmp_path, unloaded):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "words.txt").touch()
    complaint = fast(tmp_path / "empty", "-o", into).complaint()
    assert complaint == f"{tmp_path / 'empty'}: contains no images; give another folder, or --watch to wait for images"


def test_a_depth_that_a_kind_does_not_have_is_refused_before_any_work(fast, content_images, into):
    complaint = fast(content_images, "-o", into, "--depth", 16, "-q").complaint()
    assert "b.JPG" in complaint
    assert names(into) == []


def test_an_interrupt_ends_several_after_the_current_image(fast, content_images, into, monkeypatch):
    stylize = one_pass.fast

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return stylize(*arguments, **options)

    monkeypatch.setattr(one_pass, "fast", interrupted)
    outcome = fast(content_images, "-o", into, "-q")
    assert (outcome.status, names(into)) == (130, ["a.png"])
