"""Puts images side by side with a line of text under each: `python tools/sheet.py OUT.jpg COLUMNS IMAGE=TEXT ...`."""

import sys
from pathlib import Path

from PIL import Image

from impasto.images import contact_sheet
from impasto.images.contact_sheet import Cell

MAX_WIDTH = 1200
"""Width of a sheet in pixels: the docs show no more."""


def main(out: str, columns: str, *images: str) -> None:
    """Write a contact sheet of the IMAGE=TEXT arguments to `out`."""
    width = int(columns)
    edge = MAX_WIDTH // width - contact_sheet.GAP
    cells = []
    for argument in images:
        path, _, text = argument.rpartition("=")
        image = Image.open(path).convert("RGB")
        image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        cells.append(Cell(image, (text,)))
    sheet = contact_sheet.draw([cells[start : start + width] for start in range(0, len(cells), width)])
    sheet.save(Path(out), quality=75)


if __name__ == "__main__":
    main(*sys.argv[1:])
