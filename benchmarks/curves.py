"""The records of `benchmarks.schedules` as a table and as curves of quality over multiplications.

`python -m benchmarks.curves FILE.jsonl --reference 128:150,256:150,512:150 --figure FILE.png`

Distances and losses are divided by those of the reference's result for the same pair, so that pairs can be averaged; 1
is as good as the reference. A schedule counts with the pairs that all of them have.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from benchmarks.plan import Row, Section
from benchmarks.report import table

QUANTITIES = {"style": "style distance", "content": "content distance", "loss": "loss"}
Snapshot = Mapping[str, float]
Records = dict[str, dict[str, list[Snapshot]]]
"""Schedule -> pair -> snapshots."""


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser("python -m benchmarks.curves", description="Compare schedules.")
    parser.add_argument("records", type=Path, help="JSON lines of benchmarks.schedules")
    parser.add_argument("--reference", required=True, help="the schedule that is 1")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    records: Records = {}
    for line in arguments.records.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        records.setdefault(record["schedule"], {})[record["pair"]] = record["snapshots"]
    reference = {pair: snapshots[-1] for pair, snapshots in records[arguments.reference].items()}
    print(table(Section("The last image of each run", _results(records))), end="\n\n")
    print(table(Section("Mean over the pairs, reference = 1", _averages(records, reference))))
    if arguments.figure is not None:
        _draw(records, reference, arguments.figure)


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


def _averages(records: Records, reference: Mapping[str, Snapshot]) -> list[Row]:
    """A row for each schedule: the mean over the pairs that it and the reference have."""
    rows: list[Row] = []
    for schedule, runs in records.items():
        ratios = [relative(runs[pair][-1], reference[pair]) for pair in runs if pair in reference]
        means = {name: mean(ratio[name] for ratio in ratios) for name in ("tflop", *QUANTITIES)}
        rows.append({"schedule": schedule, "pairs": str(len(ratios)), **means})
    return rows


def _draw(records: Records, reference: Mapping[str, Snapshot], path: Path) -> None:
    """A panel for each quantity, a curve for each schedule: the mean over the pairs, along the last scale."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, len(QUANTITIES)), QUANTITIES.items(), strict=True):
        for schedule, pairs in records.items():
            if pairs.keys() != reference.keys():
                continue
            steps = zip(*([relative(each, reference[pair]) for each in pairs[pair]] for pair in reference), strict=True)
            points = [(mean(each["tflop"] for each in step), mean(each[name] for each in step)) for step in steps]
            axes.plot(*zip(*points, strict=True), marker=".", label=schedule.replace(",", ", "))
        axes.axhline(1, color="0.6", linewidth=1, linestyle="dashed")
        axes.set(xscale="log", xlabel="multiplications, reference = 1", title=f"{label}, reference = 1")
        axes.set_xticks([0.1, 0.2, 0.33, 0.5, 1], ["1/10", "1/5", "1/3", "1/2", "1"], minor=False)
        axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
