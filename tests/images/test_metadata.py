"""EXIF orientation."""

import io

import numpy as np
import pytest
import torch
from image_files import DEEP, RGB, RGBA, chunk, deep_png, exif, levels, saved, tiff
from PIL import Image, ImageOps


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once(read, kind, orientation):
    """As Pillow turns the same file; and by hand for 6, a camera held upright: the left edge comes to the top."""
    data = saved(Image.fromarray(RGBA[..., :3]), kind, exif=exif(orientation))
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    found = levels(read(data).tensor)
    assert np.array_equal(found, expected)
    if kind == "PNG" and orientation == 6:
        assert np.array_equal(found[0, ::-1], RGBA[:, 0, :3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bit_samples_and_alpha_are_oriented_too(read, orientation):
    body = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    found_png = read(deep_png(DEEP, chunk(b"eXIf", body)))
    found_tiff = read(tiff(DEEP, extra=(2,), compression=8, orientation=orientation))
    assert torch.equal(found_png.tensor, found_tiff.tensor)
    assert torch.equal(found_png.alpha, found_tiff.alpha)
    assert found_png.tensor.shape == ((3, 7, 5) if orientation > 4 else (3, 5, 7))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_is_ignored(read, orientation):
    found = read(saved(Image.fromarray(RGB), "PNG", exif=exif(orientation)))
    assert np.array_equal(levels(found.tensor), RGB)


@pytest.mark.parametrize(
    "damage", [b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"]
)
def test_damaged_exif_is_ignored_and_noted(read, damage):
    found = read(saved(Image.new("RGB", (9, 8), (1, 99, 200)), "JPEG", exif=damage))
    assert (found.width, found.height) == (9, 8)
    assert "EXIF" in found.notes[0]
