"""`impasto presets`: the presets and their files."""

from typing import Annotated

from cyclopts import Parameter

from impasto.cli.printing import print_line, print_table
from impasto.settings.presets import names, read_preset


def presets(name: Annotated[str | None, Parameter(help="A preset; all are listed if not given.")] = None, /) -> int:
    """List the presets, or print the TOML file of the preset NAME, to copy and edit."""
    if name is not None:
        print_line(read_preset(name).text.rstrip())
    else:
        print_table(["preset", "description"], [[bundled, read_preset(bundled).description] for bundled in names()])
    return 0
