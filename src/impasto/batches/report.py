"""What a batch leaves besides its images: the results as CSV, and a contact sheet."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from impasto import files
from impasto.batches.manifest import Record
from impasto.errors import ImpastoError

TABLE, SHEET = "results.csv", "sheet.jpg"
MAX_IMAGES = 400
"""Images on a contact sheet; of more, an even selection."""
COLUMNS = 6
"""Images in a row of a sheet that has no natural number of columns."""


def write_table(folder: Path, records: Sequence[Record]) -> Path:
    """Write one row for each job that has ended; return the file.

    Raises:
        SaveError: it could not be written.
    """
    labels = list(dict.fromkeys(name for record in records for name in record.labels))
    terms = list(dict.fromkeys(name for record in records for name in record.loss))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["image", *labels, "state", "steps", "seconds", *terms, "message", "id"])
    writer.writeheader()
    for record in records:
        fixed = {"image": record.output, "state": record.state, "steps": record.steps, "seconds": record.seconds}
        writer.writerow({**fixed, **record.labels, **record.loss, "message": record.message, "id": record.id})
    with files.replacing(folder / TABLE) as file:
        file.write(text.getvalue().encode())
    return folder / TABLE


def save_sheet(folder: Path, records: Sequence[Record], columns: int) -> Path | None:
    """Save the images that are there side by side; return the file, None if there are none.

    Args:
        columns: images in a row, the styles and combinations of one content image; 1: as is convenient.

    Raises:
        SaveError: it could not be written.
    """
    from impasto.images import contact_sheet  # these load torch
    from impasto.images.contact_sheet import Cell
    from impasto.images.loading import load
    from impasto.images.thumbnail import fit_within, thumbnail

    done = [record for record in records if record.state == "done"]
    shown = done[:: -(-len(done) // MAX_IMAGES) or 1]
    if not shown:
        return None
    if columns == 1 or len(shown) < len(records):  # gaps would shift the rows
        columns = min(len(shown), max(COLUMNS, math.ceil(math.sqrt(len(shown)))))
    edge, cells = contact_sheet.cell_edge(columns, -(-len(shown) // columns)), []
    for record in shown:
        try:
            picture = load(folder / record.output)
        except ImpastoError:  # removed meanwhile
            cells.append(Cell(None, (record.output, "not found")))
            continue
        small = thumbnail(picture, *fit_within(picture.width, picture.height, edge))
        cells.append(Cell(small, (", ".join(record.labels.values()),)))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    contact_sheet.save(contact_sheet.draw(rows), folder / SHEET)
    return folder / SHEET
