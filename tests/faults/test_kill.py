"""A run that is killed at any moment, even while writing, and resumed gives the same bytes as an uninterrupted one."""

import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.cli import main

KILLS = 20
CONTEXT = multiprocessing.get_context("forkserver")  # a process that has loaded torch once, and forks
CONTEXT.set_forkserver_preload(["impasto.api", "impasto.optimize.checkpoint", "impasto.cli.app"])


def command(arguments: list[str]) -> None:
    """Run the command in a process of its own."""
    sys.exit(main(arguments))


@pytest.fixture(scope="module")
def _loaded() -> None:
    """Torch is loaded: a run takes as long as any other."""
    process = CONTEXT.Process(target=command, args=(["presets"],))
    process.start()
    process.join()


@pytest.fixture
def start(
    _loaded: None, content_image: Path, style_image: Path, narrow_weights: Path
) -> Callable[..., multiprocessing.process.BaseProcess]:
    def start(folder: Path, *flags: str, steps: int = 8) -> multiprocessing.process.BaseProcess:
        folder.mkdir(exist_ok=True)
        size = ["--size", "48", "--first-scale", "24", "--steps", str(steps), "--threads", "1", "--device", "cpu"]
        keep = ["--checkpoint-every", "0s", "--weights", str(narrow_weights), "--quiet"]
        files = [str(content_image), str(style_image), "-o", str(folder / "out.png")]
        process = CONTEXT.Process(target=command, args=(["stylize", *files, *size, *keep, *flags],))
        process.start()
        return process

    return start


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_run_is_resumed_to_the_same_bytes(precision: str, optimizer: str, start, tmp_path: Path) -> None:
    how = "--precision", precision, "--optimizer", optimizer
    began = time.monotonic()
    start(tmp_path / "whole", *how).join()
    seconds = time.monotonic() - began
    expected = (tmp_path / "whole" / "out.png").read_bytes()
    moments = random.Random(precision + optimizer)
    resumed = 0
    for number in range(KILLS // 4):
        folder = tmp_path / str(number)
        process = start(folder, *how)
        while number == 0 and process.is_alive() and not (folder / "out.png.checkpoint").exists():
            time.sleep(0.001)  # at least one is killed when there is a checkpoint
        time.sleep(moments.uniform(0, seconds) if number else 0)
        process.kill()
        process.join()
        resumed += (folder / "out.png.checkpoint").exists()
        again = start(folder, *how, "--resume", "--overwrite")
        again.join()
        assert again.exitcode == 0
        assert (folder / "out.png").read_bytes() == expected
        assert [path.name for path in folder.iterdir() if not path.name.startswith(".impasto-")] == ["out.png"]
    assert resumed


def test_of_runs_with_the_same_output_one_succeeds_and_the_others_are_refused(start, tmp_path: Path) -> None:
    processes = [start(tmp_path / "runs", "--seed", str(seed)) for seed in range(4)]
    for process in processes:
        process.join()
    assert sorted(process.exitcode for process in processes) == [0, 2, 2, 2]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["out.png"]


def test_a_run_is_not_resumed_while_it_is_alive(start, tmp_path: Path) -> None:
    folder, first = tmp_path / "run", start(tmp_path / "run", steps=100_000)
    while first.is_alive() and not (folder / "out.png.checkpoint").exists():
        time.sleep(0.01)
    second = start(folder, "--resume", "--overwrite", steps=100_000)
    second.join()
    assert second.exitcode == 2
    assert first.is_alive()
    first.kill()
    first.join()
    third = start(folder, "--overwrite")  # the claim ended with the process
    third.join()
    assert third.exitcode == 0
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".impasto-")] == ["out.png"]
