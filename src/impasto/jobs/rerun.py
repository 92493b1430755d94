"""A result -> the run that made it, from the recipe that it carries."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from impasto import api
from impasto.errors import RecipeError, printable
from impasto.events import OnEvent
from impasto.feedforward.one_pass import fast
from impasto.feedforward.style_file import is_style_file
from impasto.feedforward.stylizer import network_for
from impasto.images.masks import Style, alpha_mask
from impasto.images.picture import Picture, load, load_recipe
from impasto.images.recipe import InputRecord, Recipe, StyleRecord
from impasto.images.sources import StyleSource
from impasto.optimize.run import Run
from impasto.settings.model import INITS, MAX_THREADS
from impasto.vgg import weights
from impasto.vgg.model import VGG19


def recreate_run(
    result: Path,
    places: Sequence[Path],
    choice: str = "auto",
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    memory: int | None = None,
    strips: Sequence[int | None] | None = None,
) -> Run:
    """The run that the recipe in `result` describes: to the same pixels on the same machine with the same versions.

    Args:
        places: the pictures that went in, found by their hashes, or folders where they lie under their names.
        choice: the weights, if neither the downloaded nor the bundled ones are those of the recipe.
        device, precision, threads, memory, strips: other ones than the recipe's; then the pixels differ a little.

    Raises:
        RecipeError: no recipe, a picture that went in is not there, or other weights.
    """
    recipe = recipe_of(result)
    where = printable(result)
    if recipe.settings.method == "fast":
        raise RecipeError(f"{where}: was painted in one pass, which takes no steps; repaint it")
    if recipe.init is None and recipe.settings.init not in INITS:
        raise RecipeError(f"{where}: its recipe does not say what picture it was begun with; paint it anew")
    pictures = {wanted: load(path) for wanted, path in originals(result, places).items()}
    _use_threads(recipe, threads)
    run = api.create_run(
        pictures[recipe.content] if recipe.content else None,
        [Style(pictures[style], style.weight, _mask(style, recipe, pictures)) for style in recipe.styles],
        recipe.settings,
        init=pictures[recipe.init] if recipe.init else None,
        keep=pictures[recipe.keep] if recipe.keep else None,
        memory=memory,
        strips=recipe.strips if strips is None and memory is None else strips,
        vgg=_network(
            recipe,
            choice,
            where,
            device=recipe.device if device == "auto" else device,
            precision=recipe.precision if precision == "auto" else precision,
        ),
    )
    run.steps = recipe.steps_done or run.steps
    return run


def repaint(
    result: Path,
    places: Sequence[Path],
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    memory: int | None = None,
    on_event: OnEvent | None = None,
) -> Picture:
    """The picture that the recipe in `result` describes, if it was painted in one pass; otherwise as `prepare`."""
    recipe, found = recipe_of(result), originals(result, places)
    if recipe.content is None or not recipe.styles:
        raise RecipeError(f"{printable(result)}: its recipe names no photograph or no painting; paint it anew")
    _use_threads(recipe, threads)
    files = [found[style] for style in recipe.styles]
    network = network_for(
        files, recipe.device if device == "auto" else device, recipe.precision if precision == "auto" else precision
    )
    styles: list[StyleSource] = [
        path if is_style_file(path) else Style(load(path), style.weight)
        for path, style in zip(files, recipe.styles, strict=True)
    ]
    return fast(found[recipe.content], styles, recipe.settings, network=network, memory=memory, on_event=on_event)


def _use_threads(recipe: Recipe, threads: int | None) -> None:
    """As many as then, unless others are asked for: sums are split by threads, and so rounded."""
    torch.set_num_threads(max(1, min(recipe.threads, MAX_THREADS)) if threads is None else threads)


def _mask(style: StyleRecord, recipe: Recipe, pictures: Mapping[InputRecord, Picture]) -> Picture | None:
    if style.mask is None or recipe.content is None:
        return None
    return pictures[style.mask] if isinstance(style.mask, InputRecord) else alpha_mask(pictures[recipe.content])


def originals(result: Path, places: Sequence[Path]) -> dict[InputRecord, Path]:
    """The files that went into a result, found in `places` as `prepare` says.

    Raises:
        RecipeError: no recipe, a picture that went in is not there, or the result was recolored since.
    """
    recipe = recipe_of(result)
    if recipe.recolored:
        before = recipe.recolored[0].picture
        named = f"{printable(before.name)!r} (SHA-256 {before.sha256[:12]}...)"
        raise RecipeError(
            f"{printable(result)}: was recolored after it was painted, which rerun does not repeat; rerun {named} "
            "instead, and recolor the result"
        )
    return {wanted: _find(wanted, places, printable(result)) for wanted in recipe.pictures.values()}


def recipe_of(result: Path) -> Recipe:
    """The recipe in a picture.

    Raises:
        RecipeError: there is none, or none of this program's.
    """
    return load_recipe(result)


def _find(wanted: InputRecord, places: Iterable[Path], where: str) -> Path:
    """The file with the hash wanted, by its name in a folder or under any name."""
    for place in places:
        path = place / Path(wanted.name).name if os.path.isdir(place) else place
        with contextlib.suppress(OSError):  # a file that cannot be read is not at hand
            if os.path.isfile(path) and wanted.sha256 == hashlib.sha256(path.read_bytes()).hexdigest():
                return path
    raise RecipeError(
        f"{where}: its input {printable(wanted.name)!r} (SHA-256 {wanted.sha256[:12]}...) was not found; "
        "name the file or its folder after the result"
    )


def _network(recipe: Recipe, choice: str, where: str, *, device: str, precision: str) -> VGG19:
    for source in (weights.find(choice), *weights.sources()):
        if source.present:
            vgg = VGG19.load(source, device=device, precision=precision)
            if vgg.sha256 == recipe.weights:
                return vgg
    raise RecipeError(
        f"{where}: was painted with weights of SHA-256 {recipe.weights[:12]}..., which are not at hand; "
        "give them with --weights FILE"
    )
