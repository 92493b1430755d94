"""`impasto batch`: many content images, styles and settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.batches.backlog import Backlog, WatchedBacklog
from impasto.batches.batch import save_reports
from impasto.batches.grid import Combination, parse_axis
from impasto.batches.inputs import image_files, images_in
from impasto.batches.local import LocalExecutor
from impasto.batches.planner import Planner, combinations
from impasto.batches.report import TABLE
from impasto.batches.run import Batch, Before, check_folder
from impasto.cli.display import display
from impasto.cli.option_groups import MAIN, OUTPUT
from impasto.cli.run_options import CheckpointOptions, PresetName, options_class
from impasto.cli.settings_options import SettingsOptions, WholeNumber, given_settings, resolve
from impasto.cli.stop_signals import stop_signals
from impasto.cli.streams import PIPE
from impasto.cli.sweep import GridAxes
from impasto.errors import BatchError, OutputError, SettingError, UsageError, printable
from impasto.events import Noted
from impasto.settings.presets import preset

STOPPING = "stopping after this step, the images so far and checkpoints are saved; a second signal stops at once"


@options_class
@dataclass(frozen=True)
class BatchOptions(CheckpointOptions):
    """Options of a batch."""

    preset: PresetName = "painterly"
    workers: Annotated[
        WholeNumber | None,
        Parameter(help="Jobs at a time; default: one per GPU, or one per CPU core.", show_default=False),
    ] = None
    watch: Annotated[
        bool, Parameter(group=MAIN, help="CONTENT is a FOLDER: stylize every image that appears in it, until Ctrl-C.")
    ] = False
    format: Annotated[Literal["png", "jpg", "webp", "tiff"], Parameter(group=OUTPUT, help="Format of the results.")] = (
        "png"
    )


def batch(
    *content: Annotated[
        Path, Parameter(name="CONTENT...", help="Content images: files, folders, or patterns such as 'photos/*.jpg'.")
    ],
    style: Annotated[
        list[Path],
        Parameter(
            name="--style",
            metavar="STYLE",
            group=MAIN,
            help="A style image, a folder of them, or a pattern. Repeat for further styles: each is used on its own.",
            negative=(),
            consume_multiple=False,
        ),
    ],
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="FOLDER", help="FOLDER for all results.")],
    grid: GridAxes = None,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    options: BatchOptions = BatchOptions(),
) -> int:
    """Stylize every CONTENT with every STYLE, and every combination of the values in the grid, several at a time."""
    if not content:
        raise UsageError("CONTENT... is missing (see `impasto batch --help`)")
    if PIPE in (output, *content, *style):
        raise OutputError("-: a batch reads files and writes a folder of results; give their names")
    settled = _combinations(grid or [], settings, options)
    check_folder(output, resume=options.resume, overwrite=options.overwrite)
    before = Before(output, resume=options.resume)
    planner = Planner(image_files(style), settled, output, f".{options.format}")
    with display(as_json=options.json, quiet=options.quiet) as show, stop_signals(STOPPING) as received:
        backlog = _backlog(content, planner, before, watch=options.watch)
        jobs = None if options.watch else backlog.waiting
        executor = LocalExecutor(options.compute, options.workers, jobs=jobs, overwrite=options.overwrite)
        summary = Batch(backlog, output, before, planner.failures).run(executor, show, lambda: received)
        save_reports(output, summary, planner.per_content, show)
        for failure in summary.failures:
            show(Noted(f"failed: {failure}"))
    if received:
        return 128 + received[0]
    if summary.failures:
        count = len(backlog) + len(summary.unreadable)
        raise BatchError(f"{len(summary.failures)} of {count} jobs failed; see {printable(output / TABLE)}")
    return 0


def _backlog(content: Sequence[Path], planner: Planner, before: Before, *, watch: bool) -> Backlog:
    """The jobs of the content images.

    Raises:
        PictureError: an image that does not exist, or a folder or pattern without images.
        SettingError: there is nothing to watch.
    """
    if not watch:
        return Backlog(planner(image_files(content), before.names), before.is_finished)
    folders = [path for path in content if path.is_dir()]
    if len(folders) < len(content):
        other = next(path for path in content if path not in folders)
        raise SettingError(f"--watch: got {printable(other)!r}; give a FOLDER in which images appear")
    present = [image for folder in folders for image in images_in(folder)]
    return WatchedBacklog(planner(present, before.names), before.is_finished, folders, planner)


def _combinations(axes: Sequence[str], settings: SettingsOptions, options: BatchOptions) -> list[Combination]:
    """The settings of the jobs that one content image and one style have.

    Raises:
        SettingError: a value out of range.
    """
    base = preset(options.preset)
    resolved = resolve(settings, base)
    fixed = {name: getattr(resolved, name) for name in given_settings(settings)}
    return combinations([parse_axis(axis) for axis in axes], base, fixed)
