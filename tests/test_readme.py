"""README, CONTRIBUTING and CHANGELOG name files, commands and flags that exist; test_docs runs README's commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto
from impasto.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
README, CONTRIBUTING, CHANGELOG = (page.read_text(encoding="utf-8") for page in PAGES)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The file and the anchor of each link to a file of the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            place, _, anchor = target.partition("#")
            yield page.parent / place if place else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert [file.name for file, _ in links(page) if not file.exists()] == []
    assert [anchor for file, anchor in links(page) if anchor and anchor not in anchors(file)] == []


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_the_make_targets_exist(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in re.findall(r"\bmake ([a-z-]+)\b", text) if f"\n{target}:" not in makefile] == []


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_the_files_exist(text: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|tools|benchmarks)/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = sorted(set(re.findall(r"`impasto ([a-z]+)", README)))
    for command in commands:
        assert main([command, "--help"]) == 0
        assert f"impasto {command}" in capsys.readouterr().out


def test_the_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("stylize", "texture", "fast", "sweep"):
        main([command, "--help"])
    known = capsys.readouterr().out
    flags = set(re.findall(r"(?<=[`\s])--[a-z][a-z-]+", README)) - {"--constraint", "--help"}
    assert sorted(flag for flag in flags if flag not in known) == []


def test_the_example_shows_the_main_functions() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert {"stylize", "preset", "Run", "load", "Style", "VGG19", "losses"} <= set(
        re.findall(r"impasto\.(\w+)", example)
    )


def test_the_changelog_begins_with_this_version() -> None:
    assert re.findall(r"^## \[([\d.]+)\]", CHANGELOG, re.MULTILINE)[0] == impasto.__version__
