"""Images side by side: similarity to the first one, and the differences between their recipes."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from impasto import files
from impasto.arguments import as_path
from impasto.errors import RecipeError, SettingError, printable
from impasto.images import contact_sheet
from impasto.images.bands import Array
from impasto.images.contact_sheet import Cell
from impasto.images.formats import check_suffix
from impasto.images.loading import load_recipe
from impasto.images.picture import Picture
from impasto.images.recipe import Recipe
from impasto.images.sources import ImageSource, as_picture, image_list
from impasto.images.thumbnail import fit_within, thumbnail, to_uint8

MAX_IMAGES = 100
"""Images that can be compared at once."""
EDGE = 640
"""Maximum long edge in pixels of an image on a sheet."""
COLUMNS = 4
"""Images in a row of a sheet."""


@dataclass(frozen=True)
class Similarity:
    """The similarity of an image to the first one, over all pixels and channels.

    Attributes:
        rms: root mean square difference, in levels of 255.
        psnr: peak signal-to-noise ratio in dB, 10 log10(255^2 / mean square difference); infinite for equal images.
        correlation: Pearson's, -1 to 1; None if one of the images has a single level.
        resized: whether the image was resized to the first one's size first.
    """

    rms: float
    psnr: float
    correlation: float | None
    resized: bool


@dataclass(frozen=True)
class ComparedImage:
    """One of the images: file name, width and height in pixels, similarity to the first one, recipe if it has one.

    Attributes:
        similarity: None for the first image.
        preview: the image in mode RGB with a long edge of at most `EDGE`.
    """

    name: str
    width: int
    height: int
    similarity: Similarity | None
    recipe: Recipe | None
    preview: Image.Image
    notes: tuple[str, ...] = ()

    @property
    def recipe_values(self) -> dict[str, Any]:
        """The recipe as one level of name -> value: task, versions, inputs and settings; empty without a recipe."""
        if self.recipe is None:
            return {}
        inputs = {f"style {number}": style.name for number, style in enumerate(self.recipe.styles, start=1)}
        if self.recipe.content:
            inputs = {"content": self.recipe.content.name, **inputs}
        others = self.recipe.model_dump(mode="json", include={"task", "steps_done", "weights", "device", "precision"})
        return {**others, **inputs, **self.recipe.settings.model_dump(mode="json")}

    def as_dict(self) -> dict[str, Any]:
        """The entry of `impasto compare --json`; an infinite PSNR is None."""
        like = self.similarity
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "rms": like and like.rms,
            "psnr": like and (like.psnr if math.isfinite(like.psnr) else None),
            "correlation": like and like.correlation,
            "resized": like and like.resized,
            "recipe": None if self.recipe is None else self.recipe.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class Comparison:
    """Images and their similarity to the first of them."""

    images: tuple[ComparedImage, ...]

    @property
    def differences(self) -> dict[str, list[Any]]:
        """The recipe values that differ: name -> one value per image, None where it is missing.

        Empty if an image has no recipe.
        """
        recipes = [image.recipe_values for image in self.images]
        if not all(recipes):
            return {}
        names = dict.fromkeys(name for recipe in recipes for name in recipe)
        table = {name: [recipe.get(name) for recipe in recipes] for name in names}
        return {name: values for name, values in table.items() if any(value != values[0] for value in values)}

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Save a contact sheet: the images side by side, with the figures below.

        Raises:
            OutputError: an unknown suffix, or a file that cannot be written there.
            SaveError: the disk is full.
        """
        path = as_path(path, "path")
        files.check_output(path, overwrite=overwrite)
        check_suffix(path)
        contact_sheet.save(draw_sheet(self), path, overwrite=overwrite)


def compare(images: Sequence[ImageSource]) -> Comparison:
    """Compare all images with the first one, by their pixels and recipes; transparent pixels count as white.

    Args:
        images: 2 to 100 images. Of another size than the first one, they are resized for the comparison.

    Raises:
        PictureError: a file that cannot be read as an image.
        SettingError: fewer or more images.
    """
    if not 2 <= len(image_list(images)) <= MAX_IMAGES:
        advice = "two or more" if len(images) < 2 else f"at most {MAX_IMAGES}"
        raise SettingError(f"compare: got {len(images)} image{'s' * (len(images) != 1)}; give {advice}")
    first = as_picture(images[0], "image 1")
    reference = to_uint8(first)
    compared = [_describe(images[0], first, None, "image 1")]
    for number, source in enumerate(images[1:], 2):
        picture = as_picture(source, f"image {number}")
        compared.append(_describe(source, picture, similarity(reference, picture), f"image {number}"))
    return Comparison(tuple(compared))


def similarity(reference: Array, picture: Picture) -> Similarity:
    """The similarity of `picture`, resized if necessary, to the reference, (H, W, 3) uint8."""
    height, width = reference.shape[:2]
    resized = (picture.width, picture.height) != (width, height)
    other = np.asarray(thumbnail(picture, width, height)) if resized else to_uint8(picture)
    mean_square = sum(float(np.square(a.astype(np.float64) - b).mean()) for a, b in _planes(reference, other)) / 3
    psnr = 10 * math.log10(255**2 / mean_square) if mean_square else math.inf
    return Similarity(math.sqrt(mean_square), psnr, _correlation(reference, other), resized)


def draw_sheet(comparison: Comparison) -> Image.Image:
    """The images side by side in mode RGB, with the figures below."""
    differences = comparison.differences
    cells = []
    for index, image in enumerate(comparison.images):
        settings = [f"{name} {format_value(values[index])}" for name, values in differences.items()]
        cells.append(Cell(image.preview, (image.name, *_caption(image), *settings)))
    return contact_sheet.draw([cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)])


def format_value(value: object) -> str:
    """A value of a recipe in one line: layers as NAME=WEIGHT, hashes shortened."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight:g}" for name, weight in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    text = "none" if value is None else printable(str(value))
    return f"{text[:12]}..." if len(text) == 64 else text


def _caption(image: ComparedImage) -> list[str]:
    lines = [f"{image.width}x{image.height} pixels"]
    if image.similarity is not None:
        lines.append(f"RMS difference {image.similarity.rms:.1f} of 255, PSNR {image.similarity.psnr:.1f} dB")
        if image.similarity.correlation is not None:
            lines.append(f"correlation {image.similarity.correlation:.3f}")
    if image.recipe is not None:
        loss = {name: f"{value:.4g}" for name, value in image.recipe.loss.items()}
        lines.append(f"loss {loss.pop('total', '?')} ({', '.join(map(' '.join, loss.items()))})")
    return lines


def _describe(source: ImageSource, picture: Picture, to_first: Similarity | None, role: str) -> ComparedImage:
    notes = list(picture.notes)
    if to_first is not None and to_first.resized:
        notes.append("resized to the size of the first image for the comparison")
    try:
        recipe = _recipe_of(source)
    except RecipeError as error:
        recipe = None
        if "holds no recipe" not in str(error):
            notes.append(str(error))
    preview = thumbnail(picture, *fit_within(picture.width, picture.height, EDGE))
    name = picture.name or role
    return ComparedImage(name, picture.width, picture.height, to_first, recipe, preview, tuple(notes))


def _recipe_of(source: ImageSource) -> Recipe | None:
    if not isinstance(source, Picture):
        return load_recipe(source)
    return None if source.recipe is None else Recipe.parse(dict(source.recipe), source.name or "the image")


def _planes(one: Array, other: Array) -> list[tuple[Array, Array]]:
    """The color planes in pairs, so that only one of them at a time is held in floating point."""
    return [(one[..., color], other[..., color]) for color in range(3)]


def _correlation(one: Array, other: Array) -> float | None:
    """Pearson's correlation, sum (a - mean a)(b - mean b) / (|a - mean a| |b - mean b|), in float64."""
    means = one.mean(dtype=np.float64), other.mean(dtype=np.float64)
    planes = [(a - means[0], b - means[1]) for a, b in _planes(one, other)]
    product = sum(float((a * b).sum()) for a, b in planes)
    norms = [math.sqrt(sum(float((pair[index] ** 2).sum()) for pair in planes)) for index in (0, 1)]
    return product / (norms[0] * norms[1]) if all(norms) else None
