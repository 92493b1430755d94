"""The contents of image files, and the limits of their size; errors of reading them as `PictureError`."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from impasto.errors import PictureError, printable
from impasto.images.decoding.file_type import HEAD, format_of

MAX_PIXELS = 150_000_000
"""Pixels that an image may have, unless the caller says otherwise."""
_MAX_BYTES_PER_PIXEL = 16
"""Of a file without compression: four channels of 32 bits."""
_MAX_METADATA = 2**28
"""Bytes of a file beyond its pixels: metadata, further frames."""


@dataclass(frozen=True)
class Limits:
    """How large an image may be: its pixels, and the bytes of memory that reading it may take; None: any number."""

    pixels: int
    memory: int | None

    @property
    def file_bytes(self) -> int:
        """The length that the file of an image with that many pixels may have."""
        return _MAX_BYTES_PER_PIXEL * self.pixels + _MAX_METADATA


def read_bytes(path: Path, limits: Limits, *, name: str = "") -> bytes:
    """The contents of the image file at `path`; messages begin with `name`, by default the path.

    Raises:
        PictureError: it does not exist, is no regular file, cannot be read, is no image, or is longer than a file of
            `limits.pixels` can be.
    """
    with picture_errors(name or printable(path)):
        try:
            state = os.stat(path)  # checked first: opening a named pipe would wait for a writer
            if not stat.S_ISREG(state.st_mode):
                what = "a folder" if stat.S_ISDIR(state.st_mode) else "not a regular file"
                raise PictureError(f"is {what}; give the name of an image file")
            with path.open("rb") as file:
                format_of(file.read(HEAD))
                _check_length(state.st_size, limits)
                file.seek(0)
                return file.read(limits.file_bytes)
        except FileNotFoundError as error:
            raise PictureError("does not exist; check the name") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PictureError(f"cannot be read ({reason}); check its name and permissions") from error


def read_file(file: BinaryIO, *, name: str, limits: Limits) -> bytes:
    """The contents of an image file that is open in binary mode; from its beginning if it is seekable.

    Raises:
        PictureError: it is open as text, cannot be read, is no image, or is longer than a file of `limits.pixels` can
            be; the message begins with `name`.
    """
    with picture_errors(name):
        try:
            if file.seekable():
                file.seek(0)
            head: object = file.read(HEAD)
            if not isinstance(head, bytes):
                raise PictureError("is a file that is open as text; open it in the mode 'rb'")
            format_of(head)
            data = head + file.read(limits.file_bytes)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise PictureError(f"cannot be read ({error}); open it again") from error
        _check_length(len(data), limits)
        return data


def _check_length(length: int, limits: Limits) -> None:
    if length > limits.file_bytes:
        raise PictureError(f"has {length / 1e9:.1f} GB, more than {limits.file_bytes / 1e9:.1f}; make it smaller")


@contextlib.contextmanager
def picture_errors(name: str) -> Iterator[None]:
    """Translate every exception in the block into a PictureError whose message begins with `name`."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error.__cause__
    except MemoryError as error:
        raise PictureError(f"{name}: needs more memory than is available; make the image smaller") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: is too large ({error}); make the image smaller") from error
    except Exception as error:  # on a damaged file Pillow's parsers raise anything: IndexError, struct.error, ...
        reason = printable(str(error).strip()[:100]) or type(error).__name__
        raise PictureError(f"{name}: is truncated or damaged ({reason}); get another copy of it") from error
