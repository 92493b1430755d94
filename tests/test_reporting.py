"""On a GPU the losses of several steps are read at once; here a CPU is treated as one."""

import json
from pathlib import Path

import pytest

from impasto import VGG19, Run, Settings, events, load
from impasto.jobs import runner
from impasto.jobs.outputs import Outputs
from impasto.reporting import REPORT_INTERVAL, ReportedSteps

STEPS = REPORT_INTERVAL + 3


@pytest.fixture
def run(narrow: VGG19, content_image: Path, style_image: Path) -> Run:
    return Run(load(content_image), [load(style_image)], Settings(size=32, steps=STEPS), vgg=narrow)


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.vgg.device.is_synchronous", lambda _: False)


def stepped(reported: list[events.Event]) -> list[int]:
    return [event.step for event in reported if isinstance(event, events.Stepped)]


def test_a_cpu_reports_each_step_before_it_is_yielded(run: Run) -> None:
    reported: list[events.Event] = []
    for number, _ in enumerate(ReportedSteps(run, reported.append), start=1):
        assert stepped(reported) == list(range(number))


def test_a_gpu_reports_several_steps_together_and_all_of_them(on_gpu: None, run: Run) -> None:
    reported: list[events.Event] = []
    counts = [len(stepped(reported)) for _ in ReportedSteps(run, reported.append)]
    assert counts == [0] * (REPORT_INTERVAL - 1) + [REPORT_INTERVAL] * 4
    assert stepped(reported) == list(range(STEPS))
    losses = [event.total for event in reported if isinstance(event, events.Stepped)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) > REPORT_INTERVAL  # each has its own


def test_steps_that_are_left_early_are_reported(on_gpu: None, run: Run) -> None:
    reported: list[events.Event] = []
    for number, _ in enumerate(ReportedSteps(run, reported.append)):
        if number == 2:
            break
    assert stepped(reported) == [0, 1, 2]


def test_a_checkpoint_on_a_gpu_is_not_ahead_of_the_log(on_gpu: None, run: Run, tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "out.png", tmp_path / "c", checkpoint_seconds=0, log=tmp_path / "log.jsonl")
    assert outputs.log is not None
    lines: list[int] = []

    def should_stop() -> bool:  # asked after each step, before its checkpoint
        lines.append(len(outputs.log.read_text().splitlines()) if outputs.log.exists() else 0)
        return False

    runner.execute(run, outputs, lambda _: None, should_stop=should_stop)
    assert {1, 2, 3} <= set(lines)
    assert [json.loads(line)["step"] for line in outputs.log.read_text().splitlines()] == list(range(STEPS))
