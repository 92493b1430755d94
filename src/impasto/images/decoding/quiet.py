"""Suppresses what Pillow and libtiff print while they parse a file."""

import contextlib
import ctypes
import functools
import threading
import warnings
from collections.abc import Iterator

from PIL import _imaging

_LOCK = threading.Lock()


@contextlib.contextmanager
def no_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings instead of printing them: those of Pillow about metadata, and of Matplotlib about plots.

    Warning filters belong to the process: without the lock, of two threads the last one to leave would restore the
    state that the other one had changed. Pixels are decoded outside of it.
    """
    with _LOCK, warnings.catch_warnings(record=True) as collected:
        warnings.simplefilter("always")
        yield collected


_complaints = threading.local()
_CODECS = (b"JPEG", b"Fax", b"PackBits", b"LZW", b"ZIP", b"LZMA", b"ZSTD", b"Thunder", b"LogLuv", b"NeXT")
"""Beginnings of the names of the modules that decode pixels; what others report is about metadata."""


def _count(module: bytes | None, _format: int, _arguments: int) -> None:
    if (module or b"").startswith(_CODECS):
        _complaints.count = getattr(_complaints, "count", 0) + 1


# void handler(const char *module, const char *format, va_list arguments)
_HandlerType = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)
_HANDLER = _HandlerType(_count)  # libtiff calls it as long as the process lives


@functools.cache
def _install_handlers() -> None:
    """Have libtiff call `_count` instead of writing to file descriptor 2, which belongs to the process.

    Where the library is linked statically (Windows), its functions are not found and it goes on printing.
    """
    library = ctypes.CDLL(_imaging.__file__)
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        with contextlib.suppress(AttributeError):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [_HandlerType], ctypes.c_void_p
            set_handler(_HANDLER)


@contextlib.contextmanager
def libtiff_complaints() -> Iterator[threading.local]:
    """Count the errors and warnings of libtiff's codecs in this thread: `.count` after the block."""
    _install_handlers()
    _complaints.count = 0
    yield _complaints
