"""Picture files into arrays: what a file is, whether it may be read, and its samples in sRGB.

A file is untrusted: it is read by what it holds, never by its name, and refused from its header when it is too large.
"""

import codecs
import contextlib
import hashlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from impasto.errors import PictureError, printable
from impasto.images.samples import Array, in_srgb, samples

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]

ORIENTATION, EXIF_IFD, USER_COMMENT = 0x0112, 0x8769, 0x9286  # tags of EXIF

# Pillow's readers are called directly, not through Image.open: that one hides the size of a picture that it refuses.
_READERS: tuple[tuple[bytes, Opener], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", jpeg_factory),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    *((magic, TiffImageFile) for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
_STRANGERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
_QUIET = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """The samples of a file: `color` (H, W, 3), sRGB, RGB order, and `alpha` (H, W), None where all is opaque.

    Either is uint8 from 0 to 255, uint16 from 0 to 65535 or float32 from 0 to 1.
    """

    color: Array
    alpha: Array | None
    sha256: str
    notes: tuple[str, ...]


def decode(path: Path, *, max_pixels: int) -> Decoded:
    """The picture at `path`, upright and in sRGB.

    Raises:
        PictureError: no file, not a picture, more than `max_pixels`, damaged, or samples without a meaning as color.
    """
    notes: list[str] = []
    with _blaming(path):
        data = _bytes(path)
        reader = _reader(data)
        with _quiet(mute=reader is TiffImageFile):
            image = _opened(reader, data, max_pixels)
            color, alpha = samples(image, lambda: reader(io.BytesIO(data)), notes)
            color = in_srgb(color, image, notes)
            turn = _orientation(image, notes)
            if _is_animated(image):
                notes.append("holds several pictures: the first was used")
        if _is_deep_avif(image, data):
            notes.append("more than 8 bits a channel read as 8")
    if alpha is not None:
        alpha = None if _is_opaque(alpha) else _upright(alpha, turn)
    return Decoded(_upright(color, turn), alpha, hashlib.sha256(data).hexdigest(), tuple(notes))


def embedded(path: Path, keyword: str) -> str | bytes | None:
    """The PNG text under `keyword`, or the EXIF user comment of another kind of file, as it stands there.

    Raises:
        PictureError: no file, or not a picture.
    """
    with _blaming(path):
        data = _bytes(path)
        reader = _reader(data)
        with _quiet(mute=reader is TiffImageFile):
            image = reader(io.BytesIO(data))
            found = image.info.get(keyword) if isinstance(image, PngImageFile) else _user_comment(image)
    return found if isinstance(found, (str, bytes)) else None


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Every failure in the block becomes a PictureError that begins with `path`."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{printable(path)}: {error}") from error.__cause__
    except MemoryError as error:
        raise PictureError(f"{printable(path)}: needs more memory than there is; make the picture smaller") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{printable(path)}: is too large ({error}); make the picture smaller") from error
    except Exception as error:  # on a damaged file a reader of Pillow raises whatever its parser stumbles over
        reason = printable(str(error).strip()[:100]) or type(error).__name__
        raise PictureError(f"{printable(path)}: is truncated or damaged ({reason}); get another copy of it") from error


@contextlib.contextmanager
def _quiet(*, mute: bool) -> Iterator[None]:
    """No warning of Pillow, and with `mute` no message of libtiff, which writes to the descriptor of stderr itself.

    Filters and descriptors belong to the whole process: one thread at a time, or the last to leave restores wrongly.
    """
    with _QUIET, warnings.catch_warnings(), contextlib.ExitStack() as undo:
        warnings.simplefilter("ignore")
        if mute:
            with contextlib.suppress(OSError):  # a process without stderr needs no muting
                kept = os.dup(2)
                undo.callback(os.close, kept)
                undo.callback(os.dup2, kept, 2)
                with open(os.devnull, "wb") as nowhere:
                    os.dup2(nowhere.fileno(), 2)
        yield


def _bytes(path: Path) -> bytes:
    try:
        mode = os.stat(path).st_mode  # before it is opened: opening a pipe would wait for its other end
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise PictureError(f"is {what}; give the name of a picture file")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError("does not exist; check the name") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"cannot be read ({reason}); check its name and permissions") from error
    if not data:
        raise PictureError("is empty (0 bytes); get another copy of it")
    return data


def _reader(data: bytes) -> Opener:
    """The reader for what `data` begins with: the name of a file says nothing about what it holds."""
    for magic, reader in _READERS:
        if data.startswith(magic):
            return reader
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in (b"avif", b"avis")):
        return AvifImageFile
    raise PictureError(f"is {_stranger(data[:4096])}; give a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF picture")


def _stranger(head: bytes) -> str:
    for magic, name in _STRANGERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "a HEIC picture or a film, which cannot be read"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).lstrip().lower()
    except UnicodeDecodeError:
        return "no known kind of picture"
    if "<svg" in text:
        return "an SVG drawing"
    if text.startswith(("<!doctype html", "<html")):
        return "a web page (HTML)"
    return "no known kind of picture" if "\0" in text else "text"


def _opened(reader: Opener, data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    """The image with its header read and nothing decoded, of at most `max_pixels`."""
    try:
        image = reader(io.BytesIO(data))
    except SyntaxError as error:
        if "unknown pixel mode" in str(error):
            raise PictureError("is a rare kind of TIFF; save it with 8 or 16 bits a channel, RGB or gray") from error
        raise
    width, height = image.size
    if width * height > max_pixels:
        raise PictureError(f"has {width} x {height} pixels, more than the {max_pixels} allowed; make it smaller")
    return image


def _is_animated(image: ImageFile.ImageFile) -> bool:
    with contextlib.suppress(Exception):  # damage behind the first picture does not concern us
        return bool(getattr(image, "is_animated", False))
    return False


def _is_deep_avif(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether an AVIF file says high_bitdepth, the second bit of the third byte of its AV1 configuration."""
    place = data.find(b"av1C") if isinstance(image, AvifImageFile) else -1
    return place >= 0 and bool(int.from_bytes(data[place + 6 : place + 7], "big") & 0x40)


def _orientation(image: ImageFile.ImageFile, notes: list[str]) -> int:
    """How the picture lies, 1 to 8 as EXIF counts; 1 is upright, also when the file does not say."""
    if isinstance(image, TiffImageFile):  # Pillow has turned it while decoding
        return 1
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        try:
            Image.Exif().load(image.info.get("exif", b""))  # anew: Pillow complains once, and may have while opening
            turn = image.getexif().get(ORIENTATION, 1)
        except Exception:  # any error of Pillow's parser: the picture itself is good
            turn = None
    if turn is None or complaints:
        notes.append("its EXIF data are damaged: what could not be read was ignored")
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _upright(samples: Array, turn: int) -> Array:
    """`samples` (H, W, ...) as they were seen: an orientation transposes, and mirrors rows or columns."""
    rows, columns = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(turn - 1) % 4]
    return (samples.swapaxes(0, 1) if turn >= 5 else samples)[::rows, ::columns]


def _is_opaque(alpha: Array) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)


def _user_comment(image: ImageFile.ImageFile) -> Any:
    with contextlib.suppress(Exception):  # damaged EXIF data hold no comment
        return image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT)
    return None
