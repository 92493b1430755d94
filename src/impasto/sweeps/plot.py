"""Losses over steps, drawn on a log scale: one run term by term, or several beside each other."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import files
from impasto.errors import MissingError, OutputError, SaveError, printable
from impasto.jobs.log import TERMS, Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

FORMATS = (".png", ".svg", ".pdf")
PANEL = 6.4, 4.0
"""Inches of one panel, at 100 dots an inch."""
MOST_NAMES = 40
"""Runs that the legend names; of more, it would cover what it explains."""
LONGEST_NAME = 150
"""Letters of a run's name that fit into a line."""
MOST_MARKS = 12
"""Changes of scale that are labeled with their pixels."""
COLORS = "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive"
DASHES = "-", "--", ":", "-."

Runs = Mapping[str, Sequence[Entry]]
"""The steps of runs by the names that the legend gives them."""


@dataclass(frozen=True)
class Line:
    """A curve: steps, losses, what the legend calls it ("" for nothing), and how it is drawn."""

    steps: Sequence[int]
    losses: Sequence[float]
    name: str
    color: Any
    dash: str = "-"


def check_output(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work is done, a plot that could not be written.

    Raises:
        OutputError: a suffix that is not known, or as `files.check_output` says.
        MissingError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix names no format of plots; end it in {', '.join(FORMATS)}")
    files.check_output(path, overwrite=overwrite, inputs=inputs)
    check_installed()


def check_installed() -> None:
    """Refuse where there is no matplotlib.

    Raises:
        MissingError: saying how to install it.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingError("plots need matplotlib, which is not installed; `pip install 'impasto[plots]'`") from error


def save(runs: Runs, path: Path) -> None:
    """Draw the runs to `path`, in the format of its suffix, whole or not at all.

    Raises:
        MissingError: matplotlib is not installed.
        SaveError: it could not be written.
    """
    check_installed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font does not have
        figure = _figure(runs)
        try:
            with files.replacing(path) as file:
                figure.savefig(file, format=path.suffix[1:].lower(), dpi=100)
        except ValueError as error:
            raise SaveError(f"{printable(path)}: could not be drawn ({error}); nothing was saved") from error


def _figure(runs: Runs) -> "Figure":
    from matplotlib.figure import Figure

    panels = _panels(runs)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), start=1):
        _draw(figure.add_subplot(rows, columns, place), title, lines, runs)
    if len(runs) > 1:
        _name_runs(figure, runs)
    return figure


def _panels(runs: Runs) -> dict[str, list[Line]]:
    """What stands in each panel, by its title."""
    if len(runs) == 1:
        ((name, entries),) = runs.items()
        terms = [
            Line(_steps(entries), _term(entries, term), term, color)
            for term, color in zip(_terms(runs), ("black", *COLORS), strict=False)
        ]
        panels = {name: terms}
    else:
        panels = {
            term: [
                Line(_steps(entries), _term(entries, term), "", color)
                for entries, color in zip(runs.values(), _colors(runs), strict=True)
            ]
            for term in _terms(runs)
        }
    if layers := _layers(runs):
        panels["losses of the layers"] = layers
    return panels


def _terms(runs: Runs) -> list[str]:
    """The terms that are drawn: total variation only where it is looked at."""
    return [
        term
        for term in TERMS
        if term != "tv" or any(_term(entries, "tv").count(0) < len(entries) for entries in runs.values())
    ]


def _layers(runs: Runs) -> list[Line]:
    """A curve for every layer of every run: a color a layer, a dash a run."""
    found = {
        (term, layer): None
        for entries in runs.values()
        for term, values in entries[-1].layers.items()
        for layer in values
    }
    lines = []
    for number, (term, layer) in enumerate(found):
        for dash, entries in enumerate(runs.values()):
            told = [entry for entry in entries if layer in entry.layers.get(term, {})]
            losses = [entry.layers[term][layer] for entry in told]
            name = "" if dash else f"{term} {layer}"
            lines.append(Line(_steps(told), losses, name, COLORS[number % len(COLORS)], DASHES[dash % len(DASHES)]))
    return lines


def _draw(axes: "Axes", title: str, lines: Sequence[Line], runs: Runs) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(_plain(title), fontsize=11)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_formatter(_plain_numbers())
    axes.yaxis.set_minor_formatter(_plain_numbers())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    named = []
    for line in lines:
        alone = "." if len(line.steps) == 1 else ""
        (curve,) = axes.plot(line.steps, line.losses, color=line.color, ls=line.dash, marker=alone, lw=1.2)
        if line.name:
            named.append((curve, _plain(line.name)))
    _mark_scales(axes, runs)
    if named:
        curves, names = zip(*named, strict=True)
        axes.legend(curves, names, fontsize=8, loc="upper right")


def _plain_numbers() -> "LogFormatter":
    """Numbers as 0.3 and 2e+09; matplotlib's own are products with powers, or rounded until all are the same."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:.4g}" if super().__call__(x, pos) else ""

    return Plain(minor_thresholds=(2, 0.4))


def _mark_scales(axes: "Axes", runs: Runs) -> None:
    """A faint line where a run goes on at another scale, with the pixels of its long edge."""
    changes = {
        (after.step, after.scale)
        for entries in runs.values()
        for before, after in pairwise(entries)
        if after.scale != before.scale
    }
    for step, scale in sorted(changes):
        axes.axvline(step - 0.5, color="gray", lw=0.8, ls=":")
        if len(changes) <= MOST_MARKS:
            foot = axes.get_xaxis_transform()
            axes.text(step - 0.5, 0.02, f" {scale} px", transform=foot, fontsize=7, color="gray", rotation=90)


def _name_runs(figure: "Figure", runs: Runs) -> None:
    from matplotlib.lines import Line2D

    if len(runs) > MOST_NAMES:
        figure.suptitle(f"{len(runs)} runs, from the first (dark) to the last (light)", fontsize=11)
        return
    dashes = [DASHES[number % len(DASHES)] for number in range(len(runs))] if _layers(runs) else ["-"] * len(runs)
    lines = [Line2D([], [], color=color, ls=dash) for color, dash in zip(_colors(runs), dashes, strict=True)]
    names = [_plain(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...") for name in runs]
    fit_within = int(
        figure.get_size_inches()[0] / (0.6 + 0.07 * max(map(len, names)))
    )  # inches, at this size of letters
    columns = max(1, min(3, len(runs), fit_within))
    figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=8)


def _colors(runs: Runs) -> list[Any]:
    """A color a run: distinct ones for a few, else from dark to light."""
    from matplotlib import colormaps

    if len(runs) <= len(COLORS):
        return list(COLORS[: len(runs)])
    return [colormaps["viridis"](0.95 * number / (len(runs) - 1)) for number in range(len(runs))]


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is: dollars begin no formula, and an underscore in front hides nothing."""
    plain = printable(text).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def _steps(entries: Iterable[Entry]) -> list[int]:
    return [entry.step for entry in entries]


def _term(entries: Iterable[Entry], term: str) -> list[float]:
    return [entry.losses[term] for entry in entries]
