"""Recipes embedded in files, and read from untrusted ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import PROSE, RGB, RGBA, chunk, levels, picture, png, saved
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.errors import OutputError, PictureError, RecipeError
from impasto.images.loading import load, read_recipe

RECIPE = {"text": 'Grüße, 猫 😀 "quoted"\n', "size": [512, None, 0.1], "nested": {"true": True}}
SUFFIXES = [".png", ".jpg", ".webp", ".tif"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("samples", [RGB, RGBA], ids=["rgb", "rgba"])
def test_a_recipe_is_read_back(tmp_path, suffix, samples):
    path = tmp_path / f"a{suffix}"
    picture(samples, recipe=RECIPE).save(path, quality=100)
    assert read_recipe(path) == RECIPE
    if suffix != ".jpg":
        assert np.array_equal(levels(load(path).tensor), samples[..., :3])
    assert load(path).notes == ()
    assert load(path).recipe is None


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
@settings(max_examples=25)
def test_any_text_survives_every_format(tmp_path_factory, recipe):
    folder = tmp_path_factory.mktemp("any")
    for suffix in SUFFIXES:
        picture(RGB, recipe=recipe).save(folder / f"a{suffix}")
        assert read_recipe(folder / f"a{suffix}") == recipe


def test_other_readers_find_the_recipe_where_the_standards_say(tmp_path):
    for suffix in SUFFIXES[1:]:
        picture(RGB, recipe={"a": "é"}).save(tmp_path / f"a{suffix}")
        with Image.open(tmp_path / f"a{suffix}") as image:
            comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b'ASCII\0\0\0{"a":"\\u00e9"}'
    picture(RGB, recipe={"a": "é"}).save(tmp_path / "a.png")
    assert b"iTXtimpasto\0\0\0\0\0" in (tmp_path / "a.png").read_bytes()


@pytest.mark.parametrize("bad", [{"a": float("nan")}, {"a": object()}, {("a",): 1}])
def test_a_recipe_that_is_not_json_is_not_saved(tmp_path, bad):
    with pytest.raises(RecipeError, match="not JSON"):
        picture(RGB, recipe=bad).save(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_too_long_for_jpeg(tmp_path):
    long = picture(RGB, recipe={"a": "x" * 66_000})
    with pytest.raises(OutputError, match="65533"):
        long.save(tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []
    for suffix in (".png", ".webp", ".tif"):
        long.save(tmp_path / f"a{suffix}")
        assert read_recipe(tmp_path / f"a{suffix}") == long.recipe


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_an_image_without_a_recipe(tmp_path, kind):
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(RGB), kind))
    with pytest.raises(RecipeError, match="no recipe"):
        read_recipe(tmp_path / "a.png")


def test_a_comment_by_another_program_is_no_recipe(tmp_path):
    for comment in (b"UNICODE\0{}", b"", b"{}", "text"):
        foreign = Image.Exif()
        foreign.get_ifd(0x8769)[0x9286] = comment
        (tmp_path / "a.jpg").write_bytes(saved(Image.fromarray(RGB), "JPEG", exif=foreign))
        with pytest.raises(RecipeError, match=r"no recipe|not JSON|damaged"):
            read_recipe(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[" * 900_000, "damaged"),
        ('{"a":' * 100_000, "damaged"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": "\\ud800"}', "damaged"),
        ('{"a": 1' + "0" * 900_000 + "}", "damaged"),
        ("[1]", "list"),
        ("null", "NoneType"),
        ('{"a":"' + "x" * 1_000_000 + '"}', "1000008"),
    ],
    ids=range(11),
)
def test_a_recipe_is_not_trusted(tmp_path, text, word):
    info = PngInfo()
    info.add_itxt("impasto", text)
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(RGB), "PNG", pnginfo=info))
    with pytest.raises(RecipeError, match=word) as caught:
        read_recipe(tmp_path / "a.png")
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_recipe_is_read_without_decoding_the_pixels(tmp_path):
    info = chunk(b"iTXt", b"impasto\0\0\0\0\0" + b'{"a": 1}')
    (tmp_path / "a.png").write_bytes(png(65535, 65535, 8, 2, [b"\0"], info))
    assert read_recipe(tmp_path / "a.png") == {"a": 1}


def test_a_recipe_in_damaged_exif_is_none(tmp_path):
    (tmp_path / "a.jpg").write_bytes(saved(Image.fromarray(RGB), "JPEG", exif=b"Exif\0\0junk"))
    with pytest.raises(RecipeError, match="no recipe"):
        read_recipe(tmp_path / "a.jpg")


def test_reading_the_recipe_of_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text(PROSE)
    for name in ("a.png", "b.png"):
        with pytest.raises(PictureError):
            read_recipe(tmp_path / name)
