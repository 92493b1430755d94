"""One input of the corpus, and the images that the inputs hold."""

from dataclasses import dataclass

import numpy as np

RNG = np.random.default_rng(11)
COLOR = RNG.integers(0, 256, (4, 5, 4), dtype=np.uint8)
"""(H, W, RGBA), for formats without loss."""
DEEP = RNG.integers(0, 65536, (4, 5, 4), dtype=np.uint16)
_rows, _columns = np.mgrid[0:16, 0:24]
SMOOTH = np.dstack([40 + 8 * _columns, 220 - 9 * _rows, 90 + 3 * (_rows + _columns)]).astype(np.uint8)
"""(H, W, RGB), for lossy formats."""


@dataclass(frozen=True)
class Entry:
    """A file of the corpus.

    Attributes:
        name: also its key in reference.json, which holds the colors that an independent reader gives.
        notes: words that a note must have, in any order of notes; none: there is no note.
        refused: words of the refusal; empty: the file is read.
        tolerance: levels of 255 by which the colors may differ from those of the independent reader.
        formula: the colors, (H, W, 3) in 0..255, where the independent reader does not convert the color space.
    """

    name: str
    data: bytes
    notes: tuple[str, ...] = ()
    refused: str = ""
    tolerance: float = 0.51
    formula: np.ndarray | None = None
