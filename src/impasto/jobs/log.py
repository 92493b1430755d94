"""Logs: the losses of every step as JSON Lines, one object per step. A log that is read back is untrusted input."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto import files
from impasto.errors import LogError, printable
from impasto.events import Event, Stepped
from impasto.input_files import read_limited

TERMS = ("total", "content", "style", "tv", "grain")
_ADVICE = "give a file that --log wrote"
_MAX_BYTES = 2**30  # a million steps


class Log:
    """Writes one JSON object per step: step, scale, total, content, style, tv, grain, seconds, layers.

    Args:
        path: the file; None writes nothing.
        keep: number of lines of an existing log to keep: the steps before the one at which the run resumes.
        overwrite: replace the other lines of an existing log.

    Raises:
        OutputError: there is a file of that name, and `overwrite` is false.
        SaveError: the file cannot be written.
    """

    def __init__(self, path: Path | None, keep: int = 0, *, overwrite: bool = True) -> None:
        self._file = None
        if path is not None:
            # as bytes: the file may be anything, and what is kept need not be understood
            lines = path.read_bytes().splitlines(keepends=True)[:keep] if keep and path.exists() else []
            with files.replacing(path, overwrite=overwrite) as file:
                file.writelines(line for line in lines if line.endswith(b"\n"))  # not a line that a full disk cut off
            self._file = path.open("ab")

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def __call__(self, event: Event) -> None:
        """Write the event if it is `Stepped`. A full disk ends the log, not the run."""
        if self._file is None or not isinstance(event, Stepped):
            return
        entry = event.as_dict()
        del entry["event"]
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError:
            # what is left in the buffer would fail again when the file is closed: send it to the null device
            with contextlib.suppress(OSError), open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), self._file.fileno())


@dataclass(frozen=True)
class Entry:
    """One step in a log: number, long edge of its scale in pixels, seconds since the run started, losses by term.

    `layers` are the losses of the single layers for the terms "content" and "style"; empty if the log has none.
    """

    step: int
    scale: int
    seconds: float
    losses: dict[str, float]
    layers: dict[str, dict[str, float]]


def read_log(path: Path) -> tuple[Entry, ...]:
    """Read the steps in a log, at least one. An incomplete last line, left by a crash, is ignored.

    Raises:
        LogError: a file that cannot be read, is not a log or is damaged.
    """
    try:
        lines = read_limited(path, _MAX_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise LogError(f"{printable(path)}: is not a text file; {_ADVICE}") from error
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        raise LogError(
            f"{printable(path)}: cannot be read ({getattr(error, 'strerror', None) or error}); {_ADVICE}"
        ) from error
    entries = tuple(_entries(lines, printable(path)))
    if not entries:
        raise LogError(f"{printable(path)}: holds no step of a run; {_ADVICE}")
    return entries


def _entries(lines: list[str], where: str) -> Iterator[Entry]:
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            raise LogError(f"{where}: line {number} is not JSON; {_ADVICE}") from error
        try:
            yield _entry(content)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LogError(f"{where}: line {number} is not a step of a run ({_reason(error)}); {_ADVICE}") from error


def _entry(content: object) -> Entry:
    if not isinstance(content, dict):
        raise TypeError("not an object")
    layers = content.get("layers", {})
    if not isinstance(layers, dict) or not all(isinstance(each, dict) for each in layers.values()):
        raise TypeError("layers is not an object of objects")
    return Entry(
        int(_number(content, "step")),
        int(_number(content, "scale")),
        _number(content, "seconds"),
        {term: _number({"grain": 0, **content}, term) for term in TERMS},  # older logs have no grain
        {term: {name: _number(values, name) for name in values} for term, values in layers.items()},
    )


def _number(content: Mapping[str, Any], name: str) -> float:
    value = content[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is not a number")
    return float(value)


def _reason(error: Exception) -> str:
    return printable(f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error))[:100]
