"""Saving 16 bits per channel, and dithered."""

import struct
import zlib

import numpy as np
import pytest
import torch
from image_files import DEEP, deep_picture, levels
from PIL import Image

from impasto.errors import OutputError
from impasto.images import bands
from impasto.images import tiff as tiff_writer
from impasto.images.loading import load, read_recipe
from impasto.images.picture import Picture
from impasto.images.quantize import Quantization

DEEP_SUFFIXES = [".png", ".tif"]


@pytest.mark.parametrize("band", [1, 14, 2**18])
@pytest.mark.parametrize("suffix", DEEP_SUFFIXES)
@pytest.mark.parametrize("samples", [DEEP[..., :3], DEEP], ids=["rgb", "rgba"])
def test_16_bits_come_back_exactly(tmp_path, monkeypatch, band, suffix, samples):
    monkeypatch.setattr(bands, "_BAND_PIXELS", band)
    path = tmp_path / f"a{suffix}"
    deep_picture(samples, recipe={"word": "ü"}).save(path, depth=16)
    found = load(path)
    assert np.array_equal(levels(found.tensor, 65535), samples[..., :3])
    assert (found.alpha is None) == (samples.shape[2] == 3)
    if found.alpha is not None:
        assert np.array_equal(levels(found.alpha, 65535), samples[..., 3:])
    assert found.notes == ()
    assert read_recipe(path) == {"word": "ü"}


def chunks(data):
    """The parts of a PNG, their checksums verified."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert data[place + 8 + length : place + 12 + length] == struct.pack(">I", zlib.crc32(kind + body))
        found.append((kind, body))
        place += 12 + length
    return found


def test_a_16_bit_png_follows_the_standard(tmp_path, monkeypatch):
    monkeypatch.setattr(bands, "_BAND_PIXELS", 14)
    deep_picture(recipe={"a": 1}).save(tmp_path / "a.png", depth=16)
    (ihdr, head), (itxt, text), *data, (iend, end) = chunks((tmp_path / "a.png").read_bytes())
    assert (ihdr, itxt, {kind for kind, _ in data}, iend, end) == (b"IHDR", b"iTXt", {b"IDAT"}, b"IEND", b"")
    assert struct.unpack(">IIBBBBB", head) == (7, 5, 16, 6, 0, 0, 0)
    assert text == b'impasto\0\0\0\0\0{"a":1}'
    rows = np.frombuffer(zlib.decompress(b"".join(body for _, body in data)), np.uint8).reshape(5, 1 + 7 * 8)
    assert (rows[:, 0] == 1).all()  # filter type 1, Sub
    plain = np.cumsum(rows[:, 1:].reshape(5, 7, 8), axis=1, dtype=np.uint8)
    assert np.array_equal(plain.reshape(5, 7 * 8).view(">u2").reshape(5, 7, 4), DEEP)


@pytest.mark.parametrize("suffix", DEEP_SUFFIXES)
def test_pillow_reads_16_bit_files(tmp_path, suffix):
    deep_picture(DEEP).save(tmp_path / f"a{suffix}", depth=16)
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.mode == "RGBA"  # Pillow keeps the high byte
        assert np.array_equal(np.asarray(image), DEEP >> 8)


@pytest.mark.parametrize("limit", [DEEP.nbytes, DEEP.nbytes - 1])
def test_the_bigtiff_limit_counts_bytes_not_samples(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(tiff_writer, "_MAX_CLASSIC", limit)
    deep_picture().save(tmp_path / "a.tif", depth=16)
    magic = b"II*\0" if limit == DEEP.nbytes else b"II+\0"
    assert (tmp_path / "a.tif").read_bytes().startswith(magic)
    assert np.array_equal(levels(load(tmp_path / "a.tif").tensor, 65535), DEEP[..., :3])


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".webp", "WEBP")])
def test_16_bits_are_refused_by_8_bit_formats(tmp_path, suffix, kind):
    for deep in (deep_picture(), deep_picture(rounding=Quantization(16))):
        with pytest.raises(OutputError, match=rf"a{suffix}: {kind} holds 8 bits per channel, not 16; end it in \.png"):
            deep.save(tmp_path / f"a{suffix}", depth=16)
    assert list(tmp_path.iterdir()) == []
    deep_picture(rounding=Quantization(16)).save(tmp_path / f"a{suffix}", depth=8)


@pytest.mark.parametrize("rounding", [Quantization(), Quantization(dither=True), Quantization(16)])
@pytest.mark.parametrize("suffix", DEEP_SUFFIXES)
@pytest.mark.parametrize("band", [14, 2**18])
def test_rounded_is_what_is_saved_with_every_quantization(tmp_path, monkeypatch, rounding, suffix, band):
    exact = Picture(torch.rand(3, 9, 7), torch.rand(1, 9, 7), rounding=rounding)
    rounded = exact.rounded()
    monkeypatch.setattr(bands, "_BAND_PIXELS", band)
    exact.save(tmp_path / f"a{suffix}")
    loaded = load(tmp_path / f"a{suffix}")
    assert torch.equal(loaded.tensor, rounded.tensor)
    assert torch.equal(loaded.alpha, rounded.alpha)
    if rounding.dither:
        assert not torch.equal(rounded.tensor, Picture(exact.tensor).rounded().tensor)


def test_alpha_is_not_dithered(tmp_path):
    half = Picture(torch.full((3, 20, 20), 0.5), torch.full((1, 20, 20), 0.5))
    half.save(tmp_path / "a.png", dither=True)
    found = load(tmp_path / "a.png")
    assert len(found.alpha.unique()) == 1
    assert len(found.tensor.unique()) == 2
