"""Saving: formats, rounding, failures."""

import io
import os

import numpy as np
import pytest
import torch
from image_files import PROSE, RGB, RGBA, levels, picture
from PIL import Image

from impasto.errors import OutputError, SaveError, SettingError
from impasto.images.formats import check_suffix
from impasto.images.loading import load
from impasto.images.picture import Picture


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".webp"])
@pytest.mark.parametrize("samples", [RGB, RGBA], ids=["rgb", "rgba"])
def test_lossless_formats_are_exact(tmp_path, suffix, samples):
    path = tmp_path / f"a{suffix}"
    picture(samples).save(path, quality=100)
    found = load(path)
    assert np.array_equal(levels(found.tensor), samples[..., :3])
    assert (found.alpha is None) == (samples.shape[2] == 3)
    if found.alpha is not None:
        assert np.array_equal(levels(found.alpha), samples[..., 3:])
    assert found.notes == ()


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".webp", "WEBP"), (".png", "PNG")])
def test_the_suffix_selects_the_format(tmp_path, suffix, kind):
    picture(RGB).save(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.format == kind


def test_values_are_rounded_not_truncated(tmp_path):
    Picture(torch.tensor([[[99.6]], [[99.4]], [[254.7]]]) / 255).save(tmp_path / "a.png")
    assert levels(load(tmp_path / "a.png").tensor).ravel().tolist() == [100, 99, 255]


def test_jpeg_is_composited_on_white_with_full_chroma_resolution(tmp_path):
    red = torch.zeros(3, 16, 16)
    red[0] = 1
    alpha = torch.zeros(1, 16, 16)
    alpha[:, :8] = 1
    Picture(red, alpha).save(tmp_path / "a.jpg")
    found = load(tmp_path / "a.jpg")
    assert found.alpha is None
    assert levels(found.tensor)[12:].min() > 250
    with Image.open(tmp_path / "a.jpg") as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}  # no color is stored at half the size


def test_quality_changes_the_size_and_has_a_range(tmp_path):
    for suffix in ("jpg", "webp"):
        picture(RGB).save(tmp_path / f"low.{suffix}", quality=5)
        picture(RGB).save(tmp_path / f"high.{suffix}", quality=95)
        assert (tmp_path / f"low.{suffix}").stat().st_size < (tmp_path / f"high.{suffix}").stat().st_size
    for quality in (0, 101):
        with pytest.raises(SettingError, match=str(quality)):
            picture(RGB).save(tmp_path / "a.jpg", quality=quality)


def test_a_tiff_is_compressed(tmp_path):
    Picture(torch.full((3, 200, 200), 0.5)).save(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").stat().st_size < 4000


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", ".png", "a.jp2"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    for refuse in (check_suffix, picture(RGB).save):
        with pytest.raises(OutputError, match=r"\.png, \.jpg, \.jpeg, \.webp, \.tif, \.tiff"):
            refuse(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65_501), (".webp", 16_384)])
def test_an_image_too_large_for_the_format_is_refused(tmp_path, suffix, side):
    with pytest.raises(OutputError, match=f"1 x {side}"):
        Picture(torch.zeros(3, side, 1)).save(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
    Picture(torch.zeros(3, side - 1, 1)).save(tmp_path / f"a{suffix}")


def test_an_existing_file_is_kept_without_overwrite(tmp_path):
    (tmp_path / "a.png").write_text(PROSE)
    with pytest.raises(OutputError, match="exists"):
        picture(RGB).save(tmp_path / "a.png", overwrite=False)
    assert (tmp_path / "a.png").read_text() == PROSE
    picture(RGB).save(str(tmp_path / "a.png"))
    assert load(tmp_path / "a.png").width == 7


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text(PROSE)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left"):
        picture(RGB).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == PROSE
    assert len(list(tmp_path.iterdir())) == 1


def test_an_encoder_that_fails_is_a_save_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("encoding error 1")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(SaveError, match="encoding error 1"):
        picture(RGB).save(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, suffix):
    resource = pytest.importorskip("resource")
    path = tmp_path / f"a{suffix}"
    path.write_text(PROSE)
    noise = Picture(torch.rand(3, 200, 200))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SaveError, match=r"could not be (written|encoded) \(.+\); nothing was saved"):
            noise.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == PROSE
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("suffix", "file_format"), [(".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")]
)
def test_write_to_an_open_file_is_the_same_as_save(tmp_path, suffix, file_format):
    file, options = io.BytesIO(), {"quality": 80}
    image = picture(RGBA, recipe={"a": 1})
    image.write(file, file_format, **options)
    image.save(tmp_path / f"a{suffix}", **options)
    assert file.getvalue() == (tmp_path / f"a{suffix}").read_bytes()


def test_write_validates_before_it_writes():
    file = io.BytesIO()
    with pytest.raises(OutputError, match="format: got 'GIF' for 8 bits per channel; give JPEG or PNG or TIFF or WEBP"):
        picture(RGB).write(file, "GIF")
    with pytest.raises(OutputError, match="format: got 'JPEG' for 16 bits per channel; give PNG or TIFF"):
        picture(RGB).write(file, "JPEG", depth=16)
    with pytest.raises(SettingError, match="quality: got 0"):
        picture(RGB).write(file, quality=0)
    with pytest.raises(
        OutputError, match=r"^16384 x 1 pixels are too many, WEBP holds 16383 per side; save it as \.png$"
    ):
        Picture(torch.zeros(3, 1, 16384)).write(file, "WEBP")
    assert file.getvalue() == b""
