"""Colors, depth and dither on the command line, and `impasto recolor`."""

import json

import numpy as np
import pytest
from PIL import Image

from impasto import load


@pytest.fixture
def rerun(impasto, content_image, style_image, narrow_weights):
    """Run `impasto rerun` with the two images."""
    return lambda result, *flags: impasto(
        "rerun", result, content_image, style_image, "--weights", narrow_weights, *flags
    )


def test_recolor_saves_and_says_so(impasto, stylize, content_image, out, tmp_path):
    assert stylize().status == 0
    outcome = impasto("recolor", out, content_image, "-o", tmp_path / "new.png")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", f"saved {tmp_path / 'new.png'}\n")
    assert load(tmp_path / "new.png").width == 32
    again = impasto("recolor", out, content_image, "-o", tmp_path / "new.png")
    assert "exists already" in again.complaint()
    output = impasto(
        "recolor", out, content_image, "-o", tmp_path / "new.png", "--overwrite", "--json", "--color", "content"
    )
    assert [json.loads(line)["event"] for line in output.out.splitlines()] == ["saved"]
    assert impasto("recolor", out, content_image, "-o", tmp_path / "new.png", "--overwrite", "-q").err == ""


def test_a_recolored_result_can_be_inspected_but_not_rerun(impasto, stylize, content_image, out, tmp_path):
    assert stylize().status == 0
    new = tmp_path / "new.jpg"
    assert impasto("recolor", out, content_image, "-o", new).status == 0
    assert json.loads(impasto("inspect", new).out)["recolored"][0]["content"]["name"] == "photo.png"
    complaint = impasto("rerun", new, content_image, "-o", tmp_path / "again.png").complaint()
    assert complaint.startswith(f"{new}: was recolored, which rerun does not repeat; rerun 'out.png'")
    assert not (tmp_path / "again.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{content_image}", "{tmp}/none.png", "-o", "{tmp}/a.png"], "none.png: does not exist"),
        (["{tmp}", "{content_image}", "-o", "{tmp}/a.png"], "is a folder"),
        (["{content_image}", "{content_image}", "-o", "{tmp}/none/a.png"], "does not exist; create it"),
        (["{content_image}", "{content_image}", "-o", "{tmp}/a.gif"], "its suffix names no known format"),
        (
            ["{content_image}", "{content_image}", "-o", "{tmp}/a.webp", "--depth", "16"],
            "WEBP holds 8 bits per channel, not 16",
        ),
        (["{content_image}", "{content_image}", "-o", "{content_image}", "--overwrite"], "is also an input"),
        (["{content_image}", "-o", "{tmp}/a.png"], "CONTENT is missing"),
        (["{content_image}", "{content_image}"], "--output is missing"),
        (["{content_image}", "{content_image}", "-o", "{tmp}/a.png", "--color", "match"], '"match" for --color'),
        (["{content_image}", "{content_image}", "-o", "{tmp}/a.png", "--depth", "12"], '"12" for --depth'),
    ],
)
def test_recolor_refuses_in_a_line(arguments, said, impasto, content_image, tmp_path):
    before = content_image.read_bytes()
    words = [each.format(content_image=content_image, tmp=tmp_path) for each in arguments]
    assert said in impasto("recolor", *words).complaint()
    assert list(tmp_path.iterdir()) == []
    assert content_image.read_bytes() == before


@pytest.mark.parametrize("color", ["content", "luminance", "match"])
@pytest.mark.parametrize("flags", [(), ("--dither",), ("--depth", 16)])
def test_a_rerun_repeats_colors_depth_and_dither(color, flags, stylize, rerun, out):
    assert stylize("--color", color, *flags).status == 0
    again = out.with_name("again.png")
    assert rerun(out, "-o", again).status == 0
    assert again.read_bytes() == out.read_bytes()
    assert out.read_bytes()[24] == (16 if "--depth" in flags else 8)  # bits in the header of a PNG


def test_a_depth_that_the_output_does_not_hold_is_refused_and_no_preview_is_lost(stylize, out, tmp_path):
    jpeg = out.with_suffix(".jpg")
    assert stylize("-o", jpeg, "--depth", 16).complaint() == (
        f"{jpeg}: JPEG holds 8 bits per channel, not 16; end it in .png, .tif, .tiff"
    )
    assert list(tmp_path.iterdir()) == []
    preview = tmp_path / "look.jpg"
    assert stylize("--depth", 16, "--preview", preview, "--preview-every", 1).status == 0
    assert load(preview).width == 32


def test_colors_that_a_task_has_not_are_refused(run_small, content_image, style_image):
    assert "a texture has no content image" in run_small("texture", style_image, "--color", "content").complaint()
    assert (
        "a reconstruction has no style image" in run_small("reconstruct", content_image, "--color", "match").complaint()
    )
    assert run_small("reconstruct", content_image, "--color", "luminance").status == 0


def test_alpha_is_kept_by_recolor(impasto, content_image, tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    for color in ("luminance", "content"):
        out = tmp_path / f"{color}.tiff"
        assert impasto("recolor", tmp_path / "clear.png", content_image, "-o", out, "--color", color).status == 0
        assert np.array_equal(np.array(Image.open(out))[..., 3], rgba[..., 3])
