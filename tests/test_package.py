"""The package as a user installs and imports it: versions, public names, nothing heavy loaded before it is needed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import impasto
from impasto.settings.presets import tomllib

ROOT = Path(__file__).parents[1]


def pinned(file: str) -> dict[str, Version]:
    """The versions in a constraints file by package; where there are several, the last one."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(";")[0].split("==") for line in lines if "==" in line.partition("#")[0]]
    return {name: Version(version.strip()) for name, version in pairs}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [each for each in map(Requirement, project["dependencies"]) if each.marker is None]


def test_the_lower_bounds_are_the_versions_of_the_lowest_constraints() -> None:
    bounds = {
        each.name: Version(spec.version) for each in requirements() for spec in each.specifier if spec.operator == ">="
    }
    assert pinned("constraints-lowest.txt") == bounds


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    pins = pinned("constraints.txt")
    assert [str(each) for each in requirements() if pins[each.name] not in each.specifier] == []


def test_the_version_needs_no_installed_metadata() -> None:
    script = (
        "import importlib.metadata, sys; importlib.metadata.version = None\nimport impasto; print(impasto.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert re.fullmatch(r"\d+\.\d+\.\d+", done.stdout.strip())


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
def test_help_and_settings_load_nothing_heavy(code: str) -> None:
    script = f"{code}\nimport sys\nassert not set(['torch', 'numpy', 'matplotlib']).intersection(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_public_names_do_not_depend_on_what_was_imported_first() -> None:
    script = "import impasto.api, impasto.optimize.run, impasto.sweeps.sweep\nimport impasto\n"
    script += "assert callable(impasto.stylize) and callable(impasto.sweep)\n"
    script += "assert all(getattr(impasto, name) is not None for name in impasto.__all__)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        impasto.unknown  # noqa: B018


def test_the_tests_replace_no_private_names() -> None:
    """Ruff's SLF001 finds private attributes, but not those that `monkeypatch` gets as strings."""
    private = re.compile(r"""setattr\([^)\n]*["'](?:[\w.]+\.)?_[a-z]\w*["']""")
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    assert {name: found for name, text in texts.items() if (found := private.findall(text))} == {}
