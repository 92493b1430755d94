"""What the tests of batches share: plans over small files, and an executor with worker processes that load no torch."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.batches.backlog import Backlog
from impasto.batches.grid import Combination
from impasto.batches.local import LocalExecutor
from impasto.batches.plan import Plan
from impasto.batches.run import Batch, Before, Summary
from impasto.jobs.compute import Compute
from impasto.jobs.job import InputFile, StyleFile, file_hash
from impasto.settings.presets import preset

FAKE = (sys.executable, str(Path(__file__).parent / "fake_worker.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the results."""
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


@pytest.fixture
def plan(tmp_path: Path, folder: Path) -> Callable[..., Plan]:
    """A plan of jobs by their content images' stems, see `fake_worker`; each takes `seconds`."""

    def make(*stems: str, seconds: float = 0.0, **more: object) -> Plan:
        style = tmp_path / "style.png"
        style.write_bytes(b"style")
        contents = []
        for stem in stems:
            path = tmp_path / f"{stem}.png"
            path.write_bytes(stem.encode())
            contents.append(InputFile(path=str(path), sha256=file_hash(str(path))))
        styles = [(StyleFile(path=str(style), sha256=file_hash(str(style))),)]
        combinations = [Combination({}, preset().replace(strength=seconds))]
        return Plan(contents, styles, combinations, str(folder), **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def run(folder: Path) -> Callable[..., Summary]:
    """Run a plan with fake workers."""

    def start(plan: Plan, *, workers: int = 2, resume: bool = False, **how: object) -> Summary:
        before = Before(folder, resume=resume)
        backlog = Backlog(plan, before.is_finished)
        events, should_stop = how.get("events", []), how.get("should_stop", lambda: False)
        executor = LocalExecutor(Compute(device="cpu", memory=10**9), workers, command=FAKE)
        return Batch(backlog, folder, before).run(executor, events.append, should_stop)  # type: ignore[attr-defined, arg-type]

    return start
