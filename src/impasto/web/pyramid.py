"""Image pyramids: an image at full size and at halves of it, in tiles, for looking at large images closely."""

from typing import Any

from impasto.web.problems import UnknownError

TILE = 512
"""Width and height of a tile in pixels."""


def levels(width: int, height: int) -> list[tuple[int, int]]:
    """Width and height of each level, from the full size to the first one that fits into one tile."""
    sizes = [(width, height)]
    while max(sizes[-1]) > TILE:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def description(width: int, height: int) -> dict[str, Any]:
    """The pyramid as clients get it."""
    return {"width": width, "height": height, "tile": TILE, "levels": len(levels(width, height))}


def check_tile(width: int, height: int, level: int, column: int, row: int) -> None:
    """Refuse a tile that is outside of the image.

    Raises:
        UnknownError: there is no such tile.
    """
    sizes = levels(width, height)
    if 0 <= level < len(sizes):
        size = sizes[level]
        if 0 <= column * TILE < size[0] and 0 <= row * TILE < size[1]:
            return
    raise UnknownError(f"tile {level}/{column}/{row}: is outside of the image of {width}x{height} pixels")
