"""Results of a sweep: where they are saved, their table as CSV and JSON, and a plot of their losses."""

import contextlib
import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from impasto import files
from impasto.batches.grid import PRESET, Combination
from impasto.errors import LogError
from impasto.images.recipe import Recipe
from impasto.jobs.log import TERMS, Entry, read_log
from impasto.sweeps import plot
from impasto.version import __version__

TABLES = "results.csv", "results.json"
PLOT = "losses.png"
MAX_POINTS = 1000
"""Steps of a run that are plotted."""

ResultState = Literal["waiting", "done", "stopped", "diverged", "refused"]


@dataclass(frozen=True)
class Result:
    """The result of a combination.

    Attributes:
        state: waiting: not started; stopped: by the user, can be resumed; diverged, refused: `message` says why.
        seconds: time of its steps; None if unknown.
        loss: of the image as saved, by term; empty if there is no image.
    """

    combination: Combination
    state: ResultState = "waiting"
    steps_done: int = 0
    seconds: float | None = None
    loss: Mapping[str, float] = field(default_factory=dict)
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self.state in {"diverged", "refused"}


def image_path(folder: Path, combination: Combination) -> Path:
    """The file of a combination's image."""
    return folder / f"{combination.stem}.png"


def log_path(folder: Path, combination: Combination) -> Path:
    """The file of the losses of a combination's steps."""
    return folder / f"{combination.stem}.jsonl"


def is_sweep_folder(folder: Path) -> bool:
    """Whether a sweep has written its tables to the folder; `results.json` may be any file."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        document = json.loads((folder / TABLES[-1]).read_bytes())
        return isinstance(document, dict) and document.keys() >= {"impasto", "results"}
    return False


def load_result(
    folder: Path, combination: Combination, state: ResultState, recipe: Recipe | None, message: str
) -> Result:
    """A result with the steps and losses from the recipe of its image, and the time from its log."""
    result = Result(combination, state, message=message)
    if recipe is not None:
        result = dataclasses.replace(result, steps_done=recipe.steps_done, loss=recipe.loss)
    if state != "refused":
        with contextlib.suppress(LogError):  # diverged at the first step, or the log was removed
            seconds = read_log(log_path(folder, combination))[-1].seconds
            result = dataclasses.replace(result, seconds=seconds)
    return result


def write_tables(folder: Path, results: Sequence[Result]) -> None:
    """Write results.csv and results.json, each atomically.

    Raises:
        SaveError: they could not be written.
    """
    text = io.StringIO()
    columns = ["picture", *results[0].combination.labels, "state", "steps_done", "seconds", *TERMS, "message"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    rows = list(map(_as_row, results))
    writer.writerows(
        {**row, **row["loss"], **result.combination.labels} for row, result in zip(rows, results, strict=True)
    )
    document = json.dumps({"impasto": __version__, "results": rows}, indent=2)
    for name, content in zip(TABLES, (text.getvalue(), document), strict=True):
        with files.replacing(folder / name) as file:
            file.write(content.encode())


def plot_losses(folder: Path, results: Sequence[Result]) -> Path | None:
    """Plot the losses of all combinations that have a log; return the file, None if there is nothing to plot.

    Raises:
        MissingError: matplotlib is not installed.
        SaveError: it could not be written.
    """
    runs = {}
    for result in results:
        if result.steps_done or result.seconds is not None:
            with contextlib.suppress(LogError):  # the others are plotted without it
                runs[result.combination.title] = _subsample(read_log(log_path(folder, result.combination)))
    if not runs:
        return None
    plot.save(runs, folder / PLOT)
    return folder / PLOT


def _as_row(result: Result) -> dict[str, Any]:
    settings, labels = result.combination.settings, result.combination.labels
    return {
        "picture": f"{result.combination.stem}.png" if result.loss else None,
        "settings": {name: label if name == PRESET else getattr(settings, name) for name, label in labels.items()},
        "state": result.state,
        "steps_done": result.steps_done,
        "seconds": result.seconds,
        "loss": dict(result.loss),
        "message": result.message,
    }


def _subsample(entries: Sequence[Entry]) -> Sequence[Entry]:
    """At most about `MAX_POINTS` entries with the last one, so that many long runs fit into memory."""
    every = -(-len(entries) // MAX_POINTS)
    return [*entries[:-1:every], entries[-1]]
