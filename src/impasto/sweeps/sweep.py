"""A sweep: every combination of a grid's settings painted into a folder, with the network loaded once."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from impasto import api, files
from impasto.errors import (
    DivergedError,
    LogError,
    MissingError,
    OutputError,
    RecipeError,
    SettingError,
    UsageError,
    is_out_of_memory,
    printable,
)
from impasto.events import Noted, OnEvent, Saved
from impasto.images.masks import Style, pictures_by_role
from impasto.images.picture import Picture, load_recipe
from impasto.images.recipe import InputRecord, Recipe
from impasto.images.sources import ImageSource, StyleSource, as_list, as_picture
from impasto.jobs import runner
from impasto.jobs.log import read_log
from impasto.jobs.outputs import CHECKPOINT_SECONDS, Outputs, checkpoint_path
from impasto.jobs.runner import ShouldStop
from impasto.optimize import checkpoint
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import preset
from impasto.sweeps import results
from impasto.sweeps.grid import Combination, Grid, make_axis
from impasto.sweeps.results import Result, State
from impasto.vgg import device as devices
from impasto.vgg.model import VGG19


def sweep(
    content: ImageSource,
    styles: StyleSource | Sequence[StyleSource],
    grid: Mapping[str, Sequence[object]],
    folder: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> list[Result]:
    """`content` painted in the manner of `styles` with every combination of the values in `grid`, into `folder`.

    There are then a PNG and a log of each combination, results.csv, results.json, sheet.jpg, and losses.png if
    matplotlib is installed. A combination that diverges or is refused does not end the sweep: its result says so.

    Args:
        grid: names of settings, or "preset", to their values; the first one varies slowest, down the sheet.
        settings: what holds for all; by default the preset "painterly".
        vgg: the network; by default the best at hand.
        on_event: called with each `impasto.events` event.
        resume: leave what is painted already, and go on with what was interrupted.
        overwrite: paint into a folder that holds files, replacing those of the same names.

    Raises:
        SettingError: no such setting, or a value out of its range; nothing was begun.
        OutputError: a folder that cannot be used; nothing was begun.
        ImpastoError: one of its kinds, see `impasto.errors`.
    """
    axes = tuple(make_axis(name, values) for name, values in grid.items())
    ready = Sweep(Grid(axes, settings or preset()), Path(folder), resume=resume, overwrite=overwrite)
    paintings = as_list(styles)
    ready.check([Path(each) for each in (content, *paintings) if not isinstance(each, Picture | Style)])
    ready.load(content, paintings, vgg)
    return ready.paint(on_event or (lambda _: None))


@dataclass
class Sweep:
    """A sweep, to be checked, loaded and painted, in this order.

    Attributes:
        grid: what is varied.
        folder: where to; made if it is not there.
        resume, overwrite: as `sweep` says.
        memory: bytes that the whole process may take; by default what is at hand.
        threads: that compute; by default torch's number, or that of the checkpoint that is gone on from.
        checkpoint_seconds: from one checkpoint to the next.
    """

    grid: Grid
    folder: Path
    resume: bool = False
    overwrite: bool = False
    memory: int | None = None
    threads: int | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def __post_init__(self) -> None:
        """All combinations, so that settings that cannot be had together are refused before any work."""
        self.combinations = self.grid.combinations()
        if any(each.settings.method == "fast" for each in self.combinations):
            raise SettingError("method: got 'fast', but a sweep compares losses, and one pass has none; leave it out")

    def check(self, inputs: Sequence[Path]) -> None:
        """Refuse a folder that cannot be used, or in which one of the `inputs` would be replaced.

        Raises:
            OutputError: saying why.
        """
        where = printable(self.folder)
        if not os.path.isdir(self.folder):
            if os.path.lexists(self.folder):
                raise OutputError(f"{where}: is no folder; give the name of one, or one that is free")
            files.check_output(self.folder, overwrite=False)  # a folder is made where a file could be
            return
        if os.listdir(self.folder) and not (self.resume or self.overwrite):
            raise OutputError(
                f"{where}: holds files already; choose another folder, go on with its sweep (--resume), or replace "
                "what is there (--overwrite)"
            )
        outputs = [self.folder / name for name in (*results.TABLES, results.SHEET, results.PLOT)]
        for each in self.combinations:
            path = results.image_path(self.folder, each)
            outputs += [path, results.log_path(self.folder, each), checkpoint_path(path)]
        for path in outputs:
            files.check_output(path, overwrite=True, inputs=inputs)

    def load(self, content: ImageSource, styles: Sequence[StyleSource], vgg: VGG19 | None = None) -> None:
        """Read the pictures and the network, and refuse to go on with what was painted from others.

        Raises:
            PictureError: a file that is no picture.
            OutputError: a picture in the folder that is of another sweep.
        """
        self.content, self.styles = _read(content), [_style(style) for style in styles]
        named = {each.settings.init for each in self.combinations}.difference(INITS)
        self.inits = {name: _read(name) for name in sorted(named)}
        self.vgg = vgg or VGG19.load()
        if self.resume:
            for each in self.combinations:
                path = results.image_path(self.folder, each)
                if path.exists() and (otherwise := self._otherwise(each, _recipe(path))):
                    raise OutputError(
                        f"{printable(path)}: {otherwise}; give the same again, choose another folder, or begin anew "
                        "(--overwrite)"
                    )

    def paint(self, show: OnEvent, stopped: ShouldStop = lambda: False) -> list[Result]:
        """Paint what is not painted yet, until all is done or `stopped` says so.

        Raises:
            OutputError: the folder could not be made.
            SaveError: a picture or a table could not be written.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{printable(self.folder)}: cannot be made ({error.strerror}); choose another") from error
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        threads = torch.get_num_threads()
        found = [self._result(each, "done") if self._is_finished(each) else Result(each) for each in self.combinations]
        for number, each in enumerate(self.combinations):
            if stopped():
                break
            place = f"{number + 1} of {len(found)}: {each.title}"
            if found[number].state == "done":
                show(Noted(f"{place} is painted already"))
                continue
            show(Noted(place))
            found[number] = self._result(each, *self._paint(each, show, stopped))
            torch.set_num_threads(threads)
            results.write_tables(self.folder, found)
        self._draw(found, show)
        return found

    def _draw(self, found: list[Result], show: OnEvent) -> None:
        """Write the tables, the plot and the sheet, and tell of them."""
        results.write_tables(self.folder, found)
        drawn = [self.folder / name for name in results.TABLES]
        try:
            drawn += filter(None, [results.draw_losses(self.folder, found)])
        except MissingError as error:
            show(Noted(f"no {results.PLOT}: {error}"))
        drawn.append(results.draw_sheet(self.folder, self.grid, found))
        for path in drawn:
            show(Saved(printable(path)))

    def _paint(self, each: Combination, show: OnEvent, stopped: ShouldStop) -> tuple[State, str]:
        """Paint a combination; what came of it, and why."""
        state: State = "done"
        message = ""
        try:
            self._execute(each, show, stopped)
            state = "stopped" if stopped() else "done"
        except DivergedError as error:
            state, message = "diverged", str(error)
        except UsageError as error:
            state, message = "refused", str(error)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            state, message = "refused", "not enough memory for this size; give a smaller one"
        finally:
            devices.release_memory(self.vgg.device)
        if message:
            show(Noted(f"{state}: {message}"))
        return state, message

    def _execute(self, each: Combination, show: OnEvent, stopped: ShouldStop) -> None:
        path = results.image_path(self.folder, each)
        place = checkpoint_path(path)
        found = checkpoint.read(place) if self.resume and place.exists() else None
        if self.threads is None and found is not None:
            torch.set_num_threads(found.threads)  # sums are split by threads, and so rounded
        run = api.create_run(
            self.content,
            self.styles,
            each.settings,
            init=self.inits.get(each.settings.init),
            vgg=self.vgg,
            memory=self.memory,
            strips=None if found is None else found.strips,
        )
        outputs = Outputs(path, place, self.checkpoint_seconds, log=results.log_path(self.folder, each))
        runner.execute(run, outputs, show, stopped, found)

    def _result(self, each: Combination, state: State, message: str = "") -> Result:
        """What came of a combination, as its picture's recipe and its log tell."""
        told = Result(each, state, message=message)
        if (recipe := self._own(each)) is not None:
            told = dataclasses.replace(told, steps_done=recipe.steps_done, loss=recipe.loss)
        if state != "refused":
            with contextlib.suppress(LogError):  # diverged at once, or taken away
                seconds = read_log(results.log_path(self.folder, each))[-1].seconds
                told = dataclasses.replace(told, seconds=seconds)
        return told

    def _is_finished(self, each: Combination) -> bool:
        """Whether it need not be painted any more; where a checkpoint is left, nobody said that it was done."""
        if not self.resume or checkpoint_path(results.image_path(self.folder, each)).exists():
            return False
        recipe = self._own(each)
        return recipe is not None and recipe.is_complete

    def _own(self, each: Combination) -> Recipe | None:
        """The recipe of a combination's picture, if there is one that was painted from the same."""
        path = results.image_path(self.folder, each)
        try:
            recipe = _recipe(path) if path.exists() else None
        except UsageError:
            return None
        return None if recipe is None or self._otherwise(each, recipe) else recipe

    def _otherwise(self, each: Combination, recipe: Recipe) -> str | None:
        """What of a picture's recipe is not this combination's."""
        init = self.inits.get(each.settings.init)
        settings = each.settings if init is None else each.settings.replace(init=init.name)
        given = pictures_by_role(self.content, self.styles, init)
        was = {
            **recipe.model_dump(mode="json"),
            "pictures": {role: _input(picture) for role, picture in recipe.pictures.items()},
            "mixture": [style.weight for style in recipe.styles],
        }
        now = {
            **was,  # device and precision may be others
            "task": "stylize" if self.styles else "reconstruct",
            "settings": settings.model_dump(mode="json"),
            "pictures": {role: _input(picture) for role, picture in given.items()},
            "mixture": [style.weight for style in self.styles],
            "weights": self.vgg.sha256,
        }
        return checkpoint.difference(was, now)


def _style(painting: StyleSource) -> Style:
    if isinstance(painting, Style):
        return dataclasses.replace(painting, picture=_read(painting.picture))
    return Style(_read(painting))


def _read(source: ImageSource) -> Picture:
    """The picture with a hash, by which it is known again."""
    picture = as_picture(source)
    return dataclasses.replace(picture, sha256=picture.content_hash)


def _input(picture: Picture | InputRecord) -> dict[str, Any]:
    return {"name": picture.name, "sha256": picture.sha256}


def _recipe(path: Path) -> Recipe:
    try:
        return load_recipe(path)
    except RecipeError as error:
        raise OutputError(f"{str(error).partition('; ')[0]}; choose another folder, or another name for it") from error
