"""The one-pass method in other commands: rerun, recolor and stylize."""

import io
import sys

import numpy as np
import pytest
from outputs import MACHINE, names, size
from PIL import Image

pytestmark = pytest.mark.weights


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


def test_a_rerun_does_not_overwrite_its_inputs(fast, impasto, content_image, style_image, out):
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


def test_stylize_uses_the_one_pass_method_if_asked_to(impasto, pair, out, pixels):
    other = out.with_name("other.png")
    flags = [*MACHINE, "--size", 48]
    assert impasto("stylize", *pair, "-o", out, "--method", "fast", *flags).status == 0
    assert impasto("fast", *pair, "-o", other, *flags).status == 0
    assert np.array_equal(pixels(out), pixels(other))
    assert names(out.parent) == ["other.png", "out.png"]  # no checkpoint


@pytest.mark.parametrize("flag", ["preview", "timelapse", "log", "checkpoint", "resume", "mask", "keep", "detail-mask"])
def test_stylize_refuses_what_one_pass_does_not_know(flag, impasto, content_image, style_image, out):
    kind = {"timelapse": ".gif", "log": ".jsonl"}.get(flag, ".png")
    value = (
        []
        if flag == "resume"
        else [content_image if flag in {"mask", "keep", "detail-mask"} else out.with_name(f"other{kind}")]
    )
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
def test_stylize_refuses_settings_that_one_pass_does_not_use(flags, impasto, pair, out):
    complaint = impasto("stylize", *pair, "-o", out, *flags.split(), "--method", "fast").complaint()
    assert complaint == f"{flags.split()[0]}: got one, but --method fast does not use it; leave it out"
    assert names(out.parent) == []


def test_a_preset_can_say_that_it_is_to_be_one_pass(impasto, pair, out, read_recipe):
    mine = out.with_name("mine.toml")
    mine.write_text('[settings]\nmethod = "fast"\nsize = 50\n')
    assert impasto("stylize", *pair, "-o", out, "--preset", mine, *MACHINE).status == 0
    assert (read_recipe()["settings"]["method"], size(out)) == ("fast", (50, 38))


def test_a_run_begins_with_the_one_pass_result(run_small, impasto, pair, narrow_weights, pixels, tmp_path):  # noqa: PLR0917
    out, again = tmp_path / "out.png", tmp_path / "again.png"
    assert run_small("stylize", *pair, "--init", "fast").status == 0
    assert impasto("rerun", out, *pair, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(pixels(out), pixels(again))


def test_a_result_can_be_recolored_and_is_then_not_rerun(fast, impasto, content_image, style_image, out):
    assert fast(content_image, "-o", out).status == 0
    other = out.with_name("other.png")
    assert impasto("recolor", out, content_image, "-o", other).status == 0
    complaint = impasto("rerun", other, content_image, style_image, "-o", out.with_name("again.png")).complaint()
    assert "was recolored, which rerun does not repeat" in complaint
