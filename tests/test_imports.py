"""A module imports only what stands above it in the line; importing impasto loads no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto

SOURCE = Path(impasto.__file__).parent
LINE = [
    *("errors", "files", "layers", "settings", "scales", "presets", "grids"),  # words
    *("events", "logs", "plot", "recipe", "weights", "quantized", "magenta"),
    *("samples", "decode", "levels", "encode", "oklab", "image"),  # matter
    *("thumbnail", "sheet", "pyramid", "color", "regions", "sources", "scenes", "device"),
    *("vgg", "rows", "backprop", "losses", "statistics", "targets", "objective", "conventions", "optim"),  # maths
    *("ghiasi", "cells", "onepass", "distilled"),
    *("feedforward", "distilling"),  # work
    *("descent", "plan", "inputs", "run", "checkpoint", "painting", "timelapse", "job"),
    *("repeat", "compare", "results", "sweeps"),
    *(
        "cli.display",
        "cli.flags",
        "cli.work",
        "cli.report",
        "cli.study",
        "cli.recoloring",
        "cli.photographs",
        "cli.onepass",
        "cli.distilling",
        "cli.app",
        "cli",
        "__main__",
    ),  # clients
]


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in SOURCE.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """The modules of impasto that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "impasto":
                candidates = [".".join(parts[1:length]) for length in range(len(parts), 1, -1)]
                found = next((each for each in candidates if each in MODULES), None)
                if found:
                    yield found


def test_every_module_has_its_place_in_the_line() -> None:
    assert set(MODULES) - {""} == set(LINE)


@pytest.mark.parametrize("name", LINE)
def test_a_module_imports_only_what_stands_above_it(name: str) -> None:
    above = LINE[: LINE.index(name)]
    assert [each for each in imported(MODULES[name]) if each not in above] == []


@pytest.mark.parametrize(
    "code",
    [
        "import impasto",
        "import impasto; impasto.Settings; impasto.preset; impasto.ImpastoError",
        "from impasto.cli import main; main(['--help'])",
        "from impasto.cli import main; main(['stylize', '--help'])",
        "from impasto.cli import main; main(['fast', '--help'])",
        "from impasto.cli import main; main(['sweep', '--help'])",
        "from impasto.cli import main; main(['presets'])",
    ],
)
def test_words_load_no_torch(code: str) -> None:
    script = f"{code}\nimport sys\nassert not set(['torch', 'matplotlib']).intersection(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_public_names_are_what_they_say_whatever_was_imported_first() -> None:
    script = "import impasto.painting, impasto.run\nimport impasto\nassert callable(impasto.stylize)\n"
    script += "assert all(getattr(impasto, name) is not None for name in impasto.__all__)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="stylise"):
        impasto.stylise  # noqa: B018
