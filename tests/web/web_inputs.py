"""Images and jobs for the tests of the web app."""

import io
from typing import Any

import numpy as np
from PIL import Image

from impasto.web.spec import JobSpec, StyleSpec

CONTENT, STYLE = "c" * 64, "5" * 64


def png(width: int = 40, height: int = 30, seed: int = 0, mode: str = "RGB") -> bytes:
    """The bytes of a PNG of noise."""
    channels = {"RGB": 3, "RGBA": 4}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return file.getvalue()


def spec(**changes: Any) -> JobSpec:
    """A job of files that need not exist."""
    fields = {"content": CONTENT, "styles": (StyleSpec(file=STYLE),), "settings": {"steps": 5, "size": 64}}
    return JobSpec.model_validate({**fields, **changes})
