"""Mixtures by weight, style masks and protection masks."""

import numpy as np
import pytest
from PIL import Image


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


@pytest.mark.parametrize("flag", ["--mask", "--keep"])
def test_masks_that_cannot_be_are_refused(flag, run_small, content_image, style_image, left, tmp_path):  # noqa: PLR0917
    assert "does not exist" in run_small("stylize", content_image, style_image, flag, tmp_path / "none.png").complaint()
    assert (
        "do not have the aspect ratio of the content image, 40x30"
        in run_small("stylize", content_image, style_image, flag, style_image).complaint()
    )
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
    assert run_small("stylize", content_image, style_image, "--keep", left, "--checkpoint-every", "0s").status == 0
    assert (
        "was started with another keep: left.png, got none"
        in run_small("stylize", content_image, style_image, "--resume").complaint()
    )
    assert (
        "was started with the weights [1.0] of the style images, got [2.0]"
        in run_small("stylize", content_image, f"{style_image}=2", "--keep", left, "--resume").complaint()
    )
