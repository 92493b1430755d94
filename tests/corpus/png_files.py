"""PNG files: every color type and depth, interlaced or not; chunks; damage."""

import struct
import zlib

import numpy as np
from colors import ADOBE_TO_XYZ, P3_TO_XYZ, REC2020_TO_XYZ, to_srgb
from entry import COLOR, DEEP, Entry
from image_files import chunk, display_p3, exif, srgb_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_END = chunk(b"IEND", b"")
PALE = (96 + COLOR[..., :3] // 4).astype(np.uint8)
"""Colors inside the gamut of sRGB in any of the color spaces."""


def pack(samples, depth):
    """The rows of (H, W, C) samples of `depth` bits as bytes, each after its filter type 0."""
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    if depth == 8:
        return b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in samples)
    bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., -depth:]
    return b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in bits)


def png(samples, depth, color_type, *chunks, interlaced=False, data=None, tail=_END):
    height, width = samples.shape[:2]
    parts = [samples[top::down, left::right] for left, top, right, down in _ADAM7] if interlaced else [samples]
    raw = b"".join(pack(part, depth) for part in parts if part.size)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, interlaced))
    data = chunk(b"IDAT", zlib.compress(raw)) if data is None else data
    return SIGNATURE + header + b"".join(chunks) + data + tail


def rgb(*chunks, samples=COLOR[..., :3], **options):
    return png(samples, 8, 2, *chunks, **options)


def _depths():
    for interlaced in (False, True):
        suffix = "-interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8, 16):
            source = DEEP if depth == 16 else COLOR
            gray = source[..., :1] >> (16 if depth == 16 else 8) - depth
            yield Entry(f"png-gray-{depth}{suffix}", png(gray, depth, 0, interlaced=interlaced))
            key = chunk(b"tRNS", struct.pack(">H", gray[1, 1, 0]))
            yield Entry(f"png-gray-{depth}-transparent{suffix}", png(gray, depth, 0, key, interlaced=interlaced))
            if depth < 16:
                palette = chunk(b"PLTE", COLOR[..., :3].tobytes()[: 3 << depth])
                index = np.minimum(COLOR[..., :1] >> 8 - depth, 19)
                yield Entry(f"png-palette-{depth}{suffix}", png(index, depth, 3, palette, interlaced=interlaced))
                alpha = chunk(b"tRNS", bytes(range(0, 200, 50))[: 1 << depth])
                data = png(index, depth, 3, palette, alpha, interlaced=interlaced)
                yield Entry(f"png-palette-{depth}-transparent{suffix}", data)
            if depth >= 8:
                for color_type, channels in ((4, [0, 3]), (2, [0, 1, 2]), (6, [0, 1, 2, 3])):
                    name = {4: "gray-alpha", 2: "rgb", 6: "rgba"}[color_type]
                    data = png(source[..., channels], depth, color_type, interlaced=interlaced)
                    yield Entry(f"png-{name}-{depth}{suffix}", data)
                key = chunk(b"tRNS", struct.pack(">3H", *(int(value) for value in source[2, 3, :3])))
                yield Entry(
                    f"png-rgb-{depth}-transparent{suffix}", png(source[..., :3], depth, 2, key, interlaced=interlaced)
                )


def _with_wrong_checksum(data, kind):
    at = data.index(kind)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    return data[:end] + bytes(byte ^ 255 for byte in data[end : end + 4]) + data[end + 4 :]


def _chunks():
    stream = zlib.compress(pack(COLOR[..., :3], 8))
    one_by_one = b"".join(chunk(b"IDAT", bytes([byte])) for byte in stream) + chunk(b"IDAT", b"")
    yield Entry("png-data-in-chunks-of-1-byte", rgb(data=chunk(b"IDAT", b"") + one_by_one))
    yield Entry("png-trailing-bytes", rgb() + b"junk" * 9)
    text = b"prompt\0\0" + zlib.compress(b"workflow " * 200_000)
    yield Entry("png-text-of-2-mb", rgb(chunk(b"zTXt", text), chunk(b"tEXt", b"a\0" + b"b" * 1000)))
    yield Entry("png-text-bomb", rgb(chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(20_000_000)))))
    large = srgb_profile() + bytes(2_000_000)
    yield Entry("png-profile-of-2-mb", rgb(chunk(b"iCCP", b"large\0\0" + zlib.compress(large))))
    bomb = b"x\0\0" + zlib.compress(bytes(70_000_000))
    yield Entry("png-profile-bomb", rgb(chunk(b"iCCP", bomb)), notes=("larger than 64 MB",))
    for kind, body in ((b"tEXt", b"a\0b"), (b"tIME", bytes(7)), (b"gAMA", struct.pack(">I", 100000))):
        data = _with_wrong_checksum(rgb(chunk(kind, body)), kind)
        yield Entry(f"png-wrong-checksum-{kind.decode()}", data, notes=("metadata are damaged",))
    yield Entry(
        "png-wrong-checksum-after-the-data",
        _with_wrong_checksum(rgb(tail=chunk(b"tEXt", b"a\0b") + _END), b"tEXt"),
        notes=("metadata are damaged",),
    )
    yield Entry("png-without-end", rgb(tail=b""), notes=("end is missing",), formula=COLOR[..., :3])
    yield Entry(
        "png-without-checksum-of-the-data", rgb(tail=b"")[:-4], notes=("end is missing",), formula=COLOR[..., :3]
    )
    turned = exif(6).tobytes().removeprefix(b"Exif\0\0")
    yield Entry("png-orientation", rgb(chunk(b"eXIf", turned)), formula=np.rot90(COLOR[..., :3], -1))
    animation = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", 0, 5, 4, 0, 0, 1, 1, 0, 0)
    )
    second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 5, 4, 0, 0, 1, 1, 0, 0)) + chunk(b"fdAT", b"\0\0\0\2" + stream)
    yield Entry("png-animated", rgb(animation, tail=second + _END), notes=("several images",))


def _spaces():
    gamma, primaries = (lambda value: chunk(b"gAMA", struct.pack(">I", value))), _chromaticities
    p3 = to_srgb(PALE, P3_TO_XYZ)
    adobe = to_srgb(PALE, ADOBE_TO_XYZ, 2.2)
    srgb_points = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    adobe_points = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    converted = {"notes": ("to sRGB",), "tolerance": 1.5}
    yield Entry("png-srgb", rgb(chunk(b"sRGB", b"\0"), samples=PALE))
    yield Entry("png-gamma-of-srgb", rgb(gamma(45455), samples=PALE))
    yield Entry("png-gamma-and-points-of-srgb", rgb(gamma(45455), primaries(*srgb_points), samples=PALE))
    yield Entry("png-linear", rgb(gamma(100000), samples=PALE), formula=to_srgb(PALE, gamma=1), **converted)
    yield Entry("png-gamma-1.8", rgb(gamma(55556), samples=PALE), formula=to_srgb(PALE, gamma=1.8), **converted)
    yield Entry(
        "png-adobe-points",
        rgb(gamma(45455), primaries(*adobe_points), samples=PALE),
        formula=to_srgb(PALE, ADOBE_TO_XYZ),
        **converted,
    )
    yield Entry("png-impossible-points", rgb(gamma(45455), primaries(*[0.0] * 8)), notes=("is invalid",))
    yield Entry("png-impossible-gamma", rgb(gamma(0)), notes=("is invalid",))
    yield Entry("png-srgb-before-gamma", rgb(chunk(b"sRGB", b"\0"), gamma(100000), samples=PALE))
    yield Entry("png-cicp-srgb", rgb(chunk(b"cICP", bytes([1, 13, 0, 1])), gamma(100000), samples=PALE), formula=PALE)
    yield Entry("png-cicp-p3", rgb(chunk(b"cICP", bytes([12, 13, 0, 1])), samples=PALE), formula=p3, **converted)
    yield Entry(
        "png-cicp-before-profile",
        rgb(
            chunk(b"cICP", bytes([12, 13, 0, 1])),
            chunk(b"iCCP", b"x\0\0" + zlib.compress(srgb_profile())),
            samples=PALE,
        ),
        formula=p3,
        **converted,
    )
    yield Entry(
        "png-cicp-2020",
        rgb(chunk(b"cICP", bytes([9, 13, 0, 1])), samples=PALE),
        formula=to_srgb(PALE, REC2020_TO_XYZ),
        **converted,
    )
    yield Entry(
        "png-cicp-linear-p3",
        rgb(chunk(b"cICP", bytes([12, 8, 0, 1])), samples=PALE),
        formula=to_srgb(PALE, P3_TO_XYZ, 1),
        **converted,
    )
    yield Entry("png-cicp-pq", rgb(chunk(b"cICP", bytes([9, 16, 0, 1]))), refused="HDR image (PQ)")
    yield Entry("png-cicp-hlg", rgb(chunk(b"cICP", bytes([9, 18, 0, 1]))), refused="HDR image (HLG)")
    yield Entry("png-cicp-of-video", rgb(chunk(b"cICP", bytes([1, 1, 1, 0]))), notes=("is a video color space",))
    yield Entry("png-cicp-unknown", rgb(chunk(b"cICP", bytes([99, 13, 0, 1]))), notes=("CICP 99/13",))
    profile = chunk(b"iCCP", b"P3\0\0" + zlib.compress(display_p3()))
    yield Entry("png-profile-p3", rgb(profile, samples=PALE), formula=to_srgb(PALE, P3_TO_XYZ, 2.2), **converted)
    deep = png(PALE.astype(np.uint16) * 257, 16, 2, profile)
    notes = ("were read as 8", "Test space to sRGB")
    yield Entry("png-profile-p3-16", deep, notes=notes, formula=to_srgb(PALE, P3_TO_XYZ, 2.2), tolerance=1.5)
    space = exif_color_space(2).removeprefix(b"Exif\0\0")
    yield Entry("png-exif-adobe", rgb(chunk(b"eXIf", space), samples=PALE), formula=adobe, **converted)


def _chromaticities(*values):
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in values)))


def exif_color_space(space, interoperability=None):
    """An Exif block with ColorSpace, and the interoperability index if given."""
    pointer = [(0x8769, 4, 1, struct.pack("<I", 26))]
    entries = [(0xA001, 3, 1, struct.pack("<HH", space, 0))]
    if interoperability:
        entries.append((0xA005, 4, 1, struct.pack("<I", 56)))
    blocks = [pointer, entries] + ([[(1, 2, 4, interoperability + b"\0")]] if interoperability else [])
    body = b"II*\0\x08\0\0\0"
    for block in blocks:
        body += struct.pack("<H", len(block)) + b"".join(struct.pack("<HHI4s", *each) for each in block) + bytes(4)
    return b"Exif\0\0" + body


def _damaged():
    raw = pack(COLOR[..., :3], 8)
    short = chunk(b"IDAT", zlib.compress(raw[: len(raw) // 2]))
    yield Entry("png-data-end-early", rgb(data=short), refused="50% of its image data are missing")
    yield Entry("png-no-data", rgb(data=b""), refused="100% of its image data")
    whole = rgb()
    yield Entry("png-cut-at-half", whole[: whole.index(b"IDAT") + 30], refused="of its image data are missing")
    yield Entry("png-cut-in-the-header", whole[:20], refused="damaged")
    stream = bytearray(zlib.compress(raw))
    stream[len(stream) // 2] ^= 255
    yield Entry("png-data-changed", rgb(data=chunk(b"IDAT", bytes(stream))), refused="damaged")
    wrong = zlib.compress(raw)[:-4] + b"\1\2\3\4"
    yield Entry("png-wrong-checksum-of-the-stream", rgb(data=chunk(b"IDAT", wrong)), refused="damaged")
    yield Entry(
        "png-wrong-checksum-of-the-data", _with_wrong_checksum(whole, b"IDAT"), refused="wrong checksum of IDAT"
    )
    yield Entry(
        "png-wrong-checksum-of-the-header", _with_wrong_checksum(whole, b"IHDR"), refused="wrong checksum of IHDR"
    )
    yield Entry("png-unknown-critical-chunk", rgb(chunk(b"ABCD", b"x")), refused="a chunk ABCD")
    apple = SIGNATURE + chunk(b"CgBI", b"P\0 \2") + whole[8:]
    yield Entry("png-cgbi", apple, refused="Apple's iOS variant")
    huge = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    yield Entry("png-huge", SIGNATURE + huge + whole[33:], refused="60000 x 60000 pixels")
    empty = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0))
    yield Entry("png-of-no-width", SIGNATURE + empty + whole[33:], refused="damaged")


def entries():
    return [*_depths(), *_chunks(), *_spaces(), *_damaged()]
