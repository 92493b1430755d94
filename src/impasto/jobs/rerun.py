"""Repeats a result from the recipe that it carries: finds the inputs by their hashes, and recreates the run."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import torch

from impasto import api
from impasto.arguments import as_path_list, check_callable, of_type, path_of_image
from impasto.errors import PictureError, RecipeError, printable
from impasto.events import OnEvent
from impasto.feedforward.one_pass import fast
from impasto.feedforward.style_file import is_style_file
from impasto.feedforward.stylizer import network_for
from impasto.images.faces import weights as yunet
from impasto.images.loading import load, load_recipe
from impasto.images.masks import Style, alpha_mask
from impasto.images.picture import Picture
from impasto.images.recipe import InputRecord, Recipe, StyleRecord
from impasto.images.sources import StyleSource
from impasto.input_files import sha256_of
from impasto.optimize.run import Run
from impasto.settings.model import INITS, MAX_THREADS
from impasto.torch_state import isolated
from impasto.vgg import weights
from impasto.vgg.device import main_memory_limit, select_device
from impasto.vgg.model import VGG19

DEMO = resources.files("impasto") / "demo"
"""The bundled images, which `impasto demo` uses."""


@dataclass(frozen=True)
class RerunInputs:
    """A result's recipe and the files of its inputs: what `recreate_run` and `rerun_fast` need.

    Attributes:
        result: the file of the result, for messages.
        recipe: its recipe.
        files: the files of the inputs that the recipe lists.
    """

    result: Path
    recipe: Recipe
    files: Mapping[InputRecord, Path]


@dataclass(frozen=True)
class Overrides:
    """What a rerun takes from its caller instead of from the recipe; the pixels may then differ slightly.

    Attributes:
        device, precision: of the network; "auto": those of the recipe.
        threads: CPU threads; None: as many as in the recipe.
        memory: memory limit in bytes; None: most of what is available.
        engine: as for `VGG19.load`; "auto": that of the recipe, if device and precision are those of the recipe.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    memory: int | None = None
    engine: str | Sequence[str] = "auto"

    def where(self, recipe: Recipe) -> tuple[str, str]:
        """Device and precision of the network."""
        return (
            recipe.device if self.device == "auto" else self.device,
            recipe.precision if self.precision == "auto" else self.precision,
        )

    def engine_for(self, recipe: Recipe) -> str | Sequence[str]:
        """The engine of the network, as `VGG19.load` takes it."""
        is_same = self.where(recipe) == (recipe.device, recipe.precision)
        return recipe.ncnn if self.engine == "auto" and is_same else self.engine

    def set_threads(self, recipe: Recipe) -> None:
        """Threads split the sums, and the split determines the rounding; the recipe's number is used within limits."""
        recorded = max(1, min(recipe.threads, MAX_THREADS))
        torch.set_num_threads(recorded if self.threads is None else self.threads)


NO_OVERRIDES = Overrides()
"""Everything is as in the recipe."""


def rerun(
    result: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    weights: str | os.PathLike[str] = "auto",
    overrides: Overrides = NO_OVERRIDES,
    on_event: OnEvent | None = None,
) -> Picture:
    """Repeat a result from the recipe in its file; on the same machine with the same versions to the same pixels.

    Args:
        result: an image that impasto saved.
        inputs: the input images, which may have been renamed, or folders that contain them. They are also looked for
            beside the result, in the current folder, and among the bundled images.
        weights: as for `VGG19.load`; needed if neither the downloaded nor the bundled weights are those of the recipe.
        overrides: device, precision, threads, memory and engine, if they are not to be those of the recipe.
        on_event: called with each event of `impasto.events`.

    Raises:
        RecipeError: no recipe, an input or weights that were not found, or a result that was recolored afterwards.
    """
    check_callable(on_event)
    overrides = of_type(overrides, Overrides, "overrides", "give impasto.Overrides(device=...)")
    places = as_path_list(inputs, "inputs", PictureError)
    found = find_inputs(path_of_image(result, "result"), places)
    if found.recipe.settings.method == "fast":
        return rerun_fast(found, overrides, on_event)
    return api.complete(recreate_run(found, weights, overrides), on_event)


def find_inputs(result: Path, inputs: Sequence[Path] = ()) -> RerunInputs:
    """Read the recipe of `result` and find its inputs by their SHA-256 hashes.

    Args:
        inputs: files, which may have been renamed since, and folders that hold inputs under their original names. They
            are also looked for beside the result, in the current folder, and among the bundled images.

    Raises:
        RecipeError: no recipe, an input that was not found, or a result that was recolored afterwards.
    """
    recipe = load_recipe(result)
    if recipe.recolored:
        before = recipe.recolored[0].image
        named = f"{printable(before.name)!r} (SHA-256 {before.sha256[:12]}...)"
        raise RecipeError(
            f"{printable(result)}: was recolored, which rerun does not repeat; rerun {named} instead, and recolor the "
            "result"
        )
    with resources.as_file(DEMO) as folder:
        search = [*inputs, result.parent, Path(), folder]
        files = {record: _find(record, search, printable(result)) for record in recipe.pictures.values()}
    return RerunInputs(result, recipe, files)


@isolated
def recreate_run(
    inputs: RerunInputs,
    weights_choice: str | os.PathLike[str] = "auto",
    overrides: Overrides = NO_OVERRIDES,
    strips: Sequence[int | None] | None = None,
) -> Run:
    """Create the run that a recipe describes; it gives the same pixels on the same machine with the same versions.

    Sets torch's number of threads, see `Overrides`.

    Args:
        weights_choice: as for `VGG19.load`; needed if neither the downloaded nor the bundled weights are those of the
            recipe.
        overrides: what is not to be as in the recipe.
        strips: as for `Run`; by default those of the recipe, if there is no memory limit.

    Raises:
        RecipeError: a result of the one-pass method, an incomplete recipe, or missing weights of either network.
    """
    recipe = inputs.recipe
    _check_has_steps(recipe, printable(inputs.result))
    _check_detector(recipe, printable(inputs.result))
    limit = main_memory_limit(overrides.memory, select_device(overrides.where(recipe)[0]))
    pictures = {record: load(path, memory=limit) for record, path in inputs.files.items()}
    overrides.set_threads(recipe)
    run = api.create_run(
        pictures[recipe.content] if recipe.content else None,
        [Style(pictures[style], style.weight, _mask(style, recipe, pictures)) for style in recipe.styles],
        recipe.settings,
        init=pictures[recipe.init] if recipe.init else None,
        keep=pictures[recipe.keep] if recipe.keep else None,
        detail=pictures[recipe.detail] if recipe.detail else None,
        memory=overrides.memory,
        strips=recipe.strips if strips is None and overrides.memory is None else strips,
        vgg=_load_vgg(inputs, weights_choice, overrides),
    )
    run.steps, run.parent = recipe.steps_done or run.steps, recipe.parent
    return run


def _check_has_steps(recipe: Recipe, where: str) -> None:
    if recipe.settings.method == "fast":
        raise RecipeError(f"{where}: was made by the one-pass method, which takes no steps; use `rerun_fast`")
    if recipe.init is None and recipe.settings.init not in INITS:
        raise RecipeError(f"{where}: its recipe does not name the initial image; create it again")


def _check_detector(recipe: Recipe, where: str) -> None:
    """Refuse a rerun that would not find the faces that the run found."""
    if recipe.faces and not yunet.is_installed():
        raise RecipeError(f"{where}: was made with the face detector, which is not installed; {yunet.INSTALL}")


@isolated
def rerun_fast(inputs: RerunInputs, overrides: Overrides = NO_OVERRIDES, on_event: OnEvent | None = None) -> Picture:
    """Repeat a result of the one-pass method; otherwise as `recreate_run`.

    Raises:
        RecipeError: a recipe without a content or style image.
    """
    recipe = inputs.recipe
    if recipe.content is None or not recipe.styles:
        raise RecipeError(f"{printable(inputs.result)}: its recipe names no content or no style image; create it again")
    overrides.set_threads(recipe)
    style_files = [inputs.files[style] for style in recipe.styles]
    network = network_for(style_files, *overrides.where(recipe))
    limit = main_memory_limit(overrides.memory, network.device)
    styles: list[StyleSource] = [
        path if is_style_file(path) else Style(load(path, memory=limit), style.weight)
        for path, style in zip(style_files, recipe.styles, strict=True)
    ]
    content = inputs.files[recipe.content]
    made = fast(content, styles, recipe.settings, network=network, memory=overrides.memory, on_event=on_event)
    return replace(made, recipe={**(made.recipe or {}), "parent": recipe.parent})


def _mask(style: StyleRecord, recipe: Recipe, pictures: Mapping[InputRecord, Picture]) -> Picture | None:
    if style.mask is None or recipe.content is None:
        return None
    return pictures[style.mask] if isinstance(style.mask, InputRecord) else alpha_mask(pictures[recipe.content])


def _find(record: InputRecord, search: Iterable[Path], where: str) -> Path:
    """The file of an input: in a folder of `search` by its name, or one of the files of `search` under any name."""
    for place in search:
        path = place / Path(record.name).name if os.path.isdir(place) else place
        with contextlib.suppress(OSError):  # an unreadable file counts as not found
            if os.path.isfile(path) and record.sha256 == sha256_of(path):
                return path
    raise RecipeError(
        f"{where}: its input {printable(record.name)!r} (SHA-256 {record.sha256[:12]}...) was not found; "
        "name the file or its folder after the result"
    )


def _load_vgg(inputs: RerunInputs, choice: str | os.PathLike[str], overrides: Overrides) -> VGG19:
    (device, precision), engine = overrides.where(inputs.recipe), overrides.engine_for(inputs.recipe)
    for source in (weights.find(choice), *weights.sources()):
        if source.present:
            vgg = VGG19.load(source, device=device, precision=precision, engine=engine)
            if vgg.sha256 == inputs.recipe.weights:
                return vgg
    raise RecipeError(
        f"{printable(inputs.result)}: was made with weights of SHA-256 {inputs.recipe.weights[:12]}..., which were not "
        "found; give them with --weights FILE"
    )
