"""Plots of losses over steps, on a log axis: the terms of one run, or several runs side by side."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import files
from impasto.arguments import as_path, as_path_list
from impasto.errors import LogError, MissingError, OutputError, SaveError, printable
from impasto.images.decoding.quiet import no_warnings
from impasto.jobs.log import TERMS, Entry, read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ".png", ".svg", ".pdf"
MAX_RUNS, MAX_LABEL, MAX_MARKS = 40, 150, 12  # in a legend: runs, and characters a line; labeled scale changes
LINE_STYLES = "-", "--", ":", "-."  # of runs, in the panel where colors are layers

Runs = Mapping[str, Sequence[Entry]]
"""Name in the legend -> the steps of a run, at least one."""


@dataclass(frozen=True)
class LossPlot:
    """The losses of runs over their steps.

    Attributes:
        runs: name in the legend -> the steps of the run.
    """

    runs: Runs

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Save the plot as .png, .svg or .pdf.

        Raises:
            OutputError: another suffix, or a file that cannot be written there.
            MissingError: matplotlib is not installed.
            SaveError: the plot could not be drawn, or the disk is full.
        """
        path = as_path(path, "path")
        check_output(path, overwrite=overwrite)
        save(self.runs, path, overwrite=overwrite)


def plot(logs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> LossPlot:
    """The losses in one or more logs, which the option `--log` or `impasto.sweep` wrote; `save` draws them.

    A single run is drawn with all of its loss terms, several runs side by side. A run is named after its file, with the
    folder if two files have the same name.

    Raises:
        LogError: no log, a file that is not a log or is damaged, or a log that is given twice.
    """
    paths = as_path_list(logs, "logs", LogError)
    if not paths:
        raise LogError("logs: got none; give one or more")
    real = [os.path.realpath(path) for path in paths]
    for index, path in enumerate(paths):
        if real[index] in real[:index]:
            raise LogError(f"{printable(path)}: is given twice; give each log once")
    names = [path.name for path in paths]
    labels = names if len(set(names)) == len(names) else list(map(str, paths))
    return LossPlot({printable(label): read_log(path) for label, path in zip(labels, paths, strict=True)})


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError or MissingError before any work is done if no plot could be written to `path`."""
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix names no plot format; use one of {', '.join(FORMATS)}")
    files.check_output(path, overwrite=overwrite, inputs=inputs)
    check_installed()


def check_installed() -> None:
    """Raise MissingError if matplotlib is not installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingError("plots need matplotlib, which is not installed; `pip install 'impasto[plots]'`") from error


def save(runs: Runs, path: Path, *, overwrite: bool = True) -> None:
    """Plot the runs to `path` in the format of its suffix, completely or not at all.

    Raises:
        MissingError: matplotlib is not installed.
        OutputError: there is a file of that name, and `overwrite` is false.
        SaveError: it could not be drawn or written.
    """
    check_installed()
    # warnings: characters that the font does not have, curves without a positive value
    with no_warnings(), files.replacing(path, overwrite=overwrite) as file:
        try:
            draw(runs).savefig(file, format=path.suffix[1:].lower())
        except ValueError as error:
            raise SaveError(f"{printable(path)}: could not be drawn ({error}); nothing was saved") from error


def draw(runs: Runs) -> "Figure":
    """A panel of all terms for a single run, a panel per term for several; for up to four, one of the layers, too."""
    from matplotlib.figure import Figure

    tables = [[_flatten(entry) for entry in run] for run in runs.values()]
    terms = [t for t in TERMS if t not in ("tv", "grain") or any(row[t] for table in tables for row in table)]
    layers = list(dict.fromkeys(key for table in tables for key in table[-1] if key not in TERMS))
    panels = [(term, [term]) for term in terms] if len(runs) > 1 else [(name, terms) for name in runs]
    panels += [("losses of the layers", layers)] if layers and len(runs) <= len(LINE_STYLES) else []
    rows, columns = -(-len(panels) // 2), min(len(panels), 2)
    figure = Figure(figsize=(6.4 * columns, 4 * rows), layout="constrained")
    styles = LINE_STYLES if panels[-1][1] == layers else ["-"]
    for place, (title, keys) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place, title=_label(title), xlabel="step", ylabel="loss")
        axes.set_prop_cycle(color=_colors(len(runs) if keys == [title] else len(keys)))
        axes.set_yscale("log", nonpositive="mask")
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
        axes.grid(alpha=0.25)
        for style, run, table in zip(cycle(styles), runs.values(), tables, strict=False):
            losses = [[row.get(key, math.nan) for key in keys] for row in table]
            axes.plot([entry.step for entry in run], losses, ls=style, lw=1.2, marker="." if len(run) == 1 else None)
        if keys != [title]:  # outside of the panel, where it covers no curve
            axes.legend(axes.lines[: len(keys)], map(_label, keys), fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
        _mark_scales(axes, runs)
    if len(runs) > MAX_RUNS:
        figure.suptitle(f"{len(runs)} runs, from the first (dark) to the last (light)")
    elif len(runs) > 1:
        names = list(map(_label, runs))
        fitting = min(3, max(1, MAX_LABEL // max(map(len, names))))
        figure.legend(figure.axes[0].lines[: len(runs)], names, fontsize=8, loc="outside lower center", ncols=fitting)
    return figure


def _flatten(entry: Entry) -> dict[str, float]:
    layers = {f"{term} {name}": loss for term, losses in entry.layers.items() for name, loss in losses.items()}
    return {**layers, **entry.losses}


def _colors(count: int) -> list[Any]:
    """The default colors for up to ten curves, otherwise from dark to light."""
    from matplotlib import colormaps

    if count <= 10:
        return list(colormaps["tab10"](range(count)))
    return [colormaps["viridis"](0.95 * number / (count - 1)) for number in range(count)]


def _mark_scales(axes: "Axes", runs: Runs) -> None:
    """Draw a dotted line where a run changes to another scale, with the long edge of the image in pixels."""
    pairs = [pair for run in runs.values() for pair in pairwise(run)]
    changes = {(after.step - 0.5, after.scale) for before, after in pairs if after.scale != before.scale}
    for step, scale in sorted(changes):
        axes.axvline(step, color="gray", lw=0.8, ls=":")
        if len(changes) <= MAX_MARKS:
            foot = axes.get_xaxis_transform()  # x in steps, y in heights of the panel
            axes.text(step, 0.02, f" {scale} px", transform=foot, fontsize=7, color="gray", rotation=90)


def _label(text: str) -> str:
    """Text that matplotlib draws as it is: no formula between "$", nothing hidden by a leading "_", not too long."""
    text = printable(text if len(text) <= MAX_LABEL else f"{text[:MAX_LABEL]}...").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
