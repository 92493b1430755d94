"""Mixtures by weight, style masks and protection masks."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def left(tmp_path):
    """A mask of the photograph's shape, white on its left."""
    pixels = np.zeros((30, 40), np.uint8)
    pixels[:, :20] = 255
    path = tmp_path / "left.png"
    Image.fromarray(pixels).save(path)
    return path


def test_paintings_have_their_weights(paint, content_image, style_image, told):
    assert paint("stylize", content_image, f"{style_image}=0.75", f"{content_image}=2").status == 0
    assert [(style["name"], style["weight"]) for style in told()["styles"]] == [
        ("painting.png", 0.75),
        ("photo.png", 2.0),
    ]


def test_a_file_that_is_called_like_one_with_a_weight_is_that_file(paint, content_image, style_image, told, tmp_path):
    odd = tmp_path / "a=0.5"
    odd.write_bytes(style_image.read_bytes())
    assert paint("stylize", content_image, odd).status == 0
    assert told()["styles"] == [{**told()["styles"][0], "name": "a=0.5", "weight": 1.0}]


@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ("0", "got the weight 0; give one above 0"),
        ("-1", "got the weight -1"),
        ("nan", "got the weight nan"),
        ("x", "does not exist"),
    ],
)
def test_a_weight_that_is_none_is_refused(weight, complaint, paint, content_image, style_image):
    assert complaint in paint("stylize", content_image, f"{style_image}={weight}").complaint()


def test_each_painting_goes_where_its_mask_says(  # noqa: PLR0917
    paint, content_image, style_image, left, told, impasto, out, tmp_path, narrow_weights
):
    assert paint("stylize", content_image, style_image, content_image, "--mask", left).status == 0
    assert [style["mask"] and style["mask"]["name"] for style in told()["styles"]] == ["left.png", None]
    again = tmp_path / "again.png"
    assert impasto("rerun", out, content_image, style_image, left, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))


def test_what_is_kept_is_the_photograph(paint, content_image, style_image, left, told, out):  # noqa: PLR0917
    assert paint("stylize", content_image, style_image, "--keep", left, "--size", 40).status == 0
    kept, painted = np.asarray(Image.open(content_image)), np.asarray(Image.open(out))
    assert np.array_equal(kept[:, :19], painted[:, :19])
    assert not np.array_equal(kept[:, 21:], painted[:, 21:])
    assert told()["keep"]["name"] == "left.png"


def test_the_photographs_alpha_can_be_a_mask(  # noqa: PLR0917
    paint, content_image, style_image, tmp_path, told, impasto, out, narrow_weights
):
    clear = tmp_path / "clear.png"
    picture = Image.open(content_image).convert("RGBA")
    picture.putalpha(Image.fromarray(np.uint8(np.linspace(0, 255, 40)[None].repeat(30, 0))))
    picture.save(clear)
    assert paint("stylize", clear, style_image, "--mask", "alpha").status == 0
    assert told()["styles"][0]["mask"] == "alpha"
    again = tmp_path / "again.png"
    assert impasto("rerun", out, clear, style_image, "-o", again, "--weights", narrow_weights).status == 0
    assert np.array_equal(np.asarray(Image.open(out)), np.asarray(Image.open(again)))
    assert (
        "has no alpha channel to use as a mask"
        in paint("stylize", content_image, style_image, "--mask", "alpha", "--overwrite").complaint()
    )


@pytest.mark.parametrize("flag", ["--mask", "--keep"])
def test_masks_that_cannot_be_are_refused(flag, paint, content_image, style_image, left, tmp_path):  # noqa: PLR0917
    assert "does not exist" in paint("stylize", content_image, style_image, flag, tmp_path / "none.png").complaint()
    assert (
        "do not have the aspect ratio of the content image, 40x30"
        in paint("stylize", content_image, style_image, flag, style_image).complaint()
    )
    black = tmp_path / "black.png"
    Image.new("L", (40, 30), 0 if flag == "--mask" else 255).save(black)
    assert "no pixels are left for it" in paint("stylize", content_image, style_image, flag, black).complaint()
    assert (
        "--mask: got 2 for 1 styles"
        in paint("stylize", content_image, style_image, "--mask", left, "--mask", left).complaint()
    )


def test_a_run_with_another_mask_is_not_gone_on_with(paint, content_image, style_image, left, tmp_path, monkeypatch):  # noqa: PLR0917
    monkeypatch.setattr("impasto.optimize.checkpoint.discard", lambda _: None)
    assert paint("stylize", content_image, style_image, "--keep", left, "--checkpoint-every", "0s").status == 0
    assert (
        "was started with another keep: left.png, got none"
        in paint("stylize", content_image, style_image, "--resume").complaint()
    )
    assert (
        "was started with the weights [1.0] of the style images, got [2.0]"
        in paint("stylize", content_image, f"{style_image}=2", "--keep", left, "--resume").complaint()
    )
