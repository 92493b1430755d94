"""The README says what is there."""

import ast
import re
from pathlib import Path

import pytest

import impasto
from impasto.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = sorted(set(re.findall(r"^(?:\.venv/bin/)?impasto (\w+)", CONSOLE, re.MULTILINE)))


def test_its_pictures_are_there_and_small() -> None:
    pictures = [ROOT / place for place in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT)]
    assert pictures
    assert [picture.name for picture in pictures if not picture.is_file()] == []
    assert [picture.name for picture in pictures if picture.stat().st_size > 300_000] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"impasto {command}" in capsys.readouterr().out


def test_its_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        main([command, "--help"])
    known = capsys.readouterr().out
    flags = set(re.findall(r"(?<=[`\s])--[a-z][a-z-]+", TEXT)) - {"--constraint", "--help"}
    assert sorted(flag for flag in flags if flag not in known) == []


def test_the_names_in_its_example_are_public() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    used = {
        node.attr
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "impasto"
    }
    assert {"stylize", "preset", "Run", "load", "VGG19", "losses"} <= used
    assert [name for name in used if not hasattr(impasto, name)] == []
