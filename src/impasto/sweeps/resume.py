"""Resuming a sweep: results of an earlier run are recognized by the recipes that they carry."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from impasto import files
from impasto.batches.grid import Combination
from impasto.errors import OutputError, RecipeError, printable
from impasto.images.loading import load_recipe
from impasto.images.masks import AlphaMask, Style, pictures_by_role
from impasto.images.picture import Picture
from impasto.images.recipe import ALPHA, InputRecord, Recipe
from impasto.images.sources import ImageSource, StyleSource, as_picture, as_styles
from impasto.jobs.job import InputFile, Job, StyleFile
from impasto.jobs.outputs import checkpoint_path
from impasto.jobs.own_files import own_recipe
from impasto.optimize import checkpoint
from impasto.optimize.detail import settings_here
from impasto.sweeps import results, sheet
from impasto.vgg.device import main_memory_limit
from impasto.vgg.model import VGG19, network_or_default

_ALPHA_RECORD = {"name": ALPHA, "sha256": ""}


@dataclass(frozen=True)
class SweepInputs:
    """What all combinations share: the images, each with its hash, and the network.

    Attributes:
        inits: value of `Settings.init` -> initial image, for the values that name a file.
        paths: hash of an image -> its file.
    """

    content: Picture
    styles: Sequence[Style]
    inits: Mapping[str, Picture]
    vgg: VGG19
    paths: Mapping[str, str]

    @property
    def pictures(self) -> dict[str, Picture]:
        """All images by their hashes."""
        masks = [style.mask for style in self.styles if style.mask is not None]
        images = [self.content, *(style.picture for style in self.styles), *masks, *self.inits.values()]
        return {image.sha256: image for image in images}

    def file(self, picture: Picture) -> InputFile:
        """The file of an image; of one that was made in memory only its name."""
        return InputFile(path=self.paths.get(picture.sha256, picture.name or "picture"), sha256=picture.sha256)

    def style_file(self, style: Style) -> StyleFile:
        """The file of a style image, with its weight and mask."""
        file = self.file(style.picture)
        mask: InputFile | Literal["alpha"] | None = None
        if style.mask is not None:
            mask = ALPHA if isinstance(style.mask, AlphaMask) else self.file(style.mask)
        return StyleFile(path=file.path, sha256=file.sha256, weight=style.weight, mask=mask)


def load_inputs(
    content: ImageSource,
    styles: Sequence[StyleSource],
    inits: Iterable[str],
    vgg: VGG19 | None = None,
    *,
    memory: int | None = None,
    paths: Mapping[str, str] | None = None,
) -> SweepInputs:
    """Read the images and the network.

    Args:
        paths: the files of images that are read already, by their hashes.

    Raises:
        PictureError: a file that cannot be read as an image.
    """
    network = network_or_default(vgg)
    limit = main_memory_limit(memory, network.device)
    hashed = [_style_with_hash(style) for style in as_styles(styles, limit)]
    initial_images = {name: _with_hash(as_picture(name, "init", limit)) for name in sorted(inits)}
    files = {picture.sha256: name for name, picture in initial_images.items()} | dict(paths or {})
    return SweepInputs(_with_hash(as_picture(content, "content", limit)), hashed, initial_images, network, files)


def check_files(folder: Path, combinations: Sequence[Combination], *, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Raise OutputError if a file in the folder could not be written, is an input, or is not that of a sweep.

    Tables, plot, sheet and logs are those of a sweep if `results.json` is. Images and checkpoints say themselves from
    which run they are, see `check_resumable` and `checkpoint.resume`.
    """
    images = [results.image_path(folder, combination) for combination in combinations]
    others = [folder / name for name in (*results.TABLES, results.PLOT, sheet.SHEET)]
    others += [results.log_path(folder, combination) for combination in combinations]
    is_own = overwrite or results.is_sweep_folder(folder)
    for path in others:
        files.check_output(path, overwrite=is_own, inputs=inputs)
    for path in (*images, *map(checkpoint_path, images)):
        files.check_output(path, overwrite=True, inputs=inputs)


def check_resumable(folder: Path, combinations: Iterable[Combination], inputs: SweepInputs) -> None:
    """Raise OutputError if a result in the folder was made from other inputs or with other settings."""
    for combination in combinations:
        path = results.image_path(folder, combination)
        if path.exists() and (difference := _difference(combination, _load_recipe(path), inputs)):
            raise OutputError(
                f"{printable(path)}: {difference}; give the same again, choose another folder, or start over "
                "(--overwrite)"
            )


def is_finished(job: Job) -> bool:
    """Whether the result of a job is complete."""
    recipe = own_recipe(job, Path(job.outputs.result))
    return recipe is not None and recipe.is_complete


def _difference(combination: Combination, recipe: Recipe, inputs: SweepInputs) -> str | None:
    """The first difference between a recipe and the combination, in words; None if there is none."""
    init = inputs.inits.get(combination.settings.init)
    settings = settings_here(inputs.content, inputs.styles, combination.settings)
    settings = settings if init is None else settings.replace(init=init.name)
    before = {
        **recipe.model_dump(mode="json"),
        "pictures": {role: _record(picture) for role, picture in recipe.pictures.items()} | _alpha_masks(recipe),
        "mixture": [style.weight for style in recipe.styles],
    }
    now = {
        **before,  # device and precision may differ
        "task": "stylize" if inputs.styles else "reconstruct",
        "settings": settings.model_dump(mode="json"),
        "pictures": {
            role: _record(picture) for role, picture in pictures_by_role(inputs.content, inputs.styles, init).items()
        },
        "mixture": [style.weight for style in inputs.styles],
        "weights": inputs.vgg.sha256,
    }
    return checkpoint.difference(before, now)


def _style_with_hash(style: Style) -> Style:
    mask = style.mask
    with_hash = mask if mask is None or isinstance(mask, AlphaMask) else _with_hash(mask)
    return dataclasses.replace(style, picture=_with_hash(style.picture), mask=with_hash)


def _with_hash(picture: Picture) -> Picture:
    """The picture with the hash by which `check_resumable` compares it; one made in memory has none yet."""
    return dataclasses.replace(picture, sha256=picture.content_hash)


def _alpha_masks(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The masks of a recipe that are the content image's alpha channel, by role, as `_record` has them."""
    masks = {f"mask {number}": style.mask for number, style in enumerate(recipe.styles, 1)}
    return {role: _ALPHA_RECORD for role, mask in masks.items() if mask == ALPHA}


def _record(picture: Picture | InputRecord) -> dict[str, Any]:
    if isinstance(picture, AlphaMask):
        return _ALPHA_RECORD
    return {"name": picture.name, "sha256": picture.sha256}


def _load_recipe(path: Path) -> Recipe:
    try:
        return load_recipe(path)
    except RecipeError as error:
        reason = str(error).partition("; ")[0]
        raise OutputError(f"{reason}; choose another folder, or move that file away") from error
