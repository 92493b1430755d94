"""Detects the format of an image file from its first bytes; the name of a file is not trusted."""

import codecs
import io
from collections.abc import Callable

from PIL import ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from impasto.errors import PictureError

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]
"""A Pillow plugin: parses the header and decodes nothing yet."""

# Plugins are called directly, not through Image.open, which does not tell the size of an image that it refuses.
_PLUGINS: tuple[tuple[bytes, Opener], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", jpeg_factory),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    *((magic, TiffImageFile) for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),  # "+" is 43: BigTIFF
)
_UNSUPPORTED = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


def opener_for(data: bytes) -> Opener:
    """The Pillow plugin for the file in `data`.

    Raises:
        PictureError: it is empty, or no supported image; the message says what it is instead.
    """
    if not data:
        raise PictureError("is empty (0 bytes); get another copy of it")
    for magic, opener in _PLUGINS:
        if data.startswith(magic):
            return opener
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in (b"avif", b"avis")):  # ISO/IEC 14496-12: brands
        return AvifImageFile
    raise PictureError(f"is {_describe(data[:4096])}; give a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF image")


def _describe(head: bytes) -> str:
    """What a file that begins with `head` is, in words, if it is no supported image."""
    for magic, name in _UNSUPPORTED:
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
