"""Puts pictures side by side, a line of text under each: `python tools/sheet.py OUT.jpg COLUMNS PICTURE=TEXT ...`."""

import sys
from pathlib import Path

from PIL import Image

from impasto.images import contact_sheet
from impasto.images.contact_sheet import Cell

LONGEST = 1200
"""Pixels across: a wider sheet is made smaller, as no page shows more."""


def main(out: str, columns: str, *pictures: str) -> None:
    """Write the sheet of PICTURE=TEXT arguments to `out`."""
    width = int(columns)
    room = LONGEST // width - contact_sheet.GAP
    cells = []
    for each in pictures:
        path, _, text = each.rpartition("=")
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((room, room), Image.Resampling.LANCZOS)
        cells.append(Cell(picture, (text,)))
    drawn = contact_sheet.draw([cells[start : start + width] for start in range(0, len(cells), width)])
    drawn.save(Path(out), quality=75)


if __name__ == "__main__":
    main(*sys.argv[1:])
