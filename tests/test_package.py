"""The package as a user imports it: public names, and nothing heavy is loaded before it is needed."""

import subprocess
import sys

import pytest

import impasto


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
def test_help_and_settings_load_no_torch(code: str) -> None:
    script = f"{code}\nimport sys\nassert not set(['torch', 'matplotlib']).intersection(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_public_names_do_not_depend_on_what_was_imported_first() -> None:
    script = "import impasto.api, impasto.optimize.run, impasto.sweeps.sweep\nimport impasto\n"
    script += "assert callable(impasto.stylize) and callable(impasto.sweep)\n"
    script += "assert all(getattr(impasto, name) is not None for name in impasto.__all__)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        impasto.unknown  # noqa: B018
