"""How events are shown."""

import sys

import pytest
from rich.console import Console

from impasto.cli.display import Bar, Lines, display, duration, plan_line, time_left
from impasto.events import Began, Ended, Noted, Planned, Saved, Stepped

BEGAN = Began("stylize", 32, 24, 2, "cpu", "float32", 1, "file")
PLANNED = Planned([{"width": 32, "height": 24, "steps": 2, "seconds": 10.0, "strip": 16}], 2 * 10**9, 10.0)
STEPS = [Stepped(step, 32, 1.0, 0.5, 0.25, 0.125, 0.0625, step + 1.0) for step in range(2)]
ENDED = Ended(1, 3725.0, 1.0, 0.5, 0.25, 0.125, 0.0625, False)
EVENTS = [BEGAN, PLANNED, Noted("[red]"), *STEPS, ENDED, Saved("[b]o.png")]


def test_a_terminal_gets_a_bar_and_lines_that_are_no_markup():
    console = Console(force_terminal=True, width=200, record=True)
    with Bar(console) as show:
        for event in EVENTS:
            show(event)
    text = console.export_text()
    assert "note: [red]\n" in text
    assert (
        "stopped after 1 steps in 1:02:05; loss of the output: 1 (content 0.5, style 0.25, tv 0.125, grain 0.0625)\n"
        in text
    )
    assert "saved [b]o.png\n" in text


def test_a_bar_shows_one_run_of_several_at_a_time():
    with Bar(Console(force_terminal=True, width=200, record=True)) as show:
        for event in (*EVENTS, *EVENTS):
            show(event)
        assert len(show.progress.tasks) == 1


def test_lines_tell_of_steps_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(Lines, "EVERY", 0.0)
    with display(as_json=False, quiet=False) as show:
        for event in EVENTS:
            show(event)
    steps = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert steps == [
        "step 1/2 at 32 pixels: loss 1 (content 0.5, style 0.25, tv 0.125, grain 0.0625), 0:01 left",
        "step 2/2 at 32 pixels: loss 1 (content 0.5, style 0.25, tv 0.125, grain 0.0625), 0:00 left",
    ]


def test_lines_are_silent_about_steps_that_follow_within_seconds(capsys):
    with display(as_json=False, quiet=False) as show:
        for event in EVENTS:
            show(event)
    assert [line.partition(" ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "stylize:",
        "plan:",
        "note:",
        "stopped",
        "saved",
    ]


def test_a_file_gets_no_bar_even_if_colors_are_asked_for(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(display(as_json=False, quiet=False), Lines)


@pytest.mark.parametrize("columns", [0, 1, 10**9])
def test_a_terminal_of_any_width_shows_what_happened(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with display(as_json=False, quiet=False) as show:
        for event in EVENTS:
            show(event)
    assert isinstance(show, Bar)
    assert "saved [b]o.png\n" in capsys.readouterr().err


def test_a_plan_is_told_in_a_line():
    assert plan_line(PLANNED) == "plan: scales of 32 pixels in strips of 16 rows; about 0:10 and 2.0 GB of memory"


def test_the_time_left_counts_what_large_scales_take():
    scales = [{"width": 9, "height": 9, "steps": 10, "seconds": seconds, "strip": None} for seconds in (5.0, 95.0)]
    plan = Planned(scales, 0, 100.0)
    for step, seconds, output in ((9, 10.0, "3:10 left"), (10, 14.5, "1:26 left"), (19, 100.0, "0:00 left")):
        assert time_left(Stepped(step, 9, 0, 0, 0, 0, 0, seconds), plan) == output


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")])
def test_durations_are_told_as_clocks_do(seconds, text):
    assert duration(seconds) == text
