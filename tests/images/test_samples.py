"""Samples of every kind and depth are read exactly."""

import base64
import struct
import zlib

import numpy as np
import pytest
import torch
from image_files import (
    DEEP,
    RGB,
    RGBA,
    RNG,
    chunk,
    deep_png,
    levels,
    png,
    refusal,
    saved,
    tiff,
)
from PIL import Image

AVIF_OF_10_BITS = (
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAA"
    "AAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAIwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2"
    "xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAACAAAAAgAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x"
    "4AAIAAgAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAK21kYXQSAAoIOAi/bwICBpAyFRrCYuTgABQAAACQNY45K0PENAMdjA=="
)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_eight_bits_are_read_exactly(read, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read(saved(Image.fromarray(RGB), kind, **options))
    assert np.array_equal(levels(found.tensor), RGB)
    assert found.tensor.dtype == torch.float32
    assert found.alpha is None
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "GIF"])
def test_lossy_formats_are_read(read, kind):
    found = read(saved(Image.new("RGB", (24, 16), (200, 60, 30)), kind))
    assert (found.width, found.height) == (24, 16)
    assert np.abs(levels(found.tensor) - (200, 60, 30)).max() <= 3
    assert found.notes == ()


def test_mpo_is_a_jpeg_with_several_images(read):
    first, second = Image.new("RGB", (8, 8), (200, 60, 30)), Image.new("RGB", (8, 8))
    found = read(saved(first, "MPO", save_all=True, append_images=[second]))
    assert np.abs(levels(found.tensor) - (200, 60, 30)).max() <= 3
    assert "first" in found.notes[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_modes_of_pillow(read, mode, kind):
    image = Image.fromarray(RGBA if "A" in mode else RGB).convert(mode)
    found = read(saved(image, kind))
    expected = np.asarray(image.convert("RGBA"))
    assert np.array_equal(levels(found.tensor), expected[..., :3])
    if "A" in mode:
        assert np.array_equal(levels(found.alpha), expected[..., 3:])
    else:
        assert found.alpha is None


def test_a_palette_with_alpha(read):
    palette_and_alpha = Image.fromarray(RGBA[..., :3].copy()).convert("P").convert("PA")
    palette_and_alpha.putalpha(Image.fromarray(RGBA[..., 3].copy()))
    found = read(saved(palette_and_alpha, "TIFF"))
    assert np.array_equal(levels(found.alpha)[..., 0], RGBA[..., 3])
    assert np.array_equal(levels(found.tensor), np.asarray(palette_and_alpha.convert("RGB")))


def test_lab(read):
    image = Image.frombytes("LAB", (3, 1), bytes([255, 0, 0, 0, 0, 0, 136, 80, 67]))
    white, black, red = levels(read(saved(image, "TIFF")).tensor)[0]
    assert min(white) >= 254
    assert max(black) <= 1
    assert red[0] > 240
    assert max(red[1:]) < 30


def test_opaque_alpha_is_none(read):
    opaque = RGBA.copy()
    opaque[..., 3] = 255
    assert read(saved(Image.fromarray(opaque), "PNG")).alpha is None
    opaque[3, 3, 3] = 254
    assert read(saved(Image.fromarray(opaque), "PNG")).alpha is not None


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 40])])
def test_transparent_colors_of_a_palette(read, transparency):
    image = Image.frombytes("P", (2, 2), bytes(range(4)))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    found = read(saved(image, "PNG", transparency=transparency))
    alphas = [255, 255, 255, 0] if transparency == 3 else list(transparency)
    assert levels(found.alpha).ravel().tolist() == alphas
    assert levels(found.tensor)[1, 1].tolist() == [100, 110, 120]


def test_a_transparent_color_of_rgb(read):
    samples = RGB.copy()
    samples[2, 2] = samples[5, 1] = (1, 2, 3)
    found = read(saved(Image.fromarray(samples), "PNG", transparency=(1, 2, 3)))
    assert np.argwhere(levels(found.alpha)[..., 0] == 0).tolist() == [[2, 2], [5, 1]]
    assert np.array_equal(levels(found.tensor), samples)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_gray_at_every_depth(read, depth):
    top = 2**depth - 1
    values = np.array([0, top, 0, 0])
    row = values.astype(">u2").tobytes() if depth == 16 else bytes(values.tolist())
    if depth < 8:
        bits = int("".join(f"{value:0{depth}b}" for value in values), 2) << (-4 * depth % 8)
        row = bits.to_bytes(-(-4 * depth // 8), "big")
    found = read(png(4, 1, depth, 0, [row], chunk(b"tRNS", struct.pack(">H", top))))
    assert levels(found.tensor)[0, :, 0].tolist() == [0, 255, 0, 0]
    assert levels(found.alpha).ravel().tolist() == [255, 0, 255, 255]


def test_a_transparent_color_of_a_gif(read):
    image = Image.frombytes("P", (2, 2), bytes(range(4)))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    found = read(saved(image, "GIF", transparency=2))
    assert levels(found.alpha).ravel().tolist() == [255, 255, 0, 255]
    assert levels(found.tensor)[0].tolist() == [[10, 20, 30], [40, 50, 60]]


def test_cmyk_without_a_profile_is_noted(read):
    image = Image.frombytes("CMYK", (7, 11), RGBA.tobytes())
    found = read(saved(image, "TIFF"))
    assert np.array_equal(levels(found.tensor), np.asarray(image.convert("RGB")))
    assert "CMYK" in found.notes[0]


def test_ycck_is_converted_like_cmyk(read):
    """Neutral chroma: Y is stored as 155, ink in the complement; the Adobe marker's last byte says how it is coded."""
    gray_ink = Image.new("CMYK", (16, 16), (100, 127, 127, 0))
    data = bytearray(saved(gray_ink, "JPEG", quality=100))
    assert data[data.index(b"Adobe") + 11] == 0
    data[data.index(b"Adobe") + 11] = 2
    found = read(bytes(data))
    assert np.abs(levels(found.tensor) - 100).max() <= 3


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_of_16_bits_is_read_at_full_depth(read, channels):
    samples = DEEP[..., :channels]
    found = read(deep_png(samples))
    color = samples[..., :1] if channels < 3 else samples[..., :3]
    assert np.array_equal(levels(found.tensor, 65535), np.broadcast_to(color, (5, 7, 3)))
    if channels in (2, 4):
        assert np.array_equal(levels(found.alpha, 65535), samples[..., -1:])
    assert found.notes == ()


def test_an_interlaced_png_of_16_bits_is_read_at_full_depth(read):
    samples = RNG.integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [row.astype(">u2").tobytes() for x, y, dx, dy in passes for row in samples[y::dy, x::dx]]
    data = bytearray(png(8, 8, 16, 2, rows))
    data[28] = 1  # Adam7
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert np.array_equal(levels(read(bytes(data)).tensor, 65535), samples)


@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize(("channels", "extra"), [(1, ()), (3, ()), (4, (0,)), (4, (2,))])
def test_a_tiff_of_16_bits_is_read_at_full_depth(read, end, compression, channels, extra):
    samples = DEEP[..., :channels]
    data = tiff(samples, end=end, compression=compression, extra=extra, photometric=1 if channels == 1 else 2)
    found = read(data)
    assert np.array_equal(levels(found.tensor, 65535), np.broadcast_to(samples[..., :3], (5, 7, 3)))
    assert (found.alpha is None) == (extra != (2,))
    assert found.notes == ()


def test_16_bits_that_pillow_reduces_to_8_are_noted(read):
    planes = read(tiff(DEEP[..., :3], compression=8, planar=2))
    assert np.array_equal(levels(planes.tensor), DEEP[..., :3] >> 8)
    premultiplied = read(tiff(DEEP, extra=(1,)))
    assert planes.notes == premultiplied.notes == ("16 bits per channel were read as 8",)


def test_16_bits_that_pillow_decodes_wrongly_are_refused(read):
    assert "separate planes" in refusal(read, tiff(DEEP[..., :3], planar=2))


def test_a_transparent_color_of_16_bits_is_compared_at_full_depth(read):
    samples = DEEP[..., :3].copy()
    samples[0, 0], samples[0, 1] = (258, 259, 260), (258, 259, 261)
    found = read(deep_png(samples, chunk(b"tRNS", struct.pack(">3H", 258, 259, 260))))
    assert np.argwhere(found.alpha[0].numpy() == 0).tolist() == [[0, 0]]


def test_12_bit_gray_and_white_is_zero(read):
    packed = np.array([[[0xFF], [0xF0], [0x00]]], np.uint8)  # three bytes hold two samples: 4095 and 0
    data = tiff(packed, photometric=1, bits=12)
    data = data.replace(struct.pack("<HHII", 256, 4, 1, 3), struct.pack("<HHII", 256, 4, 1, 2))
    assert levels(read(data).tensor)[0, :, 0].tolist() == [255, 0]
    inverted = read(tiff(DEEP[..., :1], photometric=0))
    assert np.array_equal(levels(inverted.tensor, 65535)[..., :1], 65535 - DEEP[..., :1].astype(int))


def test_32_bit_integers(read):
    found = read(saved(Image.fromarray(DEEP[..., 0].astype(np.int32)), "TIFF"))
    assert np.array_equal(levels(found.tensor, 65535)[..., 0], DEEP[..., 0])
    assert "from 0 to 65536" in refusal(read, saved(Image.fromarray(np.array([[0, 65536]], np.int32)), "TIFF"))
    assert "from -1 to 5" in refusal(read, saved(Image.fromarray(np.array([[5, -1]], np.int32)), "TIFF"))


def test_floating_point(read):
    samples = RNG.random((6, 5), dtype=np.float32)
    found = read(saved(Image.fromarray(samples), "TIFF"))
    assert np.array_equal(found.tensor.numpy(), np.broadcast_to(samples, (3, 6, 5)))


@pytest.mark.parametrize(
    ("bad", "word"), [(np.nan, "not a number"), (np.inf, "infinite"), (1.5, "to 1.5"), (-0.25, "from -0.25")]
)
def test_floating_point_out_of_range_is_refused(read, bad, word):
    samples = np.full((4, 4), 0.5, np.float32)
    samples[1, 2] = bad
    assert word in refusal(read, saved(Image.fromarray(samples), "TIFF"))


def test_a_10_bit_avif_is_noted(read):
    """8 x 8 pixels of (800, 400, 100) out of 1023: Pillow writes no such file."""
    found = read(base64.b64decode(AVIF_OF_10_BITS))
    assert np.abs(levels(found.tensor) - (199, 100, 25)).max() <= 3
    assert found.notes == ("more than 8 bits per channel were read as 8",)


def test_a_rare_kind_of_tiff_is_named(read):
    color = RNG.random((4, 4, 3), dtype=np.float32)
    assert "rare kind of TIFF" in refusal(read, tiff(color, kind=3))
