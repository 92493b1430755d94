"""Row bands: full-size images are processed a band of rows at a time, so that temporaries stay at a few MB."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

_BAND_PIXELS = 2**18  # 3 MB as float32 RGB


def band_height(height: int, width: int) -> int:
    """Rows per band in an image of `height` x `width` pixels; at least one."""
    return min(height, max(1, _BAND_PIXELS // width))


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Slices of the row axis, from the top down, that cover the image; the last one may be shorter."""
    rows = band_height(height, width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
