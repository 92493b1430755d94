"""A contact sheet: pictures in a grid, with labels at its rows and columns and captions beneath."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from impasto import files
from impasto.errors import SaveError, printable
from impasto.images.writer import FORMATS

EDGE = 320
"""Long edge of a picture on a sheet in pixels, unless there are many."""
LONGEST = 4096
"""Sides that a sheet keeps to by making its pictures smaller, as long as they can be seen."""
TEXT, GAP = 15, 12
"""Pixels: height of the letters, and between two cells."""
LINE = TEXT + 5
MIN_STRIP = 120
"""Pixels of a column at least, so that its label can be read."""
MOST_LINES = 8
"""Lines that a label or a paragraph of a caption is broken into; the rest is left out."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """A picture, None for one that there is not, and the lines beneath it."""

    picture: Image.Image | None
    caption: tuple[str, ...] = ()


def edge(columns: int, rows: int) -> int:
    """Long edge in pixels for the pictures of a sheet of so many columns and rows."""
    return max(MIN_STRIP, min(EDGE, LONGEST // max(columns, rows) - GAP))


def draw(cells: Sequence[Sequence[Cell]], *, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> Image.Image:
    """The sheet in mode RGB, black on white.

    Args:
        cells: row by row, a row may be shorter than the first.
        columns: labels above the columns, none or one each.
        rows: labels to the left of the rows, none or one each.
    """
    font = ImageFont.load_default(size=TEXT)
    pictures = [cell.picture for row in cells for cell in row if cell.picture is not None]
    wide = max([MIN_STRIP, *(each.width for each in pictures)])
    highest = max((each.height for each in pictures), default=MIN_STRIP)
    highs = [max((cell.picture.height for cell in row if cell.picture is not None), default=highest) for row in cells]
    heads = [broken(text, wide, font) for text in columns]
    sides = [broken(text, EDGE // 2, font) for text in rows] or [[] for _ in cells]
    captions = [[_paragraphs(cell.caption, wide, font) for cell in row] for row in cells]
    left = GAP + max((round(font.getlength(line)) + GAP for side in sides for line in side), default=0)
    top = GAP + max(map(len, heads), default=0) * LINE
    heights = [
        max(high + max(map(len, row)) * LINE, len(side) * LINE) + GAP
        for high, row, side in zip(highs, captions, sides, strict=True)
    ]
    sheet = Image.new("RGB", (left + len(cells[0]) * (wide + GAP), top + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    for x, head in zip(count(left, wide + GAP), heads, strict=False):
        _write(pen, (x, GAP // 2), head, font)
    tops = accumulate(heights, initial=top)
    for y, high, row, side, texts in zip(tops, highs, cells, sides, captions, strict=False):
        _write(pen, (GAP, y), side, font)
        for x, cell, lines in zip(count(left, wide + GAP), row, texts, strict=False):
            _put(sheet, pen, cell.picture, (x, y, wide, high))
            _write(pen, (x, y + high + 2), lines, font)
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Write a sheet to `path`, in the format of its suffix, whole or not at all.

    Raises:
        SaveError: it could not be encoded or written; nothing is left behind.
    """
    kind = FORMATS[path.suffix.lower()]
    known: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92, "subsampling": "4:4:4"}, "WEBP": {"quality": 92}}
    try:
        with files.replacing(path) as file:
            sheet.save(file, kind, **known.get(kind, {}))
    except ValueError as error:  # Pillow's word for an encoder that failed
        raise SaveError(f"{printable(path)}: could not be made ({error}); nothing was saved") from error


def broken(text: str, width: int, font: Font) -> list[str]:
    """Text in lines of at most `width` pixels, broken behind blanks and signs, and where there are none anywhere."""
    lines = [""]
    for piece in re.findall(r"[^\s+=,;]*[\s+=,;]?", printable(text)):
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        for letter in piece:
            if lines[-1] and font.getlength(lines[-1] + letter) > width and not letter.isspace():
                lines.append("")
            lines[-1] += letter
    lines = [line.strip() for line in lines]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], "..."]


def _paragraphs(caption: Sequence[str], width: int, font: Font) -> list[str]:
    return [line for text in caption for line in broken(text, width, font)]


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], font: Font) -> None:
    for number, line in enumerate(lines):
        pen.text((place[0], place[1] + number * LINE), line, fill="black", font=font)


def _put(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, picture: Image.Image | None, box: tuple[int, int, int, int]
) -> None:
    """A picture in the lower left of its box, or a gray field where there is none."""
    x, y, wide, high = box
    if picture is None:
        pen.rectangle((x, y, x + wide - 1, y + high - 1), fill="gainsboro")
    else:
        sheet.paste(picture, (x, y + high - picture.height))
