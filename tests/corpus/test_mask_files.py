"""Masks in every form in which programs write them, and the weights that they stand for."""

import numpy as np
import pytest
from entry import COLOR
from image_files import saved, tiff
from PIL import Image
from png_files import png

from impasto.images.loading import load
from impasto.images.masks import mask_values, with_notes

SHAPE = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 1, 1], [1, 0, 0, 1, 0]], np.uint8)[..., None]
SOFT = COLOR[..., :1]
RED, BLUE = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8)
TRANSPARENT = np.dstack([np.full((4, 5, 3), 255, np.uint8), SHAPE * 255])
WHITE = np.full((4, 5, 1), 255, np.uint8)

MASKS = {
    "1 bit": (png(SHAPE, 1, 0), SHAPE, ""),
    "8 bits": (png(SHAPE * 255, 8, 0), SHAPE, ""),
    "16 bits": (png(SHAPE.astype(np.uint16) * 65535, 16, 0), SHAPE, ""),
    "floating point": (tiff(SHAPE.astype(np.float32), photometric=1, kind=3), SHAPE, ""),
    "black and white palette": (saved(Image.fromarray(SHAPE[..., 0] * 255).convert("P"), "PNG"), SHAPE, ""),
    "soft": (png(SOFT, 8, 0), SOFT / 255, ""),
    "soft in RGB": (png(SOFT.repeat(3, 2), 8, 2), SOFT / 255, ""),
    "alpha only": (png(TRANSPARENT, 8, 6), SHAPE, ""),
    "labels 0 and 1": (png(SHAPE, 8, 0), SHAPE, "0 and 1 of 255 are used as black and white"),
    "labels 0 and 3": (png(SHAPE * 3, 8, 0), SHAPE * 3 / 255, "largest value is 3 of 255"),
    "red": (png(SHAPE * RED, 8, 2), SHAPE, "is a colored mask"),
    "red on blue": (png(np.where(SHAPE, RED, BLUE), 8, 2), np.ones_like(SHAPE), "is a colored mask"),
    "white": (png(WHITE, 8, 0), WHITE / 255, ""),
    "black": (png(WHITE * 0, 8, 0), WHITE * 0, "largest value is 0 of 255"),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_has_the_weights_that_its_author_meant_or_a_note(name):
    data, weights, note = MASKS[name]
    mask = load(data, name=name)
    assert np.abs(mask_values(mask)[0].numpy() - np.asarray(weights)[..., 0]).max() < 1e-6
    notes = with_notes(mask).notes
    assert len(notes) == bool(note)
    assert note in "".join(notes)
