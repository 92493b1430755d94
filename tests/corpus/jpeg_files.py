"""JPEG files: color spaces, processes, metadata, damage."""

import io
import re

import numpy as np
from colors import ADOBE_TO_XYZ, P3_TO_XYZ, to_srgb
from entry import SMOOTH, Entry
from image_files import display_p3, exif, saved
from PIL import Image
from png_files import exif_color_space

PALE = (96 + SMOOTH // 4).astype(np.uint8)


def jpeg(samples=SMOOTH, mode="RGB", **options):
    return saved(Image.fromarray(samples).convert(mode), "JPEG", **{"quality": 98, "subsampling": 0} | options)


def scans(data):
    """The offsets of the start-of-scan markers."""
    return [match.start() for match in re.finditer(rb"\xff\xda", data)]


def _with_frame(kind, precision=8):
    data = jpeg()
    at = data.index(b"\xff\xc0")
    return data[: at + 1] + bytes([kind]) + data[at + 2 : at + 4] + bytes([precision]) + data[at + 5 :]


def _whole():
    loss = {"tolerance": 2.5}  # two decoders may round differently
    yield Entry("jpeg-rgb", jpeg(), **loss)
    yield Entry("jpeg-subsampled", jpeg(subsampling=2), tolerance=4)
    yield Entry("jpeg-gray", jpeg(mode="L"), **loss)
    yield Entry("jpeg-progressive", jpeg(progressive=True), **loss)
    yield Entry("jpeg-restart-markers", jpeg(restart_marker_blocks=1), **loss)
    yield Entry("jpeg-not-ycbcr", jpeg(keep_rgb=True), **loss)
    yield Entry("jpeg-cmyk", jpeg(mode="CMYK"), notes=("CMYK without",), tolerance=4)
    yield Entry("jpeg-trailing-bytes", jpeg() + bytes(50) + b"SEFT", **loss)
    yield Entry("jpeg-orientation", jpeg(exif=exif(6)), **loss)
    yield Entry(
        "jpeg-profile",
        jpeg(PALE, icc_profile=display_p3()),
        notes=("Test space to sRGB",),
        formula=to_srgb(PALE, P3_TO_XYZ, 2.2),
        tolerance=4,
    )
    adobe = {"notes": ("from Adobe RGB to sRGB",), "formula": to_srgb(PALE, ADOBE_TO_XYZ, 563 / 256), "tolerance": 4}
    yield Entry("jpeg-exif-adobe", jpeg(PALE, exif=exif_color_space(2)), **adobe)
    yield Entry("jpeg-exif-r03", jpeg(PALE, exif=exif_color_space(0xFFFF, b"R03")), **adobe)
    yield Entry("jpeg-exif-srgb", jpeg(exif=exif_color_space(1, b"R98")), **loss)
    yield Entry(
        "jpeg-exif-uncalibrated", jpeg(exif=exif_color_space(0xFFFF)), notes=("do not name its color space",), **loss
    )
    yield Entry(
        "jpeg-exif-damaged", jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"), notes=("EXIF data are damaged",), **loss
    )
    mpo = io.BytesIO()
    Image.fromarray(SMOOTH).save(
        mpo, "MPO", save_all=True, append_images=[Image.new("RGB", (24, 16))], quality=98, subsampling=0
    )
    yield Entry("jpeg-mpo", mpo.getvalue(), notes=("several images",), **loss)


def _damaged():
    loss = {"tolerance": 2.5}
    data = jpeg()
    yield Entry("jpeg-without-end", data[:-2], notes=("end marker is missing",), **loss)
    yield Entry("jpeg-without-end-padded", data[:-2] + bytes(600), notes=("end marker is missing", "skipped"), **loss)
    yield Entry("jpeg-half", data[: (scans(data)[0] + len(data)) // 2], refused="damaged")
    yield Entry("jpeg-half-with-end", data[: (scans(data)[0] + len(data)) // 2] + b"\xff\xd9", refused="premature end")
    yield Entry("jpeg-bytes-before-end", data[:-2] + bytes(300) + b"\xff\xd9", notes=("skipped",), **loss)
    progressive = jpeg(progressive=True)
    yield Entry(
        "jpeg-progressive-without-last-scans",
        progressive[: scans(progressive)[4]] + b"\xff\xd9",
        notes=("last scans",),
        tolerance=12,
    )
    yield Entry(
        "jpeg-progressive-half-scan", progressive[: scans(progressive)[3] + 20] + b"\xff\xd9", refused="damaged"
    )
    changed = bytearray(jpeg(restart_marker_blocks=1))
    for match in list(re.finditer(rb"\xff[\xd0-\xd7]", bytes(changed)))[2:4]:
        changed[match.start() + 1] ^= 4
    yield Entry("jpeg-wrong-restart-markers", bytes(changed), refused="damaged")
    yield Entry("jpeg-cut-in-the-header", data[:100], refused="damaged")
    yield Entry("jpeg-12-bit", _with_frame(0xC1, 12), refused="JPEG with 12 bits per channel")
    yield Entry("jpeg-lossless", _with_frame(0xC3), refused="lossless JPEG")
    yield Entry("jpeg-hierarchical", _with_frame(0xC5), refused="hierarchical JPEG")
    yield Entry("jpeg-ls", _with_frame(0xF7), refused="JPEG-LS")


def entries():
    return [*_whole(), *_damaged()]
