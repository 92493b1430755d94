"""Options of the commands that talk to a server."""

from typing import Annotated

from cyclopts import Parameter

from impasto.cli.option_groups import SERVER

ServerUrl = Annotated[
    str,
    Parameter(
        name="--server",
        metavar="URL",
        group=SERVER,
        env_var="IMPASTO_SERVER",
        help="Address of the server, as `impasto serve` prints it, with its token if it has one.",
    ),
]
