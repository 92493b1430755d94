"""What the tests of `impasto fast` look at."""

import os

from PIL import Image

LIMIT = 120
"""Seconds that a process may take."""
MACHINE = ("--device", "cpu", "--precision", "float32")


def names(folder):
    """The names of the files in a folder, sorted."""
    return sorted(os.listdir(folder))


def size(path):
    """Width and height of an image file."""
    with Image.open(path) as image:
        return image.size
