"""Helpers: image files in memory, some of them built by hand because Pillow does not write them."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from impasto.errors import PictureError
from impasto.images.loading import load
from impasto.images.picture import Picture

PROSE = "Not a picture.\nAt all.\n"
RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (11, 7, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (11, 7, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color_type, rows, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"")


def deep_png(samples, *chunks):
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    rows = [row.astype(">u2").tobytes() for row in samples]
    return png(samples.shape[1], samples.shape[0], 16, color_type, rows, *chunks)


def tiff(samples, *, end="<", compression=1, photometric=2, extra=(), kind=1, bits=None, planar=1, orientation=1):
    """A TIFF written by hand, because Pillow writes no deep color."""
    height, width, channels = samples.shape
    planes = [samples] if planar == 1 else [samples[..., index] for index in range(channels)]
    strips = [plane.astype(plane.dtype.newbyteorder(end)).tobytes() for plane in planes]
    strips = [zlib.compress(strip) if compression == 8 else strip for strip in strips]
    places = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    body = b"".join(strips) + b"\0" * (sum(map(len, strips)) % 2)
    bits = bits or samples.dtype.itemsize * 8
    tags = {256: [width], 257: [height], 258: [bits] * channels, 259: [compression], 262: [photometric]}
    tags |= {273: places, 274: [orientation], 277: [channels], 278: [height], 279: list(map(len, strips))}
    tags |= {284: [planar]} | ({338: list(extra)} if extra else {}) | {339: [kind] * channels}
    start, entries, beyond = 8 + len(body), b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, values in tags.items():
        packed = struct.pack(f"{end}{len(values)}I", *values)
        where = packed if len(packed) == 4 else struct.pack(end + "I", after + len(beyond))
        beyond += packed if len(packed) > 4 else b""
        entries += struct.pack(end + "HHI", tag, 4, len(values)) + where
    magic = {"<": b"II*\0", ">": b"MM\0*"}[end]
    directory = struct.pack(end + "H", len(tags)) + entries + bytes(4) + beyond
    return magic + struct.pack(end + "I", start) + body + directory


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def icc(space: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2."""
    described = b"desc" + bytes(4) + struct.pack(">I", 11) + b"Test space\0" + bytes(78)
    tags = {b"desc": described, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": xyz(0.9642, 1, 0.8249)} | tags
    place, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", 132 + len(table) - 4 + len(body), b"test", 0x02400000, device, space, pcs)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1, 0.8249)))
    return header.ljust(128, b"\0") + table + body


def xyz(*values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


def display_p3(exponent=2.2):
    curve = gamma(exponent)
    primaries = {b"rXYZ": xyz(0.5151, 0.2412, -0.0011), b"gXYZ": xyz(0.2920, 0.6922, 0.0419)}
    primaries[b"bXYZ"] = xyz(0.1571, 0.0666, 0.7841)
    return icc(b"RGB ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def cmyk_profile():
    """Paper is white, any ink at full is black: not what the formula without a profile makes of it."""
    line = bytes(range(256))
    corners = b"".join((b"\xff" if index == 0 else b"\0") + b"\x80\x80" for index in range(16))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    return icc(b"CMYK", {b"A2B0": table + line * 4 + corners + line * 3}, b"prtr", b"Lab ")


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def levels(tensor, peak=255):
    """(C, H, W) in [0, 1] as (H, W, C) whole numbers, which they must be."""
    scaled = tensor.permute(1, 2, 0).double().numpy() * peak
    assert np.abs(scaled - scaled.round()).max() < 0.02
    return scaled.round().astype(int)


def picture(samples, **fields):
    tensor = torch.from_numpy(samples.astype(np.float32) / 255).permute(2, 0, 1)
    alpha = tensor[3:] if samples.shape[2] == 4 else None
    return Picture(tensor[:3], alpha, **fields)


def outcome(path) -> str:
    """The one line of a refusal, or nothing; any other exception is a failure."""
    try:
        load(path, max_pixels=1_000_000)
    except PictureError as error:
        return str(error)
    return ""


def refusal(read, data, **options):
    with pytest.raises(PictureError) as caught:
        read(data, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "a.jpg: " in message
    return message


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def deep_picture(samples=DEEP, **fields):
    tensor = torch.from_numpy(samples.astype(np.float32) / 65535).permute(2, 0, 1)
    return Picture(tensor[:3], tensor[3:] if samples.shape[2] == 4 else None, **fields)
