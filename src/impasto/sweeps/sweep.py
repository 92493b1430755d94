"""A sweep: every combination of a grid's settings, run one after the other into a folder, with one loaded network."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from impasto import api, files
from impasto.arguments import as_path, check_callable, of_type, path_of_image
from impasto.batches.grid import Combination, Grid, make_axis
from impasto.errors import (
    DivergedError,
    MissingError,
    OutputError,
    SettingError,
    UsageError,
    is_out_of_memory,
    printable,
)
from impasto.events import Noted, OnEvent, Saved
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.sources import ImageSource, StyleSource, some_styles
from impasto.jobs import runner
from impasto.jobs.claims import claimed
from impasto.jobs.compute import CHECKPOINT_SECONDS
from impasto.jobs.outputs import Outputs, checkpoint_path
from impasto.jobs.runner import ShouldStop
from impasto.optimize import checkpoint
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import settings_or_preset
from impasto.sweeps import sheet
from impasto.sweeps.results import (
    PLOT,
    TABLES,
    Result,
    ResultState,
    image_path,
    load_result,
    log_path,
    plot_losses,
    write_tables,
)
from impasto.sweeps.resume import check_files, check_resumable, is_finished, load_inputs, matching_recipe
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
    """Transfer the style of `styles` to `content` with every combination of the values in `grid`, into `folder`.

    Writes a PNG and a log per combination, results.csv, results.json, sheet.jpg, and losses.png if matplotlib is
    installed. A combination that diverges or is refused does not end the sweep: its result gives the reason.

    Args:
        content: the content image.
        styles: one or more style images, as for `impasto.stylize`.
        grid: names of settings, or "preset", -> their values; the first one varies slowest, down the sheet.
        folder: the output folder; created if it does not exist.
        settings: the settings that all combinations share; by default the preset "painterly".
        vgg: the network; by default `VGG19.load()`.
        on_event: called with each event of `impasto.events`.
        resume: keep finished results, and resume interrupted runs at their checkpoints.
        overwrite: use a folder that contains files, and replace those with the same names.

    Raises:
        SettingError: an unknown setting, or a value out of its range; nothing was started.
        OutputError: a folder that cannot be used; nothing was started.
        ImpastoError: one of its subclasses, see `impasto.errors`.
    """
    check_callable(on_event)
    of_type(grid, Mapping, "grid", "give a dict of settings and their values")  # type: ignore[type-abstract]
    axes = tuple(make_axis(name, values) for name, values in grid.items())
    job = Sweep(Grid(axes, settings_or_preset(settings)), as_path(folder, "folder"), resume=resume, overwrite=overwrite)
    style_list = some_styles(styles)
    job.check(_files(content, style_list))
    job.load(content, style_list, vgg)
    return job.run(on_event or (lambda _: None))


def _files(content: ImageSource, styles: Sequence[StyleSource]) -> list[Path]:
    """The files among the images."""
    sources = {"content": content} | {f"style {number}": style for number, style in enumerate(styles, 1)}
    return [path_of_image(each, role) for role, each in sources.items() if not isinstance(each, Picture | Style)]


@dataclass
class Sweep:
    """A sweep; call `check`, `load` and `run` in this order.

    Attributes:
        grid: the settings that vary, and those that do not.
        folder: the output folder; created if it does not exist.
        resume, overwrite: as for `sweep`.
        memory: memory limit of the process in bytes; by default the available memory.
        threads: of torch; by default torch's own number, or that of the checkpoint that is resumed.
        checkpoint_seconds: time between two checkpoints.
    """

    grid: Grid
    folder: Path
    resume: bool = False
    overwrite: bool = False
    memory: int | None = None
    threads: int | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def __post_init__(self) -> None:
        """Validate the settings of every combination, before any work is done."""
        self.combinations = self.grid.combinations()
        if any(combination.settings.method == "fast" for combination in self.combinations):
            raise SettingError(
                "method: got 'fast', but a sweep compares losses, which the one-pass method does not have; leave it out"
            )

    def check(self, inputs: Sequence[Path]) -> None:
        """Raise OutputError if the folder cannot be used, or if one of the `inputs` would be replaced."""
        where = printable(self.folder)
        if not os.path.isdir(self.folder):
            if os.path.lexists(self.folder):
                raise OutputError(f"{where}: is not a folder; give the name of a folder, or a name that is not in use")
            files.check_output(self.folder, overwrite=False)  # a folder can be created where a file could
            return
        if os.listdir(self.folder) and not (self.resume or self.overwrite):
            raise OutputError(
                f"{where}: contains files; choose another folder, resume its sweep (--resume), or replace them "
                "(--overwrite)"
            )
        check_files(self.folder, self.combinations, overwrite=self.overwrite, inputs=inputs)

    def load(self, content: ImageSource, styles: Sequence[StyleSource], vgg: VGG19 | None = None) -> None:
        """Read the images and the network.

        Raises:
            PictureError: a file that cannot be read as an image.
            OutputError: with `resume`, a result in the folder that belongs to another sweep.
        """
        inits = {combination.settings.init for combination in self.combinations}.difference(INITS)
        self.inputs = load_inputs(content, styles, inits, vgg, self.memory)
        if self.resume:
            check_resumable(self.folder, self.combinations, self.inputs)

    def run(self, on_event: OnEvent, should_stop: ShouldStop = lambda: False) -> list[Result]:
        """Run every combination that is not finished yet, until `should_stop` returns a true value.

        Raises:
            OutputError: the folder could not be created, or another sweep is writing to it.
            SaveError: an image or a table could not be written.
        """
        self._create_folder()
        with claimed([self.folder / TABLES[-1]]):
            return self._run(on_event, should_stop)

    def _run(self, on_event: OnEvent, should_stop: ShouldStop) -> list[Result]:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        threads = torch.get_num_threads()
        results = [self._initial_result(combination) for combination in self.combinations]
        write_tables(self.folder, results)  # from now on, they mark the folder as that of a sweep
        for index, combination in enumerate(self.combinations):
            if should_stop():
                break
            title = f"{index + 1} of {len(results)}: {combination.title}"
            if results[index].state == "done":
                on_event(Noted(f"{title} is already finished"))
                continue
            on_event(Noted(title))
            results[index] = self._result(combination, *self._run_combination(combination, on_event, should_stop))
            torch.set_num_threads(threads)
            write_tables(self.folder, results)
        self._save_summary(results, on_event)
        return results

    def _create_folder(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{printable(self.folder)}: cannot be created ({error.strerror}); choose another"
            ) from error

    def _initial_result(self, combination: Combination) -> Result:
        finished = self.resume and is_finished(self.folder, combination, self.inputs)
        return self._result(combination, "done") if finished else Result(combination)

    def _result(self, combination: Combination, state: ResultState, message: str = "") -> Result:
        recipe = matching_recipe(self.folder, combination, self.inputs)
        return load_result(self.folder, combination, state, recipe, message)

    def _run_combination(
        self, combination: Combination, on_event: OnEvent, should_stop: ShouldStop
    ) -> tuple[ResultState, str]:
        """Run a combination; return its state, and the reason if it failed."""
        state: ResultState = "done"
        message = ""
        try:
            self._execute(combination, on_event, should_stop)
            state = "stopped" if should_stop() else "done"
        except DivergedError as error:
            state, message = "diverged", str(error)
        except UsageError as error:
            state, message = "refused", str(error)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            state, message = "refused", "not enough memory for this size; give a smaller one"
        finally:
            devices.release_memory(self.inputs.vgg.device)
        if message:
            on_event(Noted(f"{state}: {message}"))
        return state, message

    def _execute(self, combination: Combination, on_event: OnEvent, should_stop: ShouldStop) -> None:
        path = image_path(self.folder, combination)
        saved_state = checkpoint_path(path)
        resumed = checkpoint.read(saved_state) if self.resume and saved_state.exists() else None
        if self.threads is None and resumed is not None:
            torch.set_num_threads(resumed.threads)  # the order of summation, and so the rounding, depends on it
        run = api.create_run(
            self.inputs.content,
            self.inputs.styles,
            combination.settings,
            init=self.inputs.inits.get(combination.settings.init),
            vgg=self.inputs.vgg if resumed is None else self.inputs.vgg.with_ncnn(resumed.ncnn),
            memory=self.memory,
            strips=None if resumed is None else resumed.strips,
        )
        log = log_path(self.folder, combination)
        found = (path, saved_state, log) if self.resume or self.overwrite else ()  # see `check_files`
        outputs = Outputs(path, saved_state, self.checkpoint_seconds, log=log, replaceable=found)
        runner.execute(run, outputs, on_event, should_stop, resumed)

    def _save_summary(self, results: list[Result], on_event: OnEvent) -> None:
        """Write the tables, the plot of the losses and the contact sheet."""
        write_tables(self.folder, results)
        saved = [self.folder / name for name in TABLES]
        try:
            saved += filter(None, [plot_losses(self.folder, results)])
        except MissingError as error:
            on_event(Noted(f"no {PLOT}: {error}"))
        saved.append(sheet.save_sheet(self.folder, self.grid, results))
        for path in saved:
            on_event(Saved(printable(path)))
