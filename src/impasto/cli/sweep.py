"""`impasto sweep`: runs with every combination of some settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.batches.grid import PRESET, Grid, parse_axis, prepared_grid
from impasto.batches.local import LocalExecutor
from impasto.cli.display import display
from impasto.cli.image_options import ContentArgument, MoreStyles, StyleArgument, split_weight
from impasto.cli.option_groups import MAIN
from impasto.cli.run_options import CheckpointOptions, options_class
from impasto.cli.settings_options import SettingsOptions, WholeNumber, given_settings, resolve
from impasto.cli.stop_signals import stop_signals
from impasto.cli.streams import PIPE, piped
from impasto.errors import OutputError, SettingError, SweepError, printable
from impasto.settings.model import INITS
from impasto.settings.presets import DEFAULT, preset

if TYPE_CHECKING:
    from impasto.sweeps.sweep import Sweep


@options_class
@dataclass(frozen=True)
class SweepOptions(CheckpointOptions):
    """Options of a sweep."""

    workers: Annotated[WholeNumber, Parameter(help="Combinations that run at a time, each in a process.")] = 1
    preset: Annotated[
        str | None,
        Parameter(
            metavar="PRESET",
            group=MAIN,
            help="Values of all settings that are neither given nor in the grid: NAME (see `impasto presets`) or "
            "FILE.toml; default: painterly, or that of --prepared.",
        ),
    ] = None


GridAxes = Annotated[
    list[str] | None,
    Parameter(
        metavar="NAME=VALUE,VALUE",
        help="A setting, or preset, and its values. Repeat for further settings.",
        negative=(),
        show_default=False,
    ),
]


def sweep(
    content: ContentArgument,
    style: StyleArgument,
    /,
    *more_styles: MoreStyles,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="FOLDER", help="FOLDER for all results.")],
    grid: GridAxes = None,
    prepared: Annotated[
        str | None, Parameter(metavar="NAME", help="keras-study or figure-3, instead of --grid.", show_default=False)
    ] = None,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    options: SweepOptions = SweepOptions(),
) -> int:
    """Stylize CONTENT with every combination of the values in the grid; the results in a contact sheet and tables."""
    if output == PIPE:
        raise OutputError("-: a sweep writes a folder of results; give its name")
    resolved_grid = _grid(grid or [], prepared, settings, options.preset)

    from impasto.sweeps.sweep import Sweep  # loads torch, after what can be refused without it

    runs = Sweep(
        resolved_grid,
        output,
        resume=options.resume,
        overwrite=options.overwrite,
        memory=options.memory,
        threads=options.threads,
        checkpoint_seconds=options.checkpoint_seconds,
    )
    weighted = [split_weight(path) for path in (style, *more_styles)]
    with piped([content, *(path for path, _ in weighted)], None) as (inputs, _):
        _load(runs, inputs, [weight for _, weight in weighted], options)
        executor = _executor(len(runs.combinations), options)
        with display(as_json=options.json, quiet=options.quiet) as show, stop_signals() as received:
            results = runs.run(show, lambda: received, executor)
    if received:
        return 128 + received[0]
    if failed := sum(result.failed for result in results):
        raise SweepError(f"{failed} of {len(results)} combinations failed; see {printable(output / 'results.csv')}")
    return 0


def _executor(jobs: int, options: SweepOptions) -> LocalExecutor | None:
    """What runs the combinations; None: this process."""
    if options.workers == 1:
        return None
    return LocalExecutor(options.compute, options.workers, jobs=jobs, overwrite=options.overwrite)


def _load(runs: "Sweep", images: list[Path], weights: list[float], options: SweepOptions) -> None:
    """Validate everything that does not need the network, then load the images and the network."""
    inits = {combination.settings.init for combination in runs.combinations}.difference(INITS)
    inputs = (*images, *inits, options.preset, options.weights)
    runs.check([Path(path) for path in inputs if path is not None])

    from impasto import Style, load

    content, *styles = map(load, images)
    loaded = [Style(style, weight) for style, weight in zip(styles, weights, strict=True)]
    paths = {picture.sha256: str(path) for picture, path in zip((content, *styles), images, strict=True)}
    runs.load(content, loaded, options.compute.load_network(), paths)


def _grid(axes_given: list[str], prepared: str | None, options: SettingsOptions, preset_name: str | None) -> Grid:
    """The grid that the options ask for.

    Raises:
        SettingError: a value out of range, or options that contradict each other.
    """
    if bool(axes_given) == (prepared is not None):
        raise SettingError("sweep: give what to vary, either --grid NAME=VALUE,VALUE or --prepared NAME")
    if prepared is None:
        axes, base = tuple(map(parse_axis, axes_given)), preset(preset_name or DEFAULT)
    else:
        axes, base = prepared_grid(prepared)
        base = base if preset_name is None else preset(preset_name)
    if preset_name is not None and any(axis.name == PRESET for axis in axes):
        raise SettingError(f"--preset: got {preset_name!r}, but the grid varies the preset; leave one of them out")
    resolved = resolve(options, base)
    return Grid(axes, base, {name: getattr(resolved, name) for name in given_settings(options)})
