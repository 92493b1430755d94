"""`impasto batch`: many content images, styles and settings."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from impasto.batches.backlog import Backlog, WatchedBacklog
from impasto.batches.batch import manifest_folder, save_reports
from impasto.batches.grid import Combination, parse_axis
from impasto.batches.inputs import image_files, images_in
from impasto.batches.planner import Planner, combinations
from impasto.batches.report import TABLE
from impasto.batches.run import Batch, Before, Summary, check_folder
from impasto.cli.cluster_options import ClusterOptions
from impasto.cli.display import display
from impasto.cli.option_groups import MAIN, OUTPUT
from impasto.cli.run_options import PresetName, options_class
from impasto.cli.settings_options import SettingsOptions, given_settings, resolve
from impasto.cli.stop_signals import stop_signals
from impasto.cli.streams import PIPE
from impasto.cli.sweep import GridAxes
from impasto.errors import BatchError, OutputError, SettingError, UsageError, printable
from impasto.events import Noted
from impasto.settings.presets import preset
from impasto.storage import Place, place

STOPPING = "stopping after this step, the images so far and checkpoints are saved; a second signal stops at once"


@options_class
@dataclass(frozen=True)
class BatchOptions(ClusterOptions):
    """Options of a batch."""

    preset: PresetName = "painterly"
    manifest: Annotated[
        Path | None,
        Parameter(group=OUTPUT, metavar="FOLDER", help="FOLDER of the manifest and the table, if --output is a URI."),
    ] = None
    watch: Annotated[
        bool, Parameter(group=MAIN, help="CONTENT is a FOLDER: stylize every image that appears in it, until Ctrl-C.")
    ] = False
    format: Annotated[Literal["png", "jpg", "webp", "tiff"], Parameter(group=OUTPUT, help="Format of the results.")] = (
        "png"
    )


def batch(
    *content: Annotated[
        str,
        Parameter(
            name="CONTENT...", help="Content images: files, folders, or patterns such as 'photos/*.jpg'; also as URIs."
        ),
    ],
    style: Annotated[
        list[str],
        Parameter(
            name="--style",
            metavar="STYLE",
            group=MAIN,
            help="A style image, a folder of them, or a pattern. Repeat for further styles: each is used on its own.",
            negative=(),
            consume_multiple=False,
        ),
    ],
    output: Annotated[str, Parameter(name=["--output", "-o"], metavar="FOLDER", help="FOLDER or URI for all results.")],
    grid: GridAxes = None,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    options: BatchOptions = BatchOptions(),
) -> int:
    """Stylize every CONTENT with every STYLE, and every combination of the values in the grid, several at a time."""
    contents, styles, results = list(map(place, content)), list(map(place, style)), place(output)
    _check_places(contents, styles, results, watch=options.watch)
    settled = _combinations(grid or [], settings, options)
    folder = manifest_folder(results, options.manifest)
    check_folder(folder, resume=options.resume, overwrite=options.overwrite)
    before = Before(folder, resume=options.resume, results=results)
    planner = Planner(image_files(styles), settled, results, f".{options.format}")
    with display(as_json=options.json, quiet=options.quiet) as show, stop_signals(STOPPING) as received:
        backlog = _backlog(contents, planner, before, watch=options.watch)
        # what a cluster's package prints must not get between the lines of --json
        with contextlib.redirect_stdout(sys.stderr):
            executor = options.create_executor(folder, None if options.watch else backlog.waiting)
            summary = Batch(backlog, folder, before, planner.failures).run(executor, show, lambda: received)
        save_reports(folder, summary, planner.per_content, show, with_sheet=folder == results)
        for failure in summary.failures:
            show(Noted(f"failed: {failure}"))
    if received:
        return 128 + received[0]
    _check_failures(summary, len(backlog), folder)
    return 0


def _check_failures(summary: Summary, jobs: int, folder: Path) -> None:
    """Raise BatchError if a job failed or an input could not be read."""
    if count := len(summary.failures):
        total = jobs + len(summary.unreadable)
        raise BatchError(f"{count} of {total} jobs failed; see {printable(folder / TABLE)}")


def _check_places(contents: Sequence[Place], styles: Sequence[Place], results: Place, *, watch: bool) -> None:
    """Refuse what cannot be read or written by a batch.

    Raises:
        UsageError: no content image, a pipe, or results in a watched folder.
    """
    if not contents:
        raise UsageError("CONTENT... is missing (see `impasto batch --help`)")
    if PIPE in (results, *contents, *styles):
        raise OutputError("-: a batch reads files and writes a folder of results; give their names")
    if watch and any(isinstance(each, Path) and each.resolve() == Path(results).resolve() for each in contents):
        raise OutputError(f"{printable(results)}: is a watched folder; give another output folder")


def _backlog(content: Sequence[Place], planner: Planner, before: Before, *, watch: bool) -> Backlog:
    """The jobs of the content images.

    Raises:
        PictureError: an image that does not exist, or a folder or pattern without images.
        SettingError: there is nothing to watch.
    """
    if not watch:
        return Backlog(planner(image_files(content), before.names), before.is_finished)
    folders = [path for path in content if isinstance(path, Path) and path.is_dir()]
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
