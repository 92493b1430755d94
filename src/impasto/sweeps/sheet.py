"""The contact sheet of a sweep: all images as a table, with the values of the settings as labels."""

import math
from collections.abc import Sequence
from pathlib import Path

from impasto.batches.grid import Grid
from impasto.errors import ImpastoError
from impasto.images import contact_sheet
from impasto.images.contact_sheet import Cell
from impasto.images.loading import load
from impasto.images.thumbnail import fit_within, thumbnail
from impasto.sweeps.results import Result, image_path

SHEET = "sheet.jpg"
COLUMNS = 6
"""Images in a row of the sheet of a single axis."""
MAX_TABLE = 24
"""Rows and columns up to which a sheet is a table; a larger one is a square with a label under each image."""


def save_sheet(folder: Path, grid: Grid, results: Sequence[Result]) -> Path:
    """Save the contact sheet, the first axis downwards, the others to the right; return its file.

    Raises:
        SaveError: it could not be written.
    """
    height = len(grid.axes[0].values)
    width = len(results) // height
    rows: list[str] = []
    columns: list[str] = []
    if is_table := len(grid.axes) > 1 and max(height, width) <= MAX_TABLE:
        rows, columns = _labels(results, width)
    else:
        width = min(len(results), max(COLUMNS, math.ceil(math.sqrt(len(results)))))
    edge = contact_sheet.cell_edge(width, -(-len(results) // width))
    cells = [_cell(folder, result, edge, caption="" if is_table else result.combination.title) for result in results]
    chunks = [cells[start : start + width] for start in range(0, len(cells), width)]
    contact_sheet.save(contact_sheet.draw(chunks, rows=rows, columns=columns), folder / SHEET)
    return folder / SHEET


def _labels(results: Sequence[Result], width: int) -> tuple[list[str], list[str]]:
    """The labels of the rows and columns of a table."""
    labels = [[f"{name} {label}" for name, label in result.combination.labels.items()] for result in results]
    return [row[0] for row in labels[::width]], [", ".join(row[1:]) for row in labels[:width]]


def _cell(folder: Path, result: Result, edge: int, *, caption: str) -> Cell:
    lines = [caption] if caption else []
    if result.state != "done":
        lines.append(result.state)
    if not result.loss:
        return Cell(None, tuple(lines))
    lines.append(f"loss {result.loss.get('total', math.nan):.4g}")
    try:
        picture = load(image_path(folder, result.combination))
    except ImpastoError:  # removed during the sweep
        return Cell(None, (*lines, "not found"))
    return Cell(thumbnail(picture, *fit_within(picture.width, picture.height, edge)), tuple(lines))
