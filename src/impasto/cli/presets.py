"""`impasto presets`: the presets and their files."""

from typing import Annotated

from cyclopts import Parameter

from impasto.cli.printing import print_line, print_table
from impasto.settings import presets as library


def presets(name: Annotated[str | None, Parameter(help="A preset; all are listed if not given.")] = None, /) -> int:
    """List the presets, or print the TOML file of the preset NAME, to copy and edit."""
    if name is not None:
        print_line(library.read_preset(name).text.rstrip())
    else:
        print_table(["preset", "description"], [[each.name, each.description] for each in library.presets()])
    return 0
