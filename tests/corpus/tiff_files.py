"""TIFF files: layouts, compressions, thumbnails, camera raw files, damage."""

import io
import struct

import numpy as np
import PIL
from entry import COLOR, DEEP, SMOOTH, Entry
from image_files import exif, saved, tiff
from PIL import Image

BITS = COLOR[..., :1] >> 7


ZSTD = ("zstd",) if int(PIL.__version__.split(".")[0]) >= 13 else ()
"""Older wheels of Pillow are built without it."""


def directory(tags, *, start=8, after=b""):
    """A TIFF of one directory at `start`: tag -> value, a number (LONG) or bytes (ASCII)."""
    body, beyond = b"", b""
    end = start + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        if isinstance(value, bytes):
            place = struct.pack("<I", end + len(beyond)) if len(value) > 4 else value.ljust(4, b"\0")
            beyond += value if len(value) > 4 else b""
            body += struct.pack("<HHI", tag, 2, len(value)) + place
        else:
            body += struct.pack("<HHII", tag, 4, 1, value)
    return b"II*\0" + struct.pack("<IH", start, len(tags)) + body + bytes(4) + beyond + after


def _retagged(data, tag, value):
    """A little-endian TIFF with another value of a tag with one SHORT or LONG."""
    start = struct.unpack_from("<I", data, 4)[0]
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            return data[: at + 2] + struct.pack("<HII", 4, 1, value) + data[at + 12 :]
    raise ValueError(tag)


def _layouts():
    for end, name in (("<", "little"), (">", "big")):
        yield Entry(f"tiff-rgb-8-{name}", tiff(COLOR[..., :3], end=end))
        yield Entry(f"tiff-rgb-16-{name}", tiff(DEEP[..., :3], end=end))
        yield Entry(f"tiff-rgba-16-{name}", tiff(DEEP, end=end, extra=(2,)))
        yield Entry(f"tiff-gray-16-{name}", tiff(DEEP[..., :1], end=end, photometric=1))
        floats = (COLOR[..., :1] / 255).astype(np.float32)
        yield Entry(f"tiff-gray-float-{name}", tiff(floats, end=end, photometric=1, kind=3))
    yield Entry("tiff-gray-16-inverted", tiff(DEEP[..., :1], photometric=0))
    yield Entry("tiff-gray-8-inverted", tiff(COLOR[..., :1], photometric=0))
    yield Entry("tiff-planes", tiff(COLOR[..., :3], planar=2))
    yield Entry("tiff-premultiplied", tiff(np.minimum(COLOR, COLOR[..., 3:]), extra=(1,)), tolerance=3)
    yield Entry("tiff-planes-16", tiff(DEEP[..., :3], planar=2), refused="separate planes")
    yield Entry("tiff-float-rgb", tiff((COLOR[..., :3] / 255).astype(np.float32), kind=3), refused="rare kind of TIFF")
    beyond = (COLOR[..., :1] / 100).astype(np.float32)
    yield Entry("tiff-float-beyond-1", tiff(beyond, photometric=1, kind=3), refused="scale them")
    for orientation in range(1, 9):
        yield Entry(f"tiff-orientation-{orientation}", tiff(COLOR[..., :3], orientation=orientation))
    yield Entry(
        "tiff-cmyk",
        saved(Image.frombytes("CMYK", (5, 4), COLOR.tobytes()), "TIFF"),
        notes=("CMYK without",),
        tolerance=1.1,
    )
    yield Entry("tiff-palette", saved(Image.fromarray(COLOR[..., :3]).convert("P"), "TIFF"), tolerance=1)
    yield Entry("tiff-1-bit", saved(Image.fromarray(BITS[..., 0].astype(bool)), "TIFF"))
    yield Entry("tiff-big", saved(Image.fromarray(COLOR), "TIFF", big_tiff=True))
    pages = {"save_all": True, "append_images": [Image.new("RGB", (3, 3))]}
    yield Entry("tiff-pages", saved(Image.fromarray(COLOR[..., :3]), "TIFF", **pages), notes=("several images",))


def _compressions():
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", *ZSTD):
        yield Entry(f"tiff-{compression}", saved(Image.fromarray(COLOR[..., :3]), "TIFF", compression=compression))
    for compression in ("group3", "group4", "tiff_ccitt"):
        bits = Image.fromarray(np.kron(BITS[..., 0], np.ones((4, 5))).astype(bool))
        yield Entry(f"tiff-{compression}", saved(bits, "TIFF", compression=compression))
    yield Entry("tiff-jpeg", saved(Image.fromarray(SMOOTH), "TIFF", compression="jpeg", quality=98), tolerance=4)
    plain = tiff(COLOR[..., :3])
    for compression, name in (
        (34712, "JPEG 2000"),
        (33005, "JPEG 2000"),
        (50002, "JPEG XL"),
        (34887, "LERC"),
        (65000, "method 65000"),
    ):
        yield Entry(
            f"tiff-compression-{compression}", _retagged(plain, 259, compression), refused=f"compressed with {name}"
        )
    yield Entry("tiff-webp", _retagged(plain, 259, 50001), refused="compressed with WebP")


def _raw():
    small = {256: 160, 257: 120, 258: 8, 259: 1, 262: 2, 273: 8, 277: 3, 278: 120, 279: 57600}
    pixels = bytes(57600)
    camera = {271: b"NIKON CORPORATION\0", 272: b"NIKON D850\0"}
    yield Entry(
        "raw-nef",
        directory(small | camera | {254: 1, 330: 400}, after=pixels),
        refused="camera raw file (NIKON CORPORATION)",
    )
    yield Entry("raw-dng", directory(small | {254: 1, 50706: 0x0401}, after=pixels), refused="camera raw file")
    yield Entry("raw-cfa", directory(small | {262: 32803, 277: 1}, after=pixels), refused="camera raw file")
    cr2 = directory(small, start=16)
    yield Entry("raw-cr2", cr2[:8] + b"CR\2\0\0\0\0\0" + cr2[8:] + pixels, refused="camera raw file")
    yield Entry("raw-orf", b"IIRO\x08\0\0\0" + bytes(100), refused="camera raw file")
    yield Entry("raw-rw2", b"IIU\0\x08\0\0\0" + bytes(100), refused="camera raw file")
    yield Entry("raw-raf", b"FUJIFILMCCD-RAW 0201" + bytes(100), refused="camera raw file")
    yield Entry("raw-cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100), refused="camera raw file")
    thumbnail = directory(small | {254: 1}, after=pixels)
    yield Entry("tiff-thumbnail-first", thumbnail, refused="a thumbnail of 160 x 120 pixels")
    yield Entry(
        "tiff-old-thumbnail-first", directory(small | {255: 2}, after=pixels), refused="a thumbnail of 160 x 120"
    )


def _damaged():
    noise = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        data = saved(Image.fromarray(noise), "TIFF", compression=compression)
        with Image.open(io.BytesIO(data)) as image:
            start, length = image.tag_v2[273][0], image.tag_v2[279][0]
        middle = start + length // 2
        if compression == "raw":
            yield Entry("tiff-raw-cut", tiff(noise)[:3000], refused="damaged")
        else:
            data = data[:middle] + bytes(length // 4) + data[middle + length // 4 :]
            yield Entry(f"tiff-{compression}-changed", data, refused="damaged")
    data = saved(Image.fromarray(SMOOTH), "TIFF", compression="jpeg", quality=98)
    with Image.open(io.BytesIO(data)) as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    half = start + length // 2
    rest = start + length - half
    ended = data[:half] + b"\xff\xd9" * (rest // 2) + data[half + rest - rest % 2 :]
    yield Entry("tiff-jpeg-half", ended, refused="premature end")
    bits = np.kron(np.random.default_rng(0).integers(0, 2, (16, 16)), np.ones((4, 4))).astype(bool)
    data = bytearray(saved(Image.fromarray(bits), "TIFF", compression="group4"))
    with Image.open(io.BytesIO(data)) as image:
        middle = image.tag_v2[273][0] + image.tag_v2[279][0] * 3 // 10
    data[middle : middle + 20] = bytes([0x00, 0x01, 0xFF, 0x33] * 5)
    yield Entry(
        "tiff-group4-changed", bytes(data), notes=("data are damaged",), formula=np.zeros((64, 64, 3)), tolerance=255
    )
    for compression in ("lzma", *ZSTD):
        data = saved(Image.fromarray(noise), "TIFF", compression=compression)
        with Image.open(io.BytesIO(data)) as image:
            length = image.tag_v2[279][0]
        yield Entry(f"tiff-{compression}-half", _retagged(data, 279, length // 2), refused="damaged")
    yield Entry("tiff-no-directory", b"II*\0\xff\xff\xff\0", refused="damaged")


def entries():
    turned = saved(Image.fromarray(COLOR[..., :3]), "TIFF", exif=exif(6))
    return [*_layouts(), *_compressions(), Entry("tiff-orientation-deflate", turned), *_raw(), *_damaged()]
