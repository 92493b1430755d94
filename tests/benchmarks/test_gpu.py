"""The check of a GPU, on a CPU: that its rows compute something, and that one that fails does not stop the others."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from benchmarks.gpu import complete, correctness, speed
from benchmarks.gpu.__main__ import bench_on
from benchmarks.gpu.rows import FailedError, Report, Row, Section, SkippedError, Values


def failing(error: Exception) -> Callable[[float], Values]:
    def measure(_: float) -> Values:
        raise error

    return measure


def test_a_row_that_fails_is_reported_and_the_next_one_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report({"device": "abacus"}, tmp_path / "results.json")
    rows = [
        Row("good", lambda _: {"beads": 3, "rate": 0.123456}),
        Row("wrong", failing(FailedError("2 | 2 is 5"))),
        Row("absent", failing(SkippedError("no graphs"))),
        Row("broken", failing(ValueError("two\nlines"))),
        Row("last", lambda _: {}),
    ]
    report.open()
    report.measure(Section("some", 60, rows))
    report.measure(Section("late", 0, [Row("later", lambda _: {})]))
    results = [line.split(" | ")[:2] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [result for _, result in results] == [
        "device abacus",
        "beads 3; rate 0.1235",
        "FAILED: 2 / 2 is 5",
        "skipped: no graphs",
        "FAILED: ValueError: two lines",
        "",
        "left out: no time was left",
    ]
    assert report.failures == 3
    saved = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["status"] for row in saved] == ["ok", "FAILED", "skipped", "FAILED", "ok", "left out"]
    assert (saved[0]["beads"], "ValueError" in saved[3]["traceback"]) == (3, True)


@pytest.mark.weights
def test_the_rows_measure_a_cpu(tmp_path: Path) -> None:
    with bench_on(torch.device("cpu"), 32, tmp_path) as bench:
        assert correctness.gradient(bench, "float32", 9.0)["relative error"] < 1e-5
        assert correctness.gram(bench, "bfloat16", 9.0)["relative error"] < 2e-3
        assert complete.fast(bench, 32, 0.0)["seconds"] > 0
        assert (tmp_path / "fast-32.jpg").exists()
        with pytest.raises(SkippedError):
            speed.steps(bench, 32, "float32", "adam", True, 9.0)
