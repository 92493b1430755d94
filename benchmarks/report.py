"""Results as tables on the terminal, as JSON, and as a chart."""

import dataclasses
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import impasto
from benchmarks.plan import Curve, Plan, Row, Section
from impasto.vgg.device import cpu_features

TIMED = ("step", "peers")
"""The sections whose seconds go into the bar chart."""


def machine() -> dict[str, object]:
    """The hardware and software that the results depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": list(cpu_features()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "impasto": impasto.__version__,
    }


def opening(plan: Plan) -> str:
    """The machine and the task in a few lines."""
    facts = machine()
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} threads, {' '.join(cpu_features())}\n"
        f"torch {facts['torch']}, impasto {facts['impasto']}\n"
        f"{plan.content.name} x {plan.style.name}, long edge of {plan.size} pixels"
    )


def table(section: Section) -> str:
    """A section as text: the first column aligned left, numbers aligned right."""
    columns = list(dict.fromkeys(column for row in section.rows for column in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in section.rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = [section.title]
    for row in cells if columns else []:
        texts = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *texts[1:]]).rstrip())
    return "\n  ".join([*lines, *section.notes])


def save(plan: Plan, sections: Mapping[str, Section]) -> None:
    """Write benchmarks.json, and benchmarks.png if there is something to draw."""
    plan.out.mkdir(parents=True, exist_ok=True)
    results = {name: dataclasses.asdict(section) for name, section in sections.items()}
    task = {**dataclasses.asdict(plan), "content": plan.content.name, "style": plan.style.name, "out": str(plan.out)}
    text = json.dumps({"machine": machine(), "task": task, "sections": results}, indent=2)
    (plan.out / "benchmarks.json").write_text(text + "\n", encoding="utf-8")
    _chart(sections, plan.out / "benchmarks.png")


def _chart(sections: Mapping[str, Section], path: Path) -> None:
    """Bars of seconds per step, and the loss over time, if they were measured."""
    rows = [row for name in TIMED if name in sections for row in sections[name].rows]
    curves = {name: curve for section in sections.values() for name, curve in section.curves.items()}
    count = bool(rows) + bool(curves)
    if not count:
        return
    figure = Figure(figsize=(8 * count, 5), layout="constrained")
    if rows:
        _draw_bars(figure.add_subplot(1, count, 1), rows)
    if curves:
        _draw_curves(figure.add_subplot(1, count, count), curves)
    figure.savefig(path, dpi=150)


def _draw_bars(axes: Axes, rows: Sequence[Row]) -> None:
    names, seconds = [str(row["variant"]) for row in rows], [float(row["seconds"] or 0) for row in rows]
    colors = ["C1" if name.startswith("impasto") else "0.8" if name.startswith("floor") else "C0" for name in names]
    bars = axes.barh(names, seconds, color=colors)
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set(title="Time of a step", xlabel="seconds")


def _draw_curves(axes: Axes, curves: Mapping[str, Curve]) -> None:
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), label=name)
    baseline = next(iter(curves.values()))
    axes.axhline(baseline[-1][1], color="0.6", linewidth=1, linestyle="dashed")
    axes.set(title="Loss of the saved image", xlabel="seconds", yscale="log")
    axes.legend()


def _cell(value: str | float | None) -> str:
    """A float with three digits, or as an integer from 100 on; anything else as text."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


def _cpu_model() -> str:
    """The name of the processor, or its architecture if the system does not report a name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
