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


@pytest.fixture
def start(
    content_image: Path, style_image: Path, narrow_weights: Path
) -> Callable[..., multiprocessing.process.BaseProcess]:
    def start(folder: Path, *flags: str) -> multiprocessing.process.BaseProcess:
        folder.mkdir(exist_ok=True)
        size = ["--size", "48", "--first-scale", "24", "--steps", "8", "--threads", "1", "--device", "cpu"]
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
    for _ in range(2):  # the first one loads torch
        began = time.monotonic()
        start(tmp_path / "whole", *how, "--overwrite").join()
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
