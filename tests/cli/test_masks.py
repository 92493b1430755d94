"""Mixtures by weight, style masks and protection masks."""

import shutil
from importlib import resources

import numpy as np
import pytest
from PIL import Image

import impasto as library
from impasto import Style, load
from impasto.images.masks import alpha_mask
from impasto.jobs.rerun import DEMO


@pytest.fixture
def left(tmp_path):
    """A mask of the content image's shape, white on its left."""
    pixels = np.zeros((30, 40), np.uint8)
    pixels[:, :20] = 255
    path = tmp_path / "left.png"
    Image.fromarray(pixels).save(path)
    return path


def test_style_images_have_their_weights(run_small, content_image, style_image, read_recipe):
    assert run_small("stylize", content_image, f"{style_image}=0.75", f"{content_image}=2").status == 0
    assert [(style["name"], style["weight"]) for style in read_recipe()["styles"]] == [
        ("painting.png", 0.75),
        ("photo.png", 2.0),
    ]


def test_a_file_that_is_called_like_one_with_a_weight_is_that_file(
    run_small, content_image, style_image, read_recipe, tmp_path
):
    odd = tmp_path / "a=0.5"
    odd.write_bytes(style_image.read_bytes())
    assert run_small("stylize", content_image, odd).status == 0
    assert read_recipe()["styles"] == [{**read_recipe()["styles"][0], "name": "a=0.5", "weight": 1.0}]


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ("0", "got the weight 0; give one above 0"),
        ("-1", "got the weight -1"),
        ("nan", "got the weight nan"),
        ("x", "does not exist"),
        ("1_0", "got the weight '1_0'; give a number above 0 such as 0.5"),
        (" 1", "got the weight ' 1'; give a number above 0"),
        ("٣", "got the weight '٣'; give a number above 0"),
        ("50%", "got the weight '50%'; give a number above 0"),
        ("", "got the weight ''; give a number above 0"),
    ],
)
def test_a_weight_that_is_none_is_refused(weight, complaint, run_small, content_image, style_image):
    assert complaint in run_small("stylize", content_image, f"{style_image}={weight}").complaint()


def test_each_style_applies_in_its_mask(  # noqa: PLR0917
    run_small, content_image, style_image, left, read_recipe, impasto, out, tmp_path, narrow_weights
):
    assert run_small("stylize", content_image, style_image, content_image, "--mask", left).status == 0
    assert [style["mask"] and style["mask"]["name"] for style in read_recipe()["styles"]] == ["left.png", None]
    again = tmp_path / "again.png"
    assert impasto("rerun", out, content_image, style_image, left, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))


def test_protected_areas_are_those_of_the_content_image(run_small, content_image, style_image, left, read_recipe, out):  # noqa: PLR0917
    assert run_small("stylize", content_image, style_image, "--keep", left, "--size", 40).status == 0
    kept, result = np.asarray(Image.open(content_image)), np.asarray(Image.open(out))
    assert np.array_equal(kept[:, :19], result[:, :19])
    assert not np.array_equal(kept[:, 21:], result[:, 21:])
    assert read_recipe()["keep"]["name"] == "left.png"


def test_a_result_with_a_face_and_a_detail_mask_is_repeated_to_the_bit(  # noqa: PLR0917
    run_small, style_image, read_recipe, impasto, out, tmp_path, narrow_weights
):
    with resources.as_file(DEMO / "portrait.jpg") as portrait:
        mask = tmp_path / "masks" / "hands.png"
        mask.parent.mkdir()
        Image.new("L", (512, 512), 90).save(mask)
        outcome = run_small("stylize", portrait, style_image, "--detail-mask", mask, "--size", 64)
        assert outcome.status == 0
        assert "portrait.jpg: 1 face found; faces: soft" in outcome.err
        assert (read_recipe()["detail"]["name"], read_recipe()["faces"]) == ("hands.png", 1)
        again = tmp_path / "again.png"
        words = [portrait, style_image, mask, "-o", again, "--weights", narrow_weights]
        assert impasto("rerun", out, *words).status == 0
        assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))
        assert "'hands.png'" in impasto("rerun", out, portrait, style_image, *words[3:], "--overwrite").complaint()


def test_the_alpha_of_the_content_image_can_be_a_mask(  # noqa: PLR0917
    run_small, content_image, style_image, tmp_path, read_recipe, impasto, out, narrow_weights
):
    clear = tmp_path / "clear.png"
    picture = Image.open(content_image).convert("RGBA")
    picture.putalpha(Image.fromarray(np.uint8(np.linspace(0, 255, 40)[None].repeat(30, 0))))
    picture.save(clear)
    assert run_small("stylize", clear, style_image, "--mask", "alpha").status == 0
    assert read_recipe()["styles"][0]["mask"] == "alpha"
    again = tmp_path / "again.png"
    assert impasto("rerun", out, clear, style_image, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))
    assert (
        "has no alpha channel to use as a mask"
        in run_small("stylize", content_image, style_image, "--mask", "alpha", "--overwrite").complaint()
    )


@pytest.mark.parametrize("flag", ["--mask", "--keep", "--detail-mask"])
def test_masks_that_cannot_be_are_refused(flag, run_small, content_image, style_image, left, tmp_path):  # noqa: PLR0917
    assert "does not exist" in run_small("stylize", content_image, style_image, flag, tmp_path / "none.png").complaint()
    assert (
        "do not have the aspect ratio of the content image, 40x30"
        in run_small("stylize", content_image, style_image, flag, style_image).complaint()
    )
    if flag == "--detail-mask":  # all of the image, or none of it, is possible
        return
    black = tmp_path / "black.png"
    Image.new("L", (40, 30), 0 if flag == "--mask" else 255).save(black)
    assert "no pixels are left for it" in run_small("stylize", content_image, style_image, flag, black).complaint()
    assert (
        "--mask: got 2 for 1 styles"
        in run_small("stylize", content_image, style_image, "--mask", left, "--mask", left).complaint()
    )


def test_a_run_with_another_mask_is_not_resumed(  # noqa: PLR0917
    run_small, content_image, style_image, left, tmp_path, monkeypatch
):
    monkeypatch.setattr("impasto.optimize.checkpoint.discard", lambda _: None)
    masks = ["--keep", left, "--detail-mask", left]
    assert run_small("stylize", content_image, style_image, *masks, "--checkpoint-every", "0s").status == 0
    (tmp_path / "out.png").unlink()  # as if it had been killed before it saved the result
    assert (
        "was started with another detail: left.png, got none"
        in run_small("stylize", content_image, style_image, "--keep", left, "--resume").complaint()
    )
    assert (
        "was started with another keep: left.png, got none"
        in run_small("stylize", content_image, style_image, "--detail-mask", left, "--resume").complaint()
    )
    assert (
        "was started with the weights [1.0] of the style images, got [2.0]"
        in run_small("stylize", content_image, f"{style_image}=2", *masks, "--resume").complaint()
    )


@pytest.fixture
def clear(content_image, left, tmp_path):
    """The content image, opaque on its left."""
    path = tmp_path / "clear.png"
    image = Image.open(content_image).convert("RGBA")
    image.putalpha(Image.open(left))
    image.save(path)
    return path


def test_the_alpha_channel_twice_is_the_same_mask_twice_and_is_rerun(  # noqa: PLR0917
    run_small, clear, style_image, content_image, left, impasto, out, tmp_path, narrow_weights, pixels
):
    styles, other, again = [style_image, content_image], tmp_path / "other.png", tmp_path / "again.png"
    assert run_small("stylize", clear, *styles, "--mask", "alpha", "--mask", "alpha").status == 0
    assert run_small("stylize", clear, *styles, "--mask", left, "--mask", left, "-o", other).status == 0
    assert np.array_equal(pixels(out), pixels(other))
    assert impasto("rerun", out, clear, *styles, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(pixels(out), pixels(again))


def test_a_mask_file_can_be_called_alpha(  # noqa: PLR0917
    run_small, content_image, style_image, left, impasto, out, tmp_path, narrow_weights, read_recipe, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(left, "alpha")
    assert run_small("stylize", content_image, style_image, "--mask", "./alpha").status == 0
    assert read_recipe()["styles"][0]["mask"]["name"] == "alpha"
    again = ["-o", "again.png", "--weights", narrow_weights]
    assert impasto("rerun", out, content_image, style_image, "alpha", *again).status == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open("again.png")))
    channel = run_small("stylize", content_image, style_image, "--mask", "alpha", "-o", "other.png")
    assert "has no alpha channel" in channel.complaint()


def test_labels_as_a_mask_are_used_as_black_and_white(  # noqa: PLR0917
    run_small, content_image, style_image, left, out, tmp_path, pixels
):
    label, other = tmp_path / "label.png", tmp_path / "other.png"
    Image.fromarray(pixels(left) // 255).save(label)
    outcome = run_small("stylize", content_image, style_image, content_image, "--mask", label)
    assert "note: label.png: its values 0 and 1 of 255 are used as black and white" in outcome.err.splitlines()
    assert run_small("stylize", content_image, style_image, content_image, "--mask", left, "-o", other).status == 0
    assert np.array_equal(pixels(out), pixels(other))


def test_a_protection_mask_that_covers_all_is_to_be_made_smaller(run_small, content_image, style_image, tmp_path):
    white = tmp_path / "white.png"
    Image.new("L", (40, 30), 255).save(white)
    complaint = run_small("stylize", content_image, style_image, "--keep", white).complaint()
    assert complaint.endswith("make the white area of the protection mask smaller")


@pytest.mark.usefixtures("undrawn_plots")
@pytest.mark.parametrize("kind", ["alpha", "file", "memory"])
def test_a_sweep_with_masks_is_resumed_with_the_same_masks_only(  # noqa: PLR0917
    kind, clear, style_image, left, tmp_path, narrow
):
    def run(mask, **how):
        seen = []
        styles = [Style(load(style_image), mask=mask), load(clear)]
        settings = library.Settings(size=32, steps=1)
        library.sweep(clear, styles, {"seed": [1]}, tmp_path / "s", settings, vgg=narrow, on_event=seen.append, **how)
        return [event.message for event in seen if isinstance(event, library.events.Noted)]

    masks = {"alpha": alpha_mask(load(clear)), "file": load(left), "memory": library.Picture(load(left).tensor)}
    run(masks[kind])
    assert "1 of 1: seed=1 is already finished" in run(masks[kind], resume=True)
    with pytest.raises(library.errors.OutputError, match="was started with another mask 1"):
        run(library.Picture(1 - load(left).tensor), resume=True)
    with pytest.raises(library.errors.OutputError, match="was started with another mask 1"):
        run(None, resume=True)
