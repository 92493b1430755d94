"""The commands that look at several runs at once."""

import json as jsons
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.display import display
from impasto.cli.flags import AsJson, ImageArgument, SettingsFlags, StyleArgument, SweepFlags, given, resolve, share_of
from impasto.cli.report import print_table, say
from impasto.cli.work import signals
from impasto.errors import LogError, SettingError, SweepError, printable
from impasto.jobs.log import read_log
from impasto.settings.model import INITS
from impasto.settings.presets import DEFAULT, preset
from impasto.sweeps import plot as plots
from impasto.sweeps.grid import PRESET, Grid, parse_axis, prepared_grid

if TYPE_CHECKING:
    from impasto.sweeps.compare import Compared
    from impasto.sweeps.sweep import Sweep

LogFile = Annotated[Path, Parameter(help="FILE.jsonl that --log wrote.", negative=())]
Overwrite = Annotated[bool, Parameter(help="Replace a file that exists.", negative=())]


def sweep(
    photo: ImageArgument,
    painting: StyleArgument,
    /,
    *more: StyleArgument,
    grid: Annotated[
        list[str] | None,
        Parameter(help="NAME=VALUE,VALUE: a setting, or preset, and its values; once for each.", negative=()),
    ] = None,
    prepared: Annotated[str | None, Parameter(help="keras-study or figure-3, in place of --grid.")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="FOLDER for all that is made.")],
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: SweepFlags = SweepFlags(),  # noqa: B008
) -> int:
    """Paint PHOTO in the manner of PAINTING with every combination of the values in the grid, side by side."""
    chosen = _grid(grid or [], prepared, settings, how.preset)

    from impasto.sweeps.sweep import Sweep  # loads torch, after what can be refused without it

    study = Sweep(
        chosen,
        output,
        resume=how.resume,
        overwrite=how.overwrite,
        memory=how.memory,
        threads=how.threads,
        checkpoint_seconds=how.checkpoint_seconds,
    )
    _load(study, photo, [painting, *more], how)
    with display(as_json=how.json, quiet=how.quiet) as show, signals() as received:
        found = study.paint(show, lambda: received)
    if received:
        return 128 + received[0]
    if failed := sum(each.failed for each in found):
        raise SweepError(f"{failed} of {len(found)} combinations failed; {printable(output / 'results.csv')} says why")
    return 0


def _load(study: "Sweep", photo: Path, paintings: list[Path], how: SweepFlags) -> None:
    """Check all that can be checked without the network, then load it and the pictures."""
    inits = {each.settings.init for each in study.combinations}.difference(INITS)
    shares = [share_of(each) for each in paintings]
    inputs = (photo, *(path for path, _ in shares), *inits, how.preset, how.weights)
    study.check([Path(each) for each in inputs if each is not None])

    from impasto import VGG19, Style, load

    styles = [Style(load(path), weight) for path, weight in shares]
    study.load(photo, styles, VGG19.load(how.weights, device=how.device, precision=how.precision))


def _grid(texts: list[str], prepared: str | None, flags: SettingsFlags, name: str | None) -> Grid:
    """The grid that the flags ask for.

    Raises:
        SettingError: a value out of its range, or flags that contradict each other.
    """
    if bool(texts) == (prepared is not None):
        raise SettingError("sweep: give what to vary, either --grid NAME=VALUE,VALUE or --prepared NAME")
    if prepared is None:
        axes, base = tuple(map(parse_axis, texts)), preset(name or DEFAULT)
    else:
        axes, base = prepared_grid(prepared)
        base = base if name is None else preset(name)
    if name is not None and any(axis.name == PRESET for axis in axes):
        raise SettingError(f"--preset: got {name!r}, but the grid varies the preset; leave one of them out")
    resolved = resolve(flags, base)
    return Grid(axes, base, {each: getattr(resolved, each) for each in given(flags)})


def plot(
    log: LogFile,
    /,
    *more: LogFile,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Where to: .png, .svg or .pdf.")],
    overwrite: Overwrite = False,
) -> int:
    """Draw the losses in LOG over steps; those of several runs beside each other."""
    paths = [log, *more]
    plots.check_output(output, overwrite=overwrite, inputs=paths)
    real = [os.path.realpath(path) for path in paths]
    for place, path in enumerate(paths):
        if real[place] in real[:place]:
            raise LogError(f"{printable(path)}: is given twice; give each log once")
    names = [path.name for path in paths]
    told = names if len(set(names)) == len(names) else list(map(str, paths))
    plots.save({printable(name): read_log(path) for name, path in zip(told, paths, strict=True)}, output)
    say(f"saved {printable(output)}")
    return 0


def compare(
    first: ImageArgument,
    second: ImageArgument,
    /,
    *more: ImageArgument,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="A sheet of the pictures: .png, .jpg, .webp or .tiff.")
    ] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> int:
    """Print figures that compare SECOND, and MORE, with FIRST, and what differs between their recipes."""
    from impasto.images import contact_sheet
    from impasto.images.formats import check_suffix
    from impasto.sweeps import compare as pictures

    paths = [first, second, *more]
    if len(paths) > MOST:
        raise SettingError(f"compare: got {len(paths)} pictures; give {MOST} at most")
    if output is not None:
        check_suffix(output)
        files.check_output(output, overwrite=overwrite, inputs=paths)
    compared = pictures.compare(paths)
    if json:
        say(jsons.dumps([_facts(each) for each in compared], indent=2))
    else:
        _print(compared)
    if output is not None:
        contact_sheet.save(pictures.drawn(compared), output)
        if not json:
            say(f"saved {printable(output)}")
    return 0


MOST = 100
"""Pictures that are compared at once."""


def _facts(each: "Compared") -> dict[str, object]:
    like = each.likeness
    return {
        "name": each.name,
        "width": each.width,
        "height": each.height,
        "rms": like and like.rms,
        "psnr": like and (like.psnr if math.isfinite(like.psnr) else None),
        "correlation": like and like.correlation,
        "resized": like and like.resized,
        "recipe": None if each.recipe is None else each.recipe.model_dump(mode="json"),
    }


def _print(compared: "list[Compared]") -> None:
    """A column a picture, a row a figure; then what there is to note."""
    from impasto.sweeps.compare import differing, said

    likes = [each.likeness for each in compared]
    rows = [
        ["size", *(f"{each.width}x{each.height}" for each in compared)],
        ["RMS difference, of 255", *("" if like is None else f"{like.rms:.2f}" for like in likes)],
        ["PSNR in dB", *("" if like is None else f"{like.psnr:.2f}" for like in likes)],
        ["correlation", *("" if like is None else _correlation(like.correlation) for like in likes)],
    ]
    if all(each.recipe is not None for each in compared):
        losses = [each.recipe.loss if each.recipe else {} for each in compared]
        rows += [[f"loss: {term}", *(f"{loss.get(term, math.nan):.5g}" for loss in losses)] for term in losses[0]]
        rows += [[name, *map(said, values)] for name, values in differing(compared).items()]
    print_table(["", *(each.name for each in compared)], rows)
    for each in compared:
        for note in each.notes:
            say(f"note: {note if note.startswith(each.name) else f'{each.name}: {note}'}")


def _correlation(value: float | None) -> str:
    return "none: of a single level" if value is None else f"{value:.4f}"
