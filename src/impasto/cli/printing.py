"""Lines and tables on standard output."""

from rich.console import Console
from rich.table import Table


def print_line(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table without borders."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table, markup=False)
