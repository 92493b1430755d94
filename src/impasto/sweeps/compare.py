"""Pictures beside each other: figures that compare them, and what differs between their recipes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import RecipeError, SettingError, printable
from impasto.images import contact_sheet
from impasto.images.bands import Array
from impasto.images.contact_sheet import Cell
from impasto.images.picture import Picture, load, load_recipe
from impasto.images.recipe import Recipe
from impasto.images.thumbnail import fit_within, thumbnail, to_uint8

EDGE = 640
"""Long edge of the pictures on a sheet in pixels, or less."""
ABREAST = 4
"""Pictures in a row of a sheet."""


@dataclass(frozen=True)
class Likeness:
    """How much a picture is like the first, over all pixels and channels.

    Attributes:
        rms: root of the mean square of the differences, in levels of 255.
        psnr: peak signal-to-noise ratio in dB; infinite for equal pictures.
        correlation: Pearson's, -1 to 1; None where one of the pictures is of a single level.
        resized: whether the picture was brought to the first one's size for this.
    """

    rms: float
    psnr: float
    correlation: float | None
    resized: bool


@dataclass(frozen=True)
class Compared:
    """One of the pictures: its name, width and height in pixels, likeness to the first, recipe if it carries one."""

    name: str
    width: int
    height: int
    likeness: Likeness | None
    recipe: Recipe | None
    small: Image.Image
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> dict[str, Any]:
        """What its recipe tells: losses, settings and what it was painted from; empty without one."""
        if self.recipe is None:
            return {}
        inputs = {f"style {number}": each.name for number, each in enumerate(self.recipe.styles, start=1)}
        if self.recipe.content:
            inputs = {"content": self.recipe.content.name, **inputs}
        others = self.recipe.model_dump(mode="json", include={"task", "steps_done", "weights", "device", "precision"})
        return {**others, **inputs, **self.recipe.settings.model_dump(mode="json")}


def compare(paths: Sequence[Path]) -> list[Compared]:
    """The pictures in the files, the first as it is and the others compared with it; on white where there is alpha.

    Raises:
        PictureError: a file that is no picture.
        SettingError: fewer than two.
    """
    if len(paths) < 2:
        raise SettingError(f"compare: got {len(paths)} picture; give two or more")
    first = load(paths[0])
    reference = to_uint8(first)
    compared = [_compared(paths[0], first, None)]
    for path in paths[1:]:
        picture = load(path)
        compared.append(_compared(path, picture, likeness(reference, picture)))
    return compared


def likeness(reference: Array, picture: Picture) -> Likeness:
    """How much `picture` is like the reference, (H, W, 3) uint8."""
    height, width = reference.shape[:2]
    resized = (picture.width, picture.height) != (width, height)
    other = np.asarray(thumbnail(picture, width, height)) if resized else to_uint8(picture)
    squares = sum(float(np.square(a.astype(np.float64) - b).mean()) for a, b in _planes(reference, other)) / 3
    psnr = 10 * math.log10(255**2 / squares) if squares else math.inf
    return Likeness(math.sqrt(squares), psnr, _correlation(reference, other), resized)


def differing(compared: Sequence[Compared]) -> dict[str, list[Any]]:
    """What the recipes tell differently: name -> a value for each picture, None where there is none."""
    told = [each.told for each in compared]
    if not all(told):
        return {}
    names = dict.fromkeys(name for each in told for name in each)
    values = {name: [each.get(name) for each in told] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def drawn(compared: Sequence[Compared]) -> Image.Image:
    """The pictures side by side, with the figures beneath."""
    others = differing(compared)
    cells = [
        Cell(each.small, (each.name, *_figures(each), *(f"{name} {said(others[name][place])}" for name in others)))
        for place, each in enumerate(compared)
    ]
    return contact_sheet.draw([cells[start : start + ABREAST] for start in range(0, len(cells), ABREAST)])


def said(value: object) -> str:
    """A value of a recipe as text of a line: layers as NAME=WEIGHT, hashes short."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    text = "none" if value is None else printable(str(value))
    return f"{text[:12]}..." if len(text) == 64 else text


def _figures(each: Compared) -> list[str]:
    lines = [f"{each.width}x{each.height} pixels"]
    if each.likeness is not None:
        lines.append(f"RMS difference {each.likeness.rms:.1f} of 255, PSNR {each.likeness.psnr:.1f} dB")
        if each.likeness.correlation is not None:
            lines.append(f"correlation {each.likeness.correlation:.3f}")
    if each.recipe is not None:
        loss = {name: f"{value:.4g}" for name, value in each.recipe.loss.items()}
        lines.append(f"loss {loss.pop('total', '?')} ({', '.join(map(' '.join, loss.items()))})")
    return lines


def _compared(path: Path, picture: Picture, like: Likeness | None) -> Compared:
    notes = list(picture.notes)
    if like is not None and like.resized:
        notes.append("is of another size: it was resized to be compared")
    try:
        recipe = load_recipe(path)
    except RecipeError as error:
        recipe = None
        if "holds no recipe" not in str(error):
            notes.append(str(error))
    small = thumbnail(picture, *fit_within(picture.width, picture.height, EDGE))
    return Compared(printable(path.name), picture.width, picture.height, like, recipe, small, tuple(notes))


def _planes(one: Array, other: Array) -> list[tuple[Array, Array]]:
    """The colors one by one, so that no picture is held in floating point as a whole."""
    return [(one[..., color], other[..., color]) for color in range(3)]


def _correlation(one: Array, other: Array) -> float | None:
    means = one.mean(dtype=np.float64), other.mean(dtype=np.float64)
    planes = [(a - means[0], b - means[1]) for a, b in _planes(one, other)]
    product = sum(float((a * b).sum()) for a, b in planes)
    norms = [math.sqrt(sum(float((pair[which] ** 2).sum()) for pair in planes)) for which in (0, 1)]
    return product / (norms[0] * norms[1]) if all(norms) else None
