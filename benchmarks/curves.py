"""The records of `benchmarks.schedules` as tables and as curves of quality over multiplications.

`python -m benchmarks.curves FILE.jsonl ... --figure FILE.png` prints two tables and draws a row of panels per file.

In the second table and in the panels, multiplications, distances and losses are divided by those of the reference, the
schedule with the most multiplications, for the same pair: pairs can be averaged, and 1 is as good as the reference.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.plan import Row, Section
from benchmarks.report import table

QUANTITIES = {"style": "style distance", "content": "content distance", "loss": "loss"}
Snapshot = Mapping[str, float]
Records = dict[str, dict[str, list[Snapshot]]]
"""Schedule -> pair -> snapshots."""


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser("python -m benchmarks.curves", description="Compare schedules.")
    parser.add_argument("records", type=Path, nargs="+", help="JSON lines of benchmarks.schedules")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    files = [_read(path) for path in arguments.records]
    for records in files:
        print(table(Section("The last image of each run", _results(records))), end="\n\n")
        print(table(Section("Mean over the pairs, reference = 1", _averages(records))), end="\n\n")
    if arguments.figure is not None:
        figure = Figure(figsize=(12, 4 * len(files)), layout="constrained")
        for row, records in zip(figure.subplots(len(files), len(QUANTITIES), squeeze=False), files, strict=True):
            _draw(row, records)
        figure.savefig(arguments.figure, dpi=100)


def _read(path: Path) -> Records:
    records: Records = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records.setdefault(record["schedule"], {})[record["pair"]] = record["snapshots"]
    return records


def _reference(records: Records) -> dict[str, Snapshot]:
    """Pair -> last snapshot, of the schedule with the most multiplications for a pair."""
    runs = max(records.values(), key=lambda runs: max(snapshots[-1]["tflop"] for snapshots in runs.values()))
    return {pair: snapshots[-1] for pair, snapshots in runs.items()}


def relative(snapshot: Snapshot, reference: Snapshot) -> dict[str, float]:
    """Work, distances and loss as multiples of the reference's."""
    return {name: snapshot[name] / reference[name] for name in ("tflop", *QUANTITIES)}


def _results(records: Records) -> list[Row]:
    """A row for each pair and schedule."""
    pairs = dict.fromkeys(pair for runs in records.values() for pair in runs)
    return [
        {"pair": pair, "schedule": schedule, **{name: runs[pair][-1][name] for name in ("tflop", *QUANTITIES)}}
        for pair in pairs
        for schedule, runs in records.items()
        if pair in runs
    ]


def _averages(records: Records) -> list[Row]:
    """A row for each schedule: the mean over the pairs that it and the reference have."""
    reference, rows = _reference(records), list[Row]()
    for schedule, runs in records.items():
        ratios = [relative(runs[pair][-1], reference[pair]) for pair in runs if pair in reference]
        means = {name: mean(ratio[name] for ratio in ratios) for name in ("tflop", *QUANTITIES)}
        rows.append({"schedule": schedule, "pairs": str(len(ratios)), **means})
    return rows


def _draw(panels: Sequence[Axes], records: Records) -> None:
    """A panel for each quantity, and in it a curve for each schedule that ran on all pairs of the reference.

    A curve is the mean over the pairs, along the last scale.
    """
    reference = _reference(records)
    complete = {schedule: runs for schedule, runs in records.items() if runs.keys() == reference.keys()}
    for axes, (name, label) in zip(panels, QUANTITIES.items(), strict=True):
        for schedule, runs in complete.items():
            common = set.intersection(*({int(each["steps"]) for each in snapshots} for snapshots in runs.values()))
            steps = [
                [relative(each, reference[pair]) for pair in reference for each in runs[pair] if each["steps"] == count]
                for count in sorted(common)
            ]
            points = [(mean(each["tflop"] for each in step), mean(each[name] for each in step)) for step in steps]
            axes.plot(*zip(*points, strict=True), marker=".", label=schedule.replace(",", ", "))
        axes.axhline(1, color="0.6", linewidth=1, linestyle="dashed")
        axes.set(xscale="log", xlabel="multiplications", title=label)
        axes.set_xticks([0.1, 0.2, 1 / 3, 0.5, 1], ["1/10", "1/5", "1/3", "1/2", "1"], minor=False)
        axes.xaxis.minorticks_off()
    panels[0].set_ylabel("reference = 1")
    panels[-1].legend(fontsize="small", title=f"{len(reference)} pairs")


if __name__ == "__main__":
    main()
