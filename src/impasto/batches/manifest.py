"""The manifest of a batch: one line of JSON for every job that ended, appended when it ends.

A line is complete or it is not there: a batch that was killed leaves at most an incomplete last line, which is not
read. A manifest that is read back is untrusted input.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.errors import OutputError, SaveError, printable

NAME = "manifest.jsonl"
_MAX_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """A job that ended.

    Attributes:
        id: of the job.
        output: the name of its result in the folder.
        state: done, stopped or failed.
        labels: content, style, and the values of the grid.
        message: why it failed.
    """

    id: str
    output: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict)
    steps: int = 0
    seconds: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    message: str = ""


class Manifest:
    """Appends records to the file, each flushed to disk before the next job is reported as ended.

    Raises:
        SaveError: it cannot be written.
    """

    def __init__(self, path: Path, *, keep: bool) -> None:
        self._path = path
        try:
            self._file = path.open("ab" if keep else "wb")
            if keep and not _ends_with_newline(path):
                self._file.write(b"\n")  # a line that was cut off stays one line
        except OSError as error:
            raise self._error(error) from error

    def append(self, record: Record) -> None:
        """Append a record."""
        try:
            # one write, so that lines of several processes are never mixed
            self._file.write(json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.close()
            raise self._error(error) from error

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _error(self, error: OSError) -> SaveError:
        return SaveError(
            f"{printable(self._path)}: could not be written ({error.strerror or error}); free space and resume the "
            "batch (--resume)"
        )


def read(path: Path) -> dict[str, Record]:
    """The last record of every job, by its id; empty if there is no manifest. Lines that are damaged are left out.

    Raises:
        OutputError: the file cannot be read.
    """
    records: dict[str, Record] = {}
    try:
        with path.open("rb") as file:
            for record in _records(file):
                records[record.id] = record
    except FileNotFoundError:
        pass
    except OSError as error:
        raise OutputError(
            f"{printable(path)}: cannot be read ({error.strerror or error}); choose another folder"
        ) from error
    return records


def _records(lines: Iterator[bytes]) -> Iterator[Record]:
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            if len(line) <= _MAX_LINE and line.endswith(b"\n"):
                yield _record(json.loads(line))


def _record(content: dict[str, Any]) -> Record:
    record = Record(**content)
    # the same few names in every record: 100 000 copies of each would take much memory
    record = replace(record, labels={sys.intern(name): sys.intern(value) for name, value in record.labels.items()})
    texts = record.id, record.output, record.state, record.message, *record.labels, *record.labels.values()
    if not all(isinstance(text, str) for text in texts) or os.path.basename(record.output) != record.output:
        raise ValueError("not a record")
    return record


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
