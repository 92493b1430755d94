"""Standard output and standard error in encodings that lack most characters, as on Windows when they are redirected."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto import load

NAME = "\u8272 \u2192 \u00d7\U0001f3a8.png"
"""In no encoding of 256 characters."""


def run(encoding: str, *arguments: object) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "impasto", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


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
def test_help_and_tables_are_printed_in_ascii(command: list[str]) -> None:
    status, out, _ = run("ascii", *command)
    assert status == 0
    assert "\\u" not in out
