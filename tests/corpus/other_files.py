"""BMP, GIF, WebP and AVIF files; files that are no supported image."""

import struct

import numpy as np
from colors import ADOBE_TO_XYZ, P3_TO_XYZ, to_srgb
from entry import COLOR, SMOOTH, Entry
from image_files import display_p3, exif, saved
from PIL import Image

RGB = Image.fromarray(COLOR[..., :3])
PALE = (96 + SMOOTH // 4).astype(np.uint8)
NOISE = np.random.default_rng(5).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def bmp(rows, bits, *, width=5, height=4, size=40, compression=0, after=b"", palette=b"", tail=b""):
    """A BMP file; `after` are the fields of the header from its 40th byte on, `tail` follows the pixels."""
    header = struct.pack(
        "<IiiHHIIiiII", size, width, height, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0
    )
    start = 14 + size + (12 if compression == 3 and size == 40 else 0) + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    return head + header + after + palette + rows + tail


def _rows(samples):
    """Rows from the bottom up, each padded to four bytes."""
    lines = [row.tobytes() for row in samples[::-1]]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def _v5(space, *, endpoints=(0,) * 9, gammas=(0, 0, 0), profile=b"", samples=COLOR[..., :3]):
    rows = _rows(samples[:4, :5, ::-1])
    fields = struct.pack("<4I4s9i3IIIII", 0, 0, 0, 0, space, *endpoints, *gammas, 4, 124 + len(rows), len(profile), 0)
    return bmp(rows, 24, size=124, after=fields, tail=profile)


def _bmps():
    palette = np.dstack([COLOR[..., [2, 1, 0]], np.zeros((4, 5, 1), np.uint8)]).tobytes()
    index = np.arange(20, dtype=np.uint8).reshape(4, 5)
    yield Entry("bmp-24", bmp(_rows(COLOR[..., 2::-1]), 24))
    yield Entry("bmp-8", bmp(_rows(index), 8, palette=palette))
    yield Entry("bmp-1", bmp(_rows(np.packbits(index & 1, axis=1)), 1, palette=palette[:8]))
    top_down = b"".join(row.tobytes() + b"\0" for row in COLOR[..., 2::-1])
    yield Entry("bmp-top-down", bmp(top_down, 24, height=-4))
    r, g, b = (COLOR[..., channel].astype(np.uint16) for channel in range(3))
    packed = (r >> 3) << 11 | (g >> 2) << 5 | b >> 3
    yield Entry(
        "bmp-565", bmp(_rows(packed), 16, compression=3, after=struct.pack("<III", 0xF800, 0x7E0, 0x1F)), tolerance=1
    )
    packed = (r >> 3) << 10 | (g >> 3) << 5 | b >> 3
    yield Entry("bmp-555", bmp(_rows(packed), 16), tolerance=1)
    runs = b"".join(b"\5" + bytes([value]) + b"\0\0" for value in (3, 2, 1, 0)) + b"\0\1"
    yield Entry("bmp-runs", bmp(runs, 8, compression=1, palette=palette))
    yield Entry("bmp-v5-srgb", _v5(b"BGRs"))
    yield Entry("bmp-v5-linked", _v5(b"KNIL"), notes=("in another file",))
    yield Entry("bmp-v5-no-endpoints", _v5(bytes(4)))
    adobe = [round(value * 2**30) for column in zip(*ADOBE_TO_XYZ, strict=True) for value in column]
    gamma = (round(2.2 * 65536),) * 3
    converted = {"notes": ("to sRGB",), "tolerance": 1.5}
    data = _v5(bytes(4), endpoints=adobe, gammas=gamma, samples=PALE)
    yield Entry("bmp-v5-calibrated", data, formula=to_srgb(PALE[:4, :5], ADOBE_TO_XYZ, 2.2), **converted)
    data = _v5(b"DEBM", profile=display_p3(), samples=PALE)
    yield Entry("bmp-v5-embedded", data, formula=to_srgb(PALE[:4, :5], P3_TO_XYZ, 2.2), **converted)
    yield Entry("bmp-cut", bmp(_rows(COLOR[..., 2::-1]), 24)[:80], refused="damaged")


def _gifs():
    yield Entry("gif", saved(RGB.quantize(16), "GIF"))
    yield Entry("gif-interlaced", saved(RGB.quantize(16), "GIF", interlace=True))
    yield Entry("gif-transparent", saved(RGB.quantize(16), "GIF", transparency=2))
    frames = {"save_all": True, "append_images": [Image.new("P", (5, 4), 1)], "duration": 100}
    yield Entry("gif-animated", saved(RGB.quantize(16), "GIF", **frames), notes=("several images",))
    noise = saved(Image.fromarray(NOISE[..., 0]), "GIF")
    yield Entry("gif-cut", noise[: len(noise) // 2], refused="damaged")


def _webps():
    yield Entry("webp", saved(Image.fromarray(SMOOTH), "WEBP", quality=95), tolerance=6)
    yield Entry("webp-lossless", saved(RGB, "WEBP", lossless=True))
    yield Entry("webp-alpha", saved(Image.fromarray(COLOR), "WEBP", lossless=True, exact=True))
    yield Entry(
        "webp-orientation", saved(RGB, "WEBP", lossless=True, exif=exif(6)), formula=np.rot90(COLOR[..., :3], -1)
    )
    data = saved(Image.fromarray(PALE), "WEBP", lossless=True, icc_profile=display_p3())
    yield Entry("webp-profile", data, notes=("to sRGB",), formula=to_srgb(PALE, P3_TO_XYZ, 2.2), tolerance=1.5)
    frames = {"save_all": True, "append_images": [Image.new("RGB", (5, 4))], "lossless": True}
    yield Entry("webp-animated", saved(RGB, "WEBP", **frames), notes=("several images",))
    noise = saved(Image.fromarray(NOISE), "WEBP", quality=90)
    yield Entry("webp-cut", noise[: len(noise) // 2], refused="damaged")


def _avif(samples, primaries=1, transfer=13):
    data = saved(Image.fromarray(samples), "AVIF", quality=98, subsampling="4:4:4")
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def _avifs():
    yield Entry("avif", _avif(SMOOTH), formula=SMOOTH, tolerance=6)
    yield Entry("avif-unspecified", _avif(SMOOTH, 2, 2), formula=SMOOTH, tolerance=6)
    yield Entry("avif-video-curve", _avif(SMOOTH, 1, 1), formula=SMOOTH, tolerance=6)
    p3 = to_srgb(PALE, P3_TO_XYZ)
    yield Entry("avif-p3", _avif(PALE, 12, 13), notes=("from Display P3 to sRGB",), formula=p3, tolerance=4)
    yield Entry("avif-pq", _avif(PALE, 9, 16), refused="HDR image (PQ)")
    yield Entry("avif-hlg", _avif(PALE, 9, 18), refused="HDR image (HLG)")
    data = saved(Image.fromarray(PALE), "AVIF", quality=98, subsampling="4:4:4", icc_profile=display_p3())
    formula = to_srgb(PALE, P3_TO_XYZ, 2.2)
    yield Entry("avif-profile", data, notes=("from Test space to sRGB",), formula=formula, tolerance=4)
    noise = saved(Image.fromarray(NOISE), "AVIF")
    yield Entry("avif-cut", noise[: len(noise) // 2], refused="damaged")


def _no_images():
    for name, data, words in (
        ("empty", b"", "0 bytes"),
        ("text", b"prose\n", "is text"),
        ("html", b"<!DOCTYPE html><title>404</title>", "HTML"),
        ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("pdf", b"%PDF-1.7\n", "PDF"),
        ("zip", b"PK\3\4" + bytes(40), "ZIP"),
        ("psd", b"8BPS" + bytes(40), "Photoshop"),
        ("heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        ("jpeg-xl", b"\xff\x0a" + bytes(40), "JPEG XL"),
        ("jpeg-2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        ("exr", b"\x76\x2f\x31\x01" + bytes(40), "OpenEXR"),
        ("pnm", b"P6\n2 2\n255\n" + bytes(12), "PNM"),
        ("zeros", bytes(1000), "no known kind"),
    ):
        yield Entry(f"no-image-{name}", data, refused=words)


def entries():
    return [*_bmps(), *_gifs(), *_webps(), *_avifs(), *_no_images()]
