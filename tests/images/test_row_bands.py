"""Large images: the size of the bands does not matter, BigTIFF, memory."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from image_files import DEEP, RGB, RGBA, chunk, cmyk_profile, deep_png, display_p3, exif, levels, picture, saved
from PIL import Image

from impasto.errors import RecipeError
from impasto.images import bands
from impasto.images import tiff as tiff_writer
from impasto.images.loading import load, read_recipe
from impasto.images.picture import Picture


@pytest.mark.parametrize("band", [1, 14, 2**18])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_saving_in_bands_equals_the_plain_formula(tmp_path, monkeypatch, band, suffix, channels):
    monkeypatch.setattr(bands, "_BAND_PIXELS", band)
    planes = torch.rand(channels, 11, 7)
    Picture(planes[:3], planes[3:] if channels == 4 else None).save(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        found = torch.from_numpy(np.array(image))
    assert torch.equal(found, (planes * 255).round().to(torch.uint8).permute(1, 2, 0))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_band_size_does_not_change_a_lossy_file(tmp_path, monkeypatch, suffix):
    whole, banded = tmp_path / f"whole{suffix}", tmp_path / f"banded{suffix}"
    picture(RGBA).save(whole)
    monkeypatch.setattr(bands, "_BAND_PIXELS", 14)
    picture(RGBA).save(banded)
    assert whole.read_bytes() == banded.read_bytes()


def test_reading_equals_the_plain_formula(read):
    shallow = read(saved(Image.fromarray(RGB), "PNG", exif=exif(6)))
    turned = torch.from_numpy(RGB).permute(2, 0, 1).rot90(-1, (1, 2))
    assert torch.equal(shallow.tensor, turned.float() / 255)
    deep = read(deep_png(DEEP))
    planes = torch.from_numpy(DEEP.astype(np.float32)).permute(2, 0, 1) / 65535
    assert torch.equal(deep.tensor, planes[:3])
    assert torch.equal(deep.alpha, planes[3:])
    assert deep.tensor.is_contiguous()


@pytest.mark.parametrize(
    "data",
    [
        deep_png(DEEP),
        deep_png(DEEP[..., :3], chunk(b"iCCP", b"P3\0\0" + zlib.compress(display_p3()))),
        saved(Image.fromarray(RGB), "PNG", icc_profile=display_p3()),
        saved(Image.fromarray(RGB[..., 0]), "PNG", icc_profile=display_p3()),
        saved(Image.frombytes("CMYK", (7, 11), RGBA.tobytes()), "TIFF", icc_profile=cmyk_profile()),
        saved(Image.frombytes("CMYK", (7, 11), RGBA.tobytes()), "TIFF"),
    ],
    ids=["deep", "deep with profile", "profile", "gray with a profile for color", "inks with profile", "inks"],
)
def test_band_size_does_not_change_what_is_read(read, monkeypatch, data):
    whole = read(data)
    monkeypatch.setattr(bands, "_BAND_PIXELS", 14)
    assert torch.equal(read(data).tensor, whole.tensor)


@pytest.mark.parametrize("band", [14, 2**18])
@pytest.mark.parametrize("samples", [RGB, RGBA], ids=["rgb", "rgba"])
def test_a_tiff_too_large_for_32_bit_offsets_is_a_bigtiff(tmp_path, monkeypatch, band, samples):
    monkeypatch.setattr(bands, "_BAND_PIXELS", band)
    for limit, magic in ((samples.size, b"II*\0"), (samples.size - 1, b"II+\0")):
        monkeypatch.setattr(tiff_writer, "_MAX_CLASSIC", limit)
        for recipe in (None, {}, {"word": "ü" * 1000}):
            picture(samples, recipe=recipe).save(tmp_path / "a.tif")
            assert (tmp_path / "a.tif").read_bytes().startswith(magic)
            found = load(tmp_path / "a.tif")
            assert np.array_equal(levels(found.tensor), samples[..., :3])
            assert (found.alpha is None) == (samples.shape[2] == 3)
            if recipe is not None:
                assert read_recipe(tmp_path / "a.tif") == recipe
    picture(samples).save(tmp_path / "a.tif")
    with pytest.raises(RecipeError, match="no recipe"):
        read_recipe(tmp_path / "a.tif")


MEMORY = """
import sys, torch
from impasto.images.loading import load
from impasto.images.picture import Picture

def used(what):  # in parts of the tensor of the image, 4000 pixels wide
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what)) / (3 * rows * 4000 * 4)

Picture(torch.rand(3, 100, 100)).save("small.png")  # threads are started, and libraries loaded
load("small.png").rounded()
start = used("VmRSS")
"""
SAVING = """
picture = Picture(torch.linspace(0, 1, 3 * rows)[:, None].expand(-1, 4000).contiguous().reshape(3, rows, 4000))
for name in ("a.tif", "a.png", "a.jpg"):
    picture.save(name)
    print(used("VmHWM") - start)
"""
COLORING = """
from impasto.images.color_transfer import match_palette, palette, transfer_luminance

rough = torch.rand(3, 300, 400)
transfer_luminance(rough, rough), match_palette(rough, palette(Picture(rough)), palette(Picture(rough)))
start = used("VmRSS")
picture = Picture(torch.linspace(0, 1, 3 * rows)[:, None].expand(-1, 4000).contiguous().reshape(3, rows, 4000))
for name in ("a.tif", "a.png"):
    picture.save(name, depth=16)
    print(used("VmHWM") - start)
own = palette(picture)
print(used("VmHWM") - start)
match_palette(picture.tensor, own, palette(Picture(rough)))
print(used("VmHWM") - start)
transfer_luminance(picture.tensor, picture.tensor)
print(used("VmHWM") - start)
"""
LOADING = """
for name in ("a.jpg", "a.png", "a.tif"):
    load(name)
    print(used("VmHWM") - start)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no count of memory here")
def test_no_full_size_float_copy_is_made(tmp_path):
    """In parts of the tensor itself: Pillow's image is a third of it, the samples of a file a quarter."""
    tif, png, jpg = peaks(SAVING, tmp_path)
    assert 1 <= tif < 1.25
    assert max(png, jpg) < 1.6
    loads = peaks(LOADING, tmp_path)
    assert 1 <= min(loads) <= max(loads) < 1.42


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no count of memory here")
def test_16_bit_files_and_color_transfer_work_in_bands(tmp_path):
    """In parts of the tensor, which counts as one, and the picture in other colors as another."""
    tif, png, own, matched, lit = peaks(COLORING, tmp_path, rows=2000)
    assert 1 <= tif <= png <= own < 1.3
    assert matched <= lit < 2.6


def peaks(script, folder, rows=3000):
    command = [sys.executable, "-c", f"rows = {rows}\n{MEMORY}{script}"]
    # freed blocks go back at once; what malloc keeps of them otherwise differs from run to run by a picture or two
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120, env=environment)
    return list(map(float, done.stdout.split()))


def test_a_channels_last_tensor_is_saved_correctly(tmp_path):
    interleaved = torch.rand(8, 9, 3).permute(2, 0, 1)
    Picture(interleaved).save(tmp_path / "a.png")
    assert torch.equal(load(tmp_path / "a.png").tensor, Picture(interleaved).rounded().tensor)
