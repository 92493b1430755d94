"""Puts pictures side by side, a line of text under each: `python tools/sheet.py OUT.jpg COLUMNS PICTURE=TEXT ...`."""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP, LINE = 8, 24


def sheet(columns: int, labelled: list[tuple[Image.Image, str]]) -> Image.Image:
    """The pictures in rows of `columns`, each cell as large as the largest picture."""
    width = max(picture.width for picture, _ in labelled) + GAP
    height = max(picture.height for picture, _ in labelled) + GAP + LINE
    rows = -(-len(labelled) // columns)
    page = Image.new("RGB", (width * columns - GAP, height * rows - GAP), "white")
    draw = ImageDraw.Draw(page)
    for index, (picture, text) in enumerate(labelled):
        x, y = width * (index % columns), height * (index // columns)
        page.paste(picture, (x, y))
        draw.text((x + 2, y + picture.height + 4), text, "black", ImageFont.load_default(15))
    return page


def main(out: str, columns: str, *pictures: str) -> None:
    """Write the sheet of PICTURE=TEXT arguments to `out`."""
    pairs = [text.partition("=") for text in pictures]
    labelled = [(Image.open(path).convert("RGB"), text) for path, _, text in pairs]
    sheet(int(columns), labelled).save(Path(out), quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
