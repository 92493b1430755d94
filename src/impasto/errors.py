"""The errors that impasto raises on purpose.

ImpastoError
├── UsageError        what was handed in cannot be used; nothing was begun
│   ├── SettingError  a setting that does not exist, or a value out of its range
│   ├── PictureError  a file that is not a usable picture
│   ├── OutputError   a place where the result cannot be written
│   ├── RecipeError   a result without a recipe, or one that cannot be repeated
│   ├── CheckpointError  a checkpoint that cannot be gone on from
│   ├── LogError      a log that cannot be read
│   └── WeightsError  weights that are missing, damaged or not VGG19's
├── DownloadError     weights that could not be fetched
├── MissingError      an optional package that is not installed
├── SaveError         a result that could not be written after all
├── BatchError        photographs of several that could not be painted
├── SweepError        combinations of a sweep that could not be painted
└── DivergedError     a run whose numbers stopped being finite

Every message is one line that says what, got, and what to do.
"""

import os


class ImpastoError(Exception):
    """Anything that impasto itself refuses or fails to do."""


class UsageError(ImpastoError):
    """What was handed in cannot be used; nothing was begun."""


class SettingError(UsageError):
    """A setting that does not exist, or a value out of its range."""


class PictureError(UsageError):
    """A file that is not a usable picture."""


class OutputError(UsageError):
    """A place where the result cannot be written."""


class RecipeError(UsageError):
    """A result without a recipe, or one that cannot be repeated."""


class CheckpointError(UsageError):
    """A checkpoint that is damaged, or of another run."""


class LogError(UsageError):
    """A log that is damaged, or none."""


class WeightsError(UsageError):
    """Weights that are missing, damaged or not VGG19's."""


class DownloadError(ImpastoError):
    """Weights that could not be fetched."""


class MissingError(ImpastoError):
    """An optional package that is not installed."""


class SaveError(ImpastoError):
    """A result that could not be written after all."""


class BatchError(ImpastoError):
    """Photographs of several that could not be painted; the others are."""


class SweepError(ImpastoError):
    """Combinations of a sweep that could not be painted; the others are."""


class DivergedError(ImpastoError):
    """A run whose numbers stopped being finite."""


def printable(path: str | os.PathLike[str]) -> str:
    """`path` as it may stand in a one-line message: control characters and bytes that are not UTF-8 escaped."""
    text = os.fspath(path)
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return printable.encode("utf-8", "backslashreplace").decode()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory; torch has no class of its own for it on the CPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
