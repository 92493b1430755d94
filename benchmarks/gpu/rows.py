"""Rows, sections with a limit of time, and their report as a Markdown table and as JSON."""

import json
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TOTAL_SECONDS = 225.0
"""After which no further row is started."""

Values = Mapping[str, object]
"""The numbers of a row by name, as JSON."""


class FailedError(Exception):
    """A check that was not passed."""


class SkippedError(Exception):
    """What this device or this version does not have."""


@dataclass(frozen=True)
class Row:
    """What is measured; `measure` gets the seconds that it may take, and returns numbers by name.

    `measure` raises `FailedError` or `SkippedError`.
    """

    name: str
    measure: Callable[[float], Values]


@dataclass(frozen=True)
class Section:
    """Rows that may take `seconds` together; those for which no time is left are left out."""

    name: str
    seconds: float
    rows: Iterable[Row]


@dataclass
class Report:
    """Prints every row as soon as it is done, and saves all of them.

    Attributes:
        facts: of the machine.
        file: the JSON file.
        failures: number of rows that failed or were left out.
    """

    facts: Values
    file: Path
    failures: int = 0
    _started: float = field(default_factory=time.perf_counter)
    _rows: list[Values] = field(default_factory=list)

    def open(self) -> None:
        """Print the head of the table."""
        print("| what | result | seconds |\n|---|---|---|")
        print(f"| machine | {_shown(self.facts)} | |", flush=True)

    def measure(self, section: Section) -> None:
        """Measure the rows of a section."""
        until = min(time.perf_counter() + section.seconds, self._started + TOTAL_SECONDS)
        for row in section.rows:
            started = time.perf_counter()
            status, values, trace = _outcome(row, until - started)
            seconds = round(time.perf_counter() - started, 2)
            self.failures += status in {"FAILED", "left out"}
            text = _shown(values) if status == "ok" else f"{status}: {_shown(values)}"
            print(f"| {row.name} | {text} | {seconds:.1f} |", flush=True)
            entry = {"section": section.name, "row": row.name, "status": status, "seconds": seconds, **values}
            self._rows.append(entry | ({"traceback": trace} if trace else {}))
            self.file.write_text(json.dumps({"machine": self.facts, "rows": self._rows}, indent=1), encoding="utf-8")


def _outcome(row: Row, seconds: float) -> tuple[str, Values, str]:
    """The status of a row, its numbers or the reason, and a traceback where one is of use."""
    if seconds <= 0:
        return "left out", {"reason": "no time was left"}, ""
    try:
        return "ok", row.measure(seconds), ""
    except SkippedError as reason:
        return "skipped", {"reason": str(reason)}, ""
    except FailedError as reason:
        return "FAILED", {"reason": str(reason)}, ""
    except Exception as error:  # one failed row must not hide the others
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return "FAILED", {"reason": reason}, traceback.format_exc()[-3000:]


def _shown(values: Values) -> str:
    texts = (f"{_number(value)}" if name == "reason" else f"{name} {_number(value)}" for name, value in values.items())
    return "; ".join(texts).replace("|", "/")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
