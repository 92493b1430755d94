"""What the tests of the command share: it is run as a user would, mostly in this process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a command: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    def complaint(self, status: int = 2) -> str:
        """The one line that says why the command did not do it."""
        assert (self.status, self.out) == (status, "")
        assert self.err.startswith("impasto: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("impasto: ").rstrip()


Command = Callable[..., Outcome]
Process = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """A narrow network is faster on one thread; and `rerun` sets their number for the whole process."""


@pytest.fixture
def impasto(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(each) for each in arguments])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The default output of `run_small`."""
    return tmp_path / "out.png"


@pytest.fixture
def small(narrow_weights: Path) -> dict[str, object]:
    """Flags of a run that takes milliseconds."""
    running = {"--device": "cpu", "--precision": "float32", "--weights": narrow_weights}
    return {"--size": 32, "--steps": 3, **running}


@pytest.fixture
def run_small(impasto: Command, small: dict[str, object], out: Path) -> Command:
    """Run a command at a small size, with `out` as output, unless its arguments say otherwise."""

    def run(*arguments: object) -> Outcome:
        flags = {name: value for name, value in {"-o": out, **small}.items() if name not in arguments}
        return impasto(*arguments[:1], *(word for flag in flags.items() for word in flag), *arguments[1:])

    return run


@pytest.fixture
def stylize(run_small: Command, content_image: Path, style_image: Path) -> Command:
    """Run `impasto stylize` on the two test images."""
    return lambda *flags: run_small("stylize", content_image, style_image, *flags)


@pytest.fixture
def read_recipe(impasto: Command, out: Path) -> Callable[[], dict[str, Any]]:
    """The recipe that `impasto inspect` prints."""
    return lambda: json.loads(impasto("inspect", out).out)


@pytest.fixture
def start(tmp_path: Path, small: dict[str, object]) -> Process:
    """Start the command, small, as a process of its own in a folder of its own."""

    def run(*arguments: object, **options: object) -> "subprocess.Popen[bytes]":
        flags = [word for flag in small.items() for word in flag if flag[0] not in arguments]
        words = [each if isinstance(each, bytes) else str(each) for each in (*arguments[:1], *flags, *arguments[1:])]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "impasto", *words]
        return subprocess.Popen(command, cwd=tmp_path, **{**pipes, "env": environment, **options})

    return run


@pytest.fixture
def pixels() -> Callable[[Path], np.ndarray]:
    """The pixels of a picture file."""

    def read(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.array(image)

    return read
