"""Contact sheets: images in a grid, with labels for rows and columns and captions below the images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from impasto.errors import printable
from impasto.images.formats import FORMATS
from impasto.images.writer import pillow_options, save_image

MAX_EDGE = 320
"""Longest edge of an image on a sheet in pixels; less if there are many."""
MAX_SIDE = 4096
"""Sides of a sheet in pixels that are kept to by making the images smaller, down to `MIN_EDGE`."""
MIN_EDGE = 120
"""Smallest width of a column in pixels, so that its label can be read."""
TEXT_HEIGHT, GAP = 15, 12
"""Height of the letters, and space between two cells, in pixels."""
LINE_HEIGHT = TEXT_HEIGHT + 5
MAX_LINES = 8
"""Lines into which a label or a paragraph of a caption is wrapped; the rest is cut off."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """An image, None if it is missing, and the paragraphs below it."""

    image: Image.Image | None
    caption: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """A row of cells: the wrapped lines of its label and of each caption, and the height of its tallest image."""

    cells: Sequence[Cell]
    label: list[str]
    captions: list[list[str]]
    image_height: int

    @property
    def height(self) -> int:
        """Pixels to the next row."""
        lines = max(map(len, self.captions))
        return max(self.image_height + lines * LINE_HEIGHT, len(self.label) * LINE_HEIGHT) + GAP


def cell_edge(columns: int, rows: int) -> int:
    """Long edge in pixels of the images on a sheet of `columns` x `rows` cells."""
    return max(MIN_EDGE, min(MAX_EDGE, MAX_SIDE // max(columns, rows) - GAP))


def draw(cells: Sequence[Sequence[Cell]], *, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> Image.Image:
    """The sheet in Pillow's mode RGB, black on white.

    Args:
        cells: row by row; a row may be shorter than the first.
        columns: labels above the columns, one each or none.
        rows: labels to the left of the rows, one each or none.
    """
    font = ImageFont.load_default(size=TEXT_HEIGHT)
    width = max([MIN_EDGE, *(cell.image.width for row in cells for cell in row if cell.image is not None)])
    headings = [wrap(text, width, font) for text in columns]
    labels = [wrap(text, MAX_EDGE // 2, font) for text in rows]
    table = _layout(cells, labels or [[] for _ in cells], width, font)
    left = GAP + max((round(font.getlength(line)) + GAP for label in labels for line in label), default=0)
    top = GAP + max(map(len, headings), default=0) * LINE_HEIGHT
    sheet = Image.new(
        "RGB", (left + len(cells[0]) * (width + GAP), top + sum(row.height for row in table)), color="white"
    )
    pen = ImageDraw.Draw(sheet)
    pen.font = font
    for x, heading in zip(count(left, width + GAP), headings, strict=False):
        _write(pen, (x, GAP // 2), heading)
    for row in table:
        _write(pen, (GAP, top), row.label)
        for x, cell, caption in zip(count(left, width + GAP), row.cells, row.captions, strict=False):
            _paste(sheet, pen, cell.image, (x, top, width, row.image_height))
            _write(pen, (x, top + row.image_height + 2), caption)
        top += row.height
    return sheet


def save(sheet: Image.Image, path: Path, *, overwrite: bool = True) -> None:
    """Write a sheet to `path`, in the format of its suffix, completely or not at all.

    Raises:
        OutputError: there is a file of that name, and `overwrite` is false.
        SaveError: it could not be encoded or written.
    """
    file_format = FORMATS[path.suffix.lower()]
    save_image(sheet, path, file_format, overwrite=overwrite, **pillow_options(file_format, quality=92))


def wrap(text: str, width: int, font: Font) -> list[str]:
    """Text in lines of at most `width` pixels, broken after spaces and punctuation, or anywhere in longer words."""
    lines = [""]
    for piece in re.findall(r"[^\s+=,;]*[\s+=,;]?", printable(text)):
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        for letter in piece:
            if lines[-1] and font.getlength(lines[-1] + letter) > width and not letter.isspace():
                lines.append("")
            lines[-1] += letter
    lines = [line.strip() for line in lines]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "..."]


def _layout(cells: Sequence[Sequence[Cell]], labels: Sequence[list[str]], width: int, font: Font) -> list[_Row]:
    """The rows of the sheet with their text wrapped; a row without images is as high as the tallest image."""
    tallest = max((cell.image.height for row in cells for cell in row if cell.image is not None), default=MIN_EDGE)
    return [
        _Row(
            row,
            label,
            [[line for text in cell.caption for line in wrap(text, width, font)] for cell in row],
            max((cell.image.height for cell in row if cell.image is not None), default=tallest),
        )
        for row, label in zip(cells, labels, strict=True)
    ]


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str]) -> None:
    """Draw lines of text from their left top corner on."""
    for number, line in enumerate(lines):
        pen.text((place[0], place[1] + number * LINE_HEIGHT), line, fill="black")


def _paste(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, image: Image.Image | None, box: tuple[int, int, int, int]
) -> None:
    """Paste an image into the lower left corner of its box (left, top, width, height); a gray box if it is missing."""
    x, y, width, height = box
    if image is None:
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill="gainsboro")
    else:
        sheet.paste(image, (x, y + height - image.height))
