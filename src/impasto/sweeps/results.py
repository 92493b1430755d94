"""What came of a sweep: a table as CSV and JSON, a contact sheet, and the curves of the losses."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from impasto import files
from impasto.errors import ImpastoError, LogError
from impasto.images import contact_sheet
from impasto.images.contact_sheet import Cell
from impasto.images.picture import load
from impasto.images.thumbnail import fit_within, thumbnail
from impasto.jobs.log import TERMS, Entry, read_log
from impasto.sweeps import plot
from impasto.sweeps.grid import PRESET, Combination, Grid
from impasto.version import __version__

TABLES = "results.csv", "results.json"
SHEET, PLOT = "sheet.jpg", "losses.png"
ABREAST = 6
"""Pictures in a row of the sheet of a single axis."""
MOST_LABELED = 24
"""Rows and columns up to which a sheet is a table; a longer one is a square, each picture under its own label."""
MOST_POINTS = 1000
"""Steps of a run that are drawn."""

State = Literal["waiting", "done", "stopped", "diverged", "refused"]


@dataclass(frozen=True)
class Result:
    """What came of a combination.

    Attributes:
        state: waiting: not begun; stopped: by the user, resumable; diverged, refused: for the reason in `message`.
        seconds: of its steps, None if none is known.
        loss: of the picture as saved, by term; empty if there is no picture.
    """

    combination: Combination
    state: State = "waiting"
    steps_done: int = 0
    seconds: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether it could not be painted to its end."""
        return self.state in {"diverged", "refused"}


def image_path(folder: Path, combination: Combination) -> Path:
    """Where the picture of a combination is."""
    return folder / f"{combination.stem}.png"


def log_path(folder: Path, combination: Combination) -> Path:
    """Where the losses of a combination's steps are."""
    return folder / f"{combination.stem}.jsonl"


def write_tables(folder: Path, results: Sequence[Result]) -> None:
    """Write results.csv and results.json, whole or not at all.

    Raises:
        SaveError: they could not be written.
    """
    text = io.StringIO()
    names = [*results[0].combination.labels]
    columns = ["picture", *names, "state", "steps_done", "seconds", *TERMS, "message"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, **row["loss"], **each.combination.labels} for each in results for row in [_row(each)])
    told = {"impasto": __version__, "results": list(map(_row, results))}
    for name, content in zip(TABLES, (text.getvalue(), json.dumps(told, indent=2)), strict=True):
        with files.replacing(folder / name) as file:
            file.write(content.encode())


def draw_losses(folder: Path, results: Sequence[Result]) -> Path | None:
    """Draw the losses of all combinations that have a log; where to, None if there is nothing to draw.

    Raises:
        MissingError: matplotlib is not installed.
        SaveError: it could not be written.
    """
    runs = {}
    for each in results:
        if each.steps_done or each.seconds is not None:
            try:
                runs[each.combination.title] = _thinned(read_log(log_path(folder, each.combination)))
            except LogError:
                continue  # one log that was lost is no reason to draw none
    if not runs:
        return None
    plot.save(runs, folder / PLOT)
    return folder / PLOT


def draw_sheet(folder: Path, grid: Grid, results: Sequence[Result]) -> Path:
    """Draw all pictures: the first axis downwards, the others to the right; where to.

    Raises:
        SaveError: it could not be written.
    """
    height = len(grid.axes[0].values)
    width = len(results) // height
    if len(grid.axes) == 1 or max(height, width) > MOST_LABELED:
        width = min(len(results), max(ABREAST, math.ceil(math.sqrt(len(results)))))
        edge = contact_sheet.cell_edge(width, -(-len(results) // width))
        cells = [_cell(folder, each, edge, each.combination.title) for each in results]
        drawn = contact_sheet.draw(_rows(cells, width))
    else:
        edge = contact_sheet.cell_edge(width, height)
        rows, columns = _labels(results, width)
        drawn = contact_sheet.draw(
            _rows([_cell(folder, each, edge) for each in results], width), rows=rows, columns=columns
        )
    contact_sheet.save(drawn, folder / SHEET)
    return folder / SHEET


def _row(result: Result) -> dict[str, Any]:
    settings = result.combination.settings
    varied = {
        name: label if name == PRESET else getattr(settings, name) for name, label in result.combination.labels.items()
    }
    return {
        "picture": f"{result.combination.stem}.png" if result.loss else None,
        "settings": varied,
        "state": result.state,
        "steps_done": result.steps_done,
        "seconds": result.seconds,
        "loss": dict(result.loss),
        "message": result.message,
    }


def _labels(results: Sequence[Result], width: int) -> tuple[list[str], list[str]]:
    """What stands at the rows and above the columns of a sheet."""
    told = [[f"{name} {label}" for name, label in each.combination.labels.items()] for each in results]
    return [labels[0] for labels in told[::width]], [", ".join(labels[1:]) for labels in told[:width]]


def _cell(folder: Path, result: Result, edge: int, *caption: str) -> Cell:
    lines = list(caption)
    if result.state != "done":
        lines.append(result.state)
    if not result.loss:
        return Cell(None, tuple(lines))
    lines.append(f"loss {result.loss.get('total', math.nan):.4g}")
    try:
        shown = load(image_path(folder, result.combination))
    except ImpastoError:  # taken away while others were painted
        return Cell(None, (*lines, "not there"))
    return Cell(thumbnail(shown, *fit_within(shown.width, shown.height, edge)), tuple(lines))


def _rows(cells: Sequence[Cell], width: int) -> list[Sequence[Cell]]:
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def _thinned(entries: Sequence[Entry]) -> Sequence[Entry]:
    """No more than can be told apart in a plot, so that many long runs fit into memory; the last one is kept."""
    every = -(-len(entries) // MOST_POINTS)
    return [*entries[:-1:every], entries[-1]]
