"""The errors that impasto raises deliberately.

    ImpastoError
    ├── UsageError        invalid input; nothing was started
    │   ├── SettingError  an unknown setting, or a value out of range
    │   ├── PictureError  a file that is not a usable image
    │   ├── OutputError   a place where the output cannot be written
    │   ├── RecipeError   an image without a recipe, or with one that cannot be rerun
    │   ├── CheckpointError  a checkpoint that cannot be resumed
    │   ├── JobError      a job that cannot be read, or may not use its files
    │   ├── LogError      a log that cannot be read
    │   └── WeightsError  weights that are missing, damaged or not VGG19's
    ├── DownloadError     weights that could not be downloaded
    ├── MissingError      an optional package that is not installed
    ├── SaveError         an output that could not be written, although it was checked
    ├── BatchError        content images of a batch that failed
    ├── SweepError        combinations of a sweep that failed
    └── DivergedError     an optimization that produced infinite or NaN values

Every message is one line: what is wrong, what was given, what to do.
"""

import contextlib
import os
from collections.abc import Iterator


class ImpastoError(Exception):
    """Base class of all errors that impasto raises deliberately."""


class UsageError(ImpastoError):
    """Invalid input; nothing was started."""


class SettingError(UsageError):
    """An unknown setting, or a value out of range."""


class PictureError(UsageError):
    """A file that is not a usable image, or a tensor of the wrong shape, dtype or range."""


class OutputError(UsageError):
    """A place where the output cannot be written, or a format that cannot hold it."""


class RecipeError(UsageError):
    """An image without a recipe, or with one that cannot be rerun."""


class CheckpointError(UsageError):
    """A checkpoint that is damaged, or belongs to another run."""


class JobError(UsageError):
    """A job that cannot be read, or that names files outside of the folders it may use."""


class LogError(UsageError):
    """A file that is damaged or not a log."""


class WeightsError(UsageError):
    """Weights that are missing, damaged or not VGG19's."""


class DownloadError(ImpastoError):
    """Weights that could not be downloaded."""


class MissingError(ImpastoError):
    """An optional package that is not installed."""


class SaveError(ImpastoError):
    """An output that could not be written, although it was checked: a full disk, a failed encoder."""


class BatchError(ImpastoError):
    """Content images of a batch that failed; the others were processed."""


class SweepError(ImpastoError):
    """Combinations of a sweep that failed; the others were processed."""


class DivergedError(ImpastoError):
    """An optimization that produced infinite or NaN values."""


@contextlib.contextmanager
def prefix_errors(prefix: str) -> Iterator[None]:
    """Begin the message of an ImpastoError raised in the block with `prefix`, such as the name of a file."""
    try:
        yield
    except ImpastoError as error:
        raise type(error)(f"{prefix}: {error}") from error.__cause__


def printable(path: str | os.PathLike[str]) -> str:
    """`path` for a one-line message: control characters and bytes that are not UTF-8 are escaped."""
    text = os.fspath(path)
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return printable.encode("utf-8", "backslashreplace").decode()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error reports insufficient memory: on the CPU, torch raises a plain RuntimeError."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
