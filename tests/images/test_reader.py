"""Reading files: animations, rejected files, damage, names and hashes."""

import hashlib
import json
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    PROSE,
    RGB,
    RGBA,
    RNG,
    display_p3,
    exif,
    levels,
    outcome,
    png,
    refusal,
    saved,
)
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from impasto.errors import PictureError
from impasto.images.loading import load
from impasto.memory import BASE_BYTES, resident_memory


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_the_first_of_several_images_is_used_and_noted(read, kind):
    first, second = Image.new("RGB", (8, 6), (250, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 250))
    found = read(saved(first, kind, save_all=True, append_images=[second]))
    assert np.abs(levels(found.tensor) - (250, 0, 0)).max() <= 8
    assert found.notes == ("contains several images: only the first is used",)


def test_damage_after_the_first_frame_does_not_matter(read):
    frames = [Image.fromarray(RNG.integers(0, 256, (20, 20), dtype=np.uint8)) for _ in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(levels(read(data[: len(data) * 2 // 3]).tensor)[..., 0], np.asarray(frames[0]))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "0 bytes"),
        (PROSE.encode(), "is text"),
        ("Schöne Grüße. ".encode() * 400, "is text"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\xef\xbb\xbf\n<html></html>", "HTML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS" + bytes(40), "Photoshop"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\x1f\x8b" + bytes(40), "gzip"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (bytes(1000), "no known kind"),
        (RNG.bytes(1000), "no known kind"),
    ],
)
def test_a_file_that_is_no_image_is_named_for_what_it_is(read, data, word):
    assert word in refusal(read, data)


def test_the_format_does_not_depend_on_the_name(tmp_path):
    (tmp_path / "a.txt").write_bytes(saved(Image.fromarray(RGB), "PNG"))
    assert np.array_equal(levels(load(tmp_path / "a.txt").tensor), RGB)


@pytest.mark.posix("named pipes and /dev/zero")
def test_paths_that_are_no_regular_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, word in [("none.png", "does not exist"), (".", "folder"), ("pipe", "regular"), ("a\0b", "null")]:
        with pytest.raises(PictureError, match=word):
            load(tmp_path / name)
    with pytest.raises(PictureError, match="regular"):
        load("/dev/zero")
    with pytest.raises(PictureError, match="cannot be read"):
        load(tmp_path / ("n" * 300))


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PictureError, match="Permission denied"):
        load(path)


@pytest.mark.parametrize(("width", "height"), [(65535, 65535), (2**31 - 1, 2**31 - 1), (2**32 - 1, 2), (12248, 12248)])
def test_a_huge_png_is_refused_from_its_header(read, width, height):
    limit = Image.MAX_IMAGE_PIXELS
    assert f"{width} x {height} pixels" in refusal(read, png(width, height, 8, 2, [b"\0"]))
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "PNG"])
def test_the_pixel_limit_holds_for_every_format(read, kind):
    data = saved(Image.new("RGB", (40, 30)), kind)
    assert read(data, max_pixels=1200).width == 40
    assert "40 x 30 pixels" in refusal(read, data, max_pixels=1199)


def test_a_huge_webp_is_refused_before_decoding(read):
    data = bytearray(saved(Image.new("RGBA", (8, 8)), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    data[24:30] = (16383 - 1).to_bytes(3, "little") * 2
    refusal(read, bytes(data))


def test_images_between_our_limit_and_that_of_pillow_are_read_without_a_warning(read, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("PNG", "JPEG", "GIF"):
        assert read(saved(Image.new("RGB", (40, 30)), kind)).width == 40
    assert "too large" in refusal(read, saved(Image.new("RGB", (40, 30)), "TIFF"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # a warning, not an error
    assert read(saved(Image.new("RGB", (40, 30)), "TIFF")).width == 40


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("AVIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"compression": "jpeg"}),
    ],
)
@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_without_other_output(read, capfd, kind, options, part):
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, kind, **options)
    message = refusal(read, data[: max(16, int(len(data) * part))])
    assert "truncated or damaged" in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "deflate"])
def test_a_damaged_file_is_either_read_or_refused(tmp_path, capfd, kind):
    options = {"compression": "tiff_adobe_deflate"} if kind == "deflate" else {}
    extras = {"exif": exif(6), "icc_profile": display_p3()} if kind not in ("GIF", "BMP") else {}
    whole = saved(Image.fromarray(RGB), "TIFF" if kind == "deflate" else kind, **options, **extras)

    @settings(max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=5))
    def damaged(changes):
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        (tmp_path / "a").write_bytes(data)
        assert "\n" not in outcome(tmp_path / "a")

    damaged()
    assert capfd.readouterr() == ("", "")


def test_an_image_that_does_not_fit_into_the_memory_is_refused_from_its_header(tmp_path):
    (tmp_path / "a.png").write_bytes(png(12000, 8000, 8, 2, [b"\0"]))
    base = max(resident_memory(), BASE_BYTES)
    with pytest.raises(
        PictureError, match=r"12000 x 8000 pixels, which take 1\.9 GB of memory to read; 0\.4 GB are left"
    ):
        load(tmp_path / "a.png", memory=base + 400_000_000)
    with pytest.raises(PictureError, match="missing"):  # large enough: now the damage is found
        load(tmp_path / "a.png", memory=base + 2_000_000_000)


def test_what_other_threads_print_while_a_tiff_is_decoded_is_not_lost(read, capfd, monkeypatch):
    decode = TiffImageFile.load

    def load_while_another_thread_prints(self):
        thread = threading.Thread(target=os.write, args=(2, b"another thread"))
        thread.start()
        thread.join()
        return decode(self)

    monkeypatch.setattr(TiffImageFile, "load", load_while_another_thread_prints)
    read(saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"))
    assert "another thread" in capfd.readouterr().err


def test_decoding_a_file_does_not_keep_other_threads_from_decoding(monkeypatch):
    decode, started, go_on = PngImageFile.load, threading.Event(), threading.Event()

    def slow_load(self):
        started.set()
        assert go_on.wait(60)
        return decode(self)

    monkeypatch.setattr(PngImageFile, "load", slow_load)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(load, saved(Image.fromarray(RGB), "PNG"), name="slow")
        assert started.wait(60)
        for kind in ("TIFF", "JPEG", "GIF"):
            assert load(saved(Image.fromarray(RGB), kind), name="fast").width == RGB.shape[1]
        assert not slow.done()
        go_on.set()
        assert slow.result().width == RGB.shape[1]


def test_a_file_that_is_no_image_is_not_read_beyond_its_beginning(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.write(b"text")
        file.truncate(2**40)
    with pytest.raises(PictureError, match="no known kind of image"):
        load(tmp_path / "a.png")


def test_a_file_that_is_longer_than_any_image_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.write(saved(Image.fromarray(RGB), "PNG"))
        file.truncate(2**40)
    with pytest.raises(PictureError, match=r"has 1099\.5 GB, more than 2\.7; make it smaller"):
        load(tmp_path / "a.png")


def test_threads_leave_the_warning_filters_unchanged(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"))
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [load(path) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_the_hash_is_that_of_the_bytes(read):
    data = saved(Image.fromarray(RGB), "PNG")
    assert read(data).sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "name", [b"plain.png", "ünï 😀.png".encode(), b"two\nlines.png", b"-dash .png", b"bad\xff.png"]
)
def test_the_name_has_no_folder_and_fits_json(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(saved(Image.fromarray(RGB), "PNG"))
    found = load(path).name
    assert "/" not in found
    assert "\n" not in found
    assert json.loads(json.dumps(found, ensure_ascii=False).encode()) == found
    if name.isascii() and b"\n" not in name:
        assert found == name.decode()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 7), (1, 20000), (15, 15)])
def test_odd_sizes(read, tmp_path, width, height):
    found = read(saved(Image.new("L", (width, height), 77), "PNG"))
    assert found.tensor.shape == (3, height, width)
    for suffix in (".png", ".jpg", ".tif") + ((".webp",) if height < 16384 else ()):
        found.save(tmp_path / f"b{suffix}")
        assert load(tmp_path / f"b{suffix}").tensor.shape == (3, height, width)


def test_bytes_are_decoded_as_a_file_is(read):
    data = saved(Image.fromarray(RGBA), "PNG")
    from_bytes, from_file = load(data, name="standard input"), read(data)
    assert torch.equal(from_bytes.tensor, from_file.tensor)
    assert torch.equal(from_bytes.alpha, from_file.alpha)
    assert (from_bytes.name, from_bytes.sha256) == ("standard input", from_file.sha256)
    with pytest.raises(PictureError, match=r"^standard input: is text; give a PNG"):
        load(PROSE.encode(), name="standard input")
    with pytest.raises(PictureError, match=r"^standard input: is empty"):
        load(b"", name="standard input")
