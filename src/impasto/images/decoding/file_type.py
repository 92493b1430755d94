"""Detects the format of an image file from its first bytes; the name of a file is not trusted."""

import codecs
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from impasto.errors import PictureError
from impasto.images.decoding import avif, bmp, jpeg, png, tiff
from impasto.images.decoding.container import Container

HEAD = 4096
"""Bytes at the beginning of a file that tell its format."""


def _as_it_is(data: bytes, _notes: list[str]) -> Container:
    return Container(data)


@dataclass(frozen=True)
class Format:
    """How files of a format are read.

    Attributes:
        open: a Pillow plugin: parses the header and decodes nothing yet.
        examine: validates the container; what was ignored is added to the notes.
    """

    open: Callable[[io.BytesIO], ImageFile.ImageFile]
    examine: Callable[[bytes, list[str]], Container] = _as_it_is


# Plugins are called directly, not through Image.open, which does not tell the size of an image that it refuses.
_GIF, _TIFF = Format(GifImageFile), Format(TiffImageFile, tiff.examine)
_WEBP, _AVIF = Format(WebPImageFile), Format(AvifImageFile, avif.examine)
_FORMATS = {
    png.SIGNATURE: Format(PngImageFile, png.examine),
    b"\xff\xd8\xff": Format(jpeg_factory, jpeg.examine),
    b"GIF87a": _GIF,
    b"GIF89a": _GIF,
    b"BM": Format(BmpImageFile, bmp.examine),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _TIFF),  # "+" is 43: BigTIFF
}
_RAW = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
"""Camera raw files that are no TIFF: Olympus, Panasonic, Fujifilm, Sigma, Minolta."""
_UNSUPPORTED = {
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript drawing",
    b"\xc5\xd0\xd3\xc6": "an EPS drawing",
    b"8BPS": "a Photoshop document",
    b"gimp xcf": "a GIMP document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xff\x0a": "a JPEG XL image, which is not supported",
    b"\0\0\0\x0cJXL ": "a JPEG XL image, which is not supported",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image, which is not supported",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image, which is not supported",
    b"\x76\x2f\x31\x01": "an OpenEXR image, which is not supported",
    b"#?RADIANCE": "a Radiance HDR image, which is not supported",
    b"\0\0\1\0": "a Windows icon, which is not supported",
    b"DDS ": "a DDS texture, which is not supported",
    b"qoif": "a QOI image, which is not supported",
    **{b"P%d\n" % kind: "a PNM image, which is not supported" for kind in range(1, 8)},
}


def format_of(head: bytes) -> Format:
    """The format of the file that begins with `head`, HEAD bytes or the whole file.

    Raises:
        PictureError: it is empty, or no supported image; the message says what it is instead.
    """
    if not head:
        raise PictureError("is empty (0 bytes); get another copy of it")
    for magic, file_format in _FORMATS.items():
        if head.startswith(magic):
            return file_format
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp" and any(brand in head[8:64] for brand in (b"avif", b"avis")):  # ISO/IEC 14496-12: brands
        return _AVIF
    if head.startswith(_RAW) or head[4:12] == b"ftypcrx ":  # Canon's CR3
        raise tiff.raw_error()
    raise PictureError(f"is {_describe(head)}; give a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF image")


def _describe(head: bytes) -> str:
    """What a file that begins with `head` is, in words, if it is no supported image."""
    for magic, name in _UNSUPPORTED.items():
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "a HEIC image or a video, which is not supported"
    try:  # incrementally, since `head` may end in the middle of a character
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).lstrip().lower()
    except UnicodeDecodeError:
        return "no known kind of image"
    if "<svg" in text:
        return "an SVG drawing"
    if text.startswith(("<!doctype html", "<html")):
        return "a web page (HTML)"
    return "no known kind of image" if "\0" in text else "text"
