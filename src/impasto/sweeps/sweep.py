"""A sweep: every combination of a grid's settings, run one after the other into a folder, with one loaded network."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.arguments import as_path, check_callable, is_path, of_type
from impasto.batches.executor import Executor
from impasto.batches.grid import Combination, Grid, make_axis
from impasto.batches.inline import InlineExecutor
from impasto.batches.run import check_folder, create_folder
from impasto.errors import DivergedError, MissingError, SettingError, printable
from impasto.events import Noted, OnEvent, Saved
from impasto.images.sources import ImageSource, StyleSource, some_styles
from impasto.jobs.claims import claimed
from impasto.jobs.compute import CHECKPOINT_SECONDS, Compute
from impasto.jobs.job import Job, JobOutputs
from impasto.jobs.own_files import own_recipe
from impasto.jobs.result import JobResult
from impasto.jobs.runner import ShouldStop
from impasto.jobs.worker import Worker
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
from impasto.sweeps.resume import check_files, check_resumable, is_finished, load_inputs
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
    return [Path(each) for each in (content, *styles) if is_path(each)]


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
        check_folder(self.folder, resume=self.resume, overwrite=self.overwrite)
        if os.path.isdir(self.folder):
            check_files(self.folder, self.combinations, overwrite=self.overwrite, inputs=inputs)

    def load(
        self,
        content: ImageSource,
        styles: Sequence[StyleSource],
        vgg: VGG19 | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        """Read the images and the network.

        Args:
            paths: the files of images that are read already, by their hashes; worker processes need them.

        Raises:
            PictureError: a file that cannot be read as an image.
            OutputError: with `resume`, a result in the folder that belongs to another sweep.
        """
        inits = {combination.settings.init for combination in self.combinations}.difference(INITS)
        self.inputs = load_inputs(content, styles, inits, vgg, memory=self.memory, paths=paths)
        if self.resume:
            check_resumable(self.folder, self.combinations, self.inputs)

    def run(
        self, on_event: OnEvent, should_stop: ShouldStop = lambda: False, executor: Executor | None = None
    ) -> list[Result]:
        """Run every combination that is not finished yet, until `should_stop` returns a true value.

        Args:
            executor: runs the jobs; by default this process.

        Raises:
            OutputError: the folder could not be created, or another sweep is writing to it.
            SaveError: a table could not be written.
        """
        create_folder(self.folder)
        with claimed([self.folder / TABLES[-1]]):
            return self._run(on_event, should_stop, executor or self._inline_executor())

    def _run(self, on_event: OnEvent, should_stop: ShouldStop, executor: Executor) -> list[Result]:
        jobs = [self._job(combination) for combination in self.combinations]
        results = [self._initial_result(*each) for each in zip(self.combinations, jobs, strict=True)]
        write_tables(self.folder, results)  # from now on, they mark the folder as that of a sweep
        waiting = _Waiting(jobs, results, on_event)
        for ended in executor.run(waiting, on_event, should_stop):
            index = waiting.indexes[ended.output]
            results[index] = self._result(self.combinations[index], jobs[index], _state(ended), ended.message)
            if ended.state == "failed":
                on_event(Noted(f"{results[index].state}: {ended.message}"))
            write_tables(self.folder, results)
        self._save_summary(results, on_event)
        return results

    def _inline_executor(self) -> InlineExecutor:
        inputs = self.inputs
        compute = Compute(threads=self.threads, memory=self.memory, checkpoint_seconds=self.checkpoint_seconds)
        return InlineExecutor(Worker(compute, inputs.pictures, inputs.vgg), overwrite=self.overwrite)

    def _job(self, combination: Combination) -> Job:
        """The job of a combination."""
        inputs, settings = self.inputs, combination.settings
        init = inputs.inits.get(settings.init)
        return Job(
            task="stylize" if inputs.styles else "reconstruct",
            content=inputs.file(inputs.content),
            styles=tuple(map(inputs.style_file, inputs.styles)),
            init=None if init is None else inputs.file(init),
            settings=settings,
            outputs=JobOutputs(
                result=str(image_path(self.folder, combination)), log=str(log_path(self.folder, combination))
            ),
        )

    def _initial_result(self, combination: Combination, job: Job) -> Result:
        finished = self.resume and is_finished(job)
        return self._result(combination, job, "done") if finished else Result(combination)

    def _result(self, combination: Combination, job: Job, state: ResultState, message: str = "") -> Result:
        recipe = own_recipe(job, Path(job.outputs.result))
        return load_result(self.folder, combination, state, recipe, message)

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


class _Waiting:
    """The jobs that are not done, as an executor takes them; each is announced."""

    def __init__(self, jobs: Sequence[Job], results: Sequence[Result], on_event: OnEvent) -> None:
        self.indexes = {job.outputs.result: index for index, job in enumerate(jobs)}
        self._jobs, self._results, self._on_event, self._next = jobs, results, on_event, 0

    def take(self) -> Job | None:
        """The next job; None if there is none."""
        while self._next < len(self._jobs):
            index, self._next = self._next, self._next + 1
            title = f"{index + 1} of {len(self._jobs)}: {self._results[index].combination.title}"
            if self._results[index].state != "done":
                self._on_event(Noted(title))
                return self._jobs[index]
            self._on_event(Noted(f"{title} is already finished"))
        return None

    @property
    def is_closed(self) -> bool:
        """Whether all have been taken."""
        return self._next == len(self._jobs)


def _state(ended: JobResult) -> ResultState:
    if ended.state != "failed":
        return ended.state
    return "diverged" if ended.error == DivergedError.__name__ else "refused"
