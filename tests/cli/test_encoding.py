"""Standard output and standard error in encodings that lack most characters, as on Windows when they are redirected."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto import load
from impasto.cli import main

NAME = "\u8272 \u2192 \u00d7\U0001f3a8.png"
"""In no encoding of 256 characters."""


def run(encoding: str, *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process with streams as Python opens them in this encoding."""
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    err = io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(each) for each in arguments])
    out.flush()
    err.flush()
    return status, out.buffer.getvalue().decode(encoding), err.buffer.getvalue().decode(encoding)


def test_a_process_has_such_streams(tmp_path: Path, content_image: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    load(content_image).save(tmp_path / NAME)
    command = [sys.executable, "-m", "impasto", "compare", str(tmp_path / NAME), str(content_image)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    here = run("ascii", *command[3:])
    assert (done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")) == here
    assert "\\u8272" in here[1]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_escaped(encoding: str, content_image: Path, tmp_path: Path) -> None:
    image, result = tmp_path / NAME, tmp_path / "\u9ed2.png"
    load(content_image).save(image)
    status, _, err = run(encoding, "recolor", image, content_image, "-o", result)
    assert (status, err.splitlines()[-1].endswith("\\u9ed2.png")) == (0, True)
    status, out, _ = run(encoding, "compare", image, result)
    assert (status, "\\u8272" in out) == (0, True)
    status, out, err = run(encoding, "compare", tmp_path / "\u7121.png", result)
    assert (status, out, err.count("\n"), "\\u7121" in err) == (2, "", 1, True)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_json_is_valid_in_any_encoding(encoding: str, content_image: Path, style_image: Path, tmp_path: Path) -> None:
    image, result = tmp_path / NAME, tmp_path / "result.png"
    load(content_image).save(image)
    assert run(encoding, "fast", image, style_image, "-o", result)[0] == 0
    status, out, _ = run(encoding, "inspect", result)
    assert (status, json.loads(out)["content"]["name"]) == (0, NAME)
    assert (NAME in out) == (encoding == "utf-8")


@pytest.mark.parametrize("command", [["--help"], ["stylize", "--help"], ["presets"], ["weights"], ["info"]])
def test_help_and_tables_are_printed_in_ascii(command: list[str], narrow_weights: Path) -> None:
    small = ["--size", 64, "--weights", narrow_weights] if command == ["info"] else []
    status, out, _ = run("ascii", *command, *small)
    assert status == 0
    assert "\\u" not in out
