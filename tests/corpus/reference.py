"""Writes reference.json: the colors that ImageMagick reads from the files of the corpus.

Run in this folder, with ImageMagick installed: PYTHONPATH=../images python reference.py
"""

import json
import subprocess
from pathlib import Path

import numpy as np
from corpus import entries

FILE = Path(__file__).with_name("reference.json")
READER = [
    "convert",
    "-[0]",
    "-auto-orient",
    "-colorspace",
    "sRGB",
    "-type",
    "TrueColorMatte",
    "-alpha",
    "set",
    "-depth",
    "16",
]


def probes(width, height):
    """Some pixels (x, y) of an image: corners, center, two others."""
    right, bottom = width - 1, height - 1
    found = [(0, 0), (right, 0), (0, bottom), (right, bottom), (width // 2, height // 2), (1, 1), (3, 2)]
    return [(x, y) for x, y in found if x < width and y < height]


def read(data):
    """(H, W, RGBA), 16 bits."""
    pam = subprocess.run([*READER, "pam:-"], input=data, capture_output=True, check=True).stdout
    header, _, raw = pam.partition(b"ENDHDR\n")
    fields = dict(line.split(b" ", 1) for line in header.splitlines() if b" " in line)
    return np.frombuffer(raw, ">u2").reshape(int(fields[b"HEIGHT"]), int(fields[b"WIDTH"]), 4)


def main():
    version = subprocess.run(["convert", "-version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    colors = {}
    for entry in entries():
        if not entry.refused and entry.formula is None:
            try:
                pixels = read(entry.data)
            except (subprocess.CalledProcessError, ValueError) as error:
                print(entry.name, error, getattr(error, "stderr", b"")[:200])  # noqa: T201
                continue
            height, width = pixels.shape[:2]
            colors[entry.name] = [[x, y, *map(int, pixels[y, x])] for x, y in probes(width, height)]
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in colors.items())
    FILE.write_text(f'{{\n  "reader": {json.dumps(version)},\n{lines}\n}}\n')


if __name__ == "__main__":
    main()
