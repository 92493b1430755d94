"""The consoles; lines and tables on standard output."""

import codecs
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from impasto.cli.streams import is_stand_in
from impasto.errors import printable

WIDTHS = range(20, 1001)
"""The widths in columns that are laid out: in fewer Rich raises or never ends, in more it fills the memory."""


def console(*, stderr: bool = False) -> Console:
    """The console of standard output or standard error, whatever width the terminal or COLUMNS states.

    Standard error is a terminal only if it is one: FORCE_COLOR asks for colors, not for bars redrawn into a file.
    """
    is_terminal = bool(sys.stderr and sys.stderr.isatty()) if stderr else None  # None: Rich decides
    result = Console(stderr=stderr, force_terminal=is_terminal)
    if result.width not in WIDTHS:
        result.width = min(max(result.width, WIDTHS[0]), WIDTHS[-1])
    return result


def print_line(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def print_json(value: Any) -> None:
    """Print JSON; with escapes unless standard output is UTF-8, since other escapes than JSON's would break it."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    print_line(json.dumps(value, indent=2, ensure_ascii=codecs.lookup(encoding).name != "utf-8"))


def print_saved(path: Path) -> None:
    """Say where a file was saved, unless it is on its way to standard output."""
    if not is_stand_in(path):
        print_line(f"saved {printable(path)}")


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table without borders."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console().print(table, markup=False)
