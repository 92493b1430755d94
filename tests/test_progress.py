"""The progress bar of the library, on a terminal, in a log and in a notebook."""

import builtins
import sys
import types
from dataclasses import dataclass, field
from typing import Any

import pytest

from impasto.events import Began, Ended, Event, Planned, Stepped
from impasto.progress import ProgressBar

SCALES = [
    {"width": 128, "height": 96, "steps": 2, "seconds": 1.0, "strip": None},
    {"width": 256, "height": 192, "steps": 1, "seconds": 3.0, "strip": None},
]


def happenings(steps: int = 3) -> list[Event]:
    losses = {"total": 1.5, "content": 0.5, "style": 1.0, "tv": 0.0, "grain": 0.0}
    return [
        Began("stylize", 256, 192, 3, "cpu", "float32", 1, "bundled"),
        Planned(SCALES, 10**9, 4.0),
        *(Stepped(step, 256 if step == 2 else 128, **losses, seconds=step + 1) for step in range(steps)),
        Ended(steps, 4.0, **losses, complete=steps == 3),
    ]


def test_the_planned_seconds_of_some_steps() -> None:
    plan = Planned(SCALES, 0, 4.0)
    assert [plan.seconds_of(steps) for steps in range(5)] == [0, 0.5, 1, 4, 4]
    assert Planned([], 0, 0).seconds_of(3) == 0


def test_a_log_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for event in happenings(2):
            bar(event)
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = (line for line in err.splitlines() if line.strip())
    assert "25%" in line  # of the planned seconds, after two of three steps
    assert "step 2/3, 128 pixels, loss 1.5" in " ".join(line.split())


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with ProgressBar() as bar:
        for event in happenings():
            bar(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err
    assert "\x1b[" in err


@dataclass
class Notebook:
    """What a notebook has displayed: the states of each output."""

    outputs: list[list[dict[str, str]]] = field(default_factory=list)

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw and display_id  # noqa: PT018
        states = [bundle]
        self.outputs.append(states)

        def update(bundle: dict[str, str], *, raw: bool) -> None:
            assert raw
            states.append(bundle)

        return types.SimpleNamespace(update=update)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """IPython as a notebook has it."""
    shell, module = type("ZMQInteractiveShell", (), {}), types.ModuleType("IPython.display")
    notebook = Notebook()
    module.display = notebook.display  # type: ignore[attr-defined]
    monkeypatch.setattr(builtins, "get_ipython", shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return notebook


def test_a_notebook_gets_one_output_that_is_updated(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for event in happenings():
            bar(event)
    (states,) = notebook.outputs
    assert states[0]["text/plain"].strip() == "0%"
    assert states[-1]["text/plain"] == "100% step 3/3, 256 pixels, loss 1.5"
    assert '<progress max="1" value="1.0000"></progress> 100% step 3/3' in states[-1]["text/html"]
    assert capsys.readouterr() == ("", "")


def test_an_error_leaves_the_last_state(notebook: Notebook) -> None:
    def stopped() -> None:
        with ProgressBar() as bar:
            for event in happenings(2):
                bar(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert notebook.outputs[0][-1]["text/plain"].startswith("25% step 2/3")
