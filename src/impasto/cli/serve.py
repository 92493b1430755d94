"""`impasto serve`: the web app."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.option_groups import SERVER
from impasto.cli.printing import print_line
from impasto.cli.run_options import NetworkOptions, options_class, parse_bytes, parse_seconds
from impasto.cli.settings_options import WholeNumber
from impasto.cli.stop_signals import stop_signals
from impasto.errors import SettingError
from impasto.jobs.compute import Compute
from impasto.web.log import configure_logging
from impasto.web.serve import serve as serve_jobs

STOPPING = "stopping; running jobs resume from their checkpoints at the next start"
_flag = Parameter(group=SERVER, negative=(), show_default=False)


@options_class
@dataclass(frozen=True)
class ServeOptions(NetworkOptions):
    """Where the jobs of a server run, and what it keeps."""

    workers: Annotated[
        WholeNumber | None,
        Parameter(help="Jobs at a time; default: one per GPU, or one on the CPU.", show_default=False),
    ] = None
    checkpoint_every: Annotated[str, Parameter(metavar="TIME", help="Time between two checkpoints: 30s, 5m, 1h.")] = (
        "30s"
    )
    quota: Annotated[
        str | None,
        Parameter(
            group=SERVER,
            metavar="SIZE",
            help="Disk space of the data folder: 50G; above it, the oldest results that are not favorites are removed.",
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        Parameter(
            group=SERVER,
            metavar="NAME",
            help="Host name of this server in browsers, in addition to localhost; repeat for further names.",
            negative=(),
            consume_multiple=False,
        ),
    ] = None
    token: Annotated[bool, _flag, Parameter(help="Require the token on this machine as well.")] = False
    json_log: Annotated[bool, _flag, Parameter(help="Log requests and errors to standard error as JSON.")] = False

    def __post_init__(self) -> None:
        """Validate the values."""
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"--workers: got {self.workers}; give 1 or more")
        _ = self.compute, self.quota_bytes

    @property
    def compute(self) -> Compute:
        """The same as a value."""
        seconds = parse_seconds("--checkpoint-every", self.checkpoint_every)
        return dataclasses.replace(super().compute, checkpoint_seconds=seconds)

    @property
    def quota_bytes(self) -> int | None:
        """The disk space in bytes."""
        return None if self.quota is None else parse_bytes("--quota", self.quota)


def serve(
    *,
    host: Annotated[
        str,
        Parameter(
            group=SERVER,
            help="Address to bind; 0.0.0.0: all interfaces. Other machines need the token that is printed.",
        ),
    ] = "127.0.0.1",
    port: Annotated[WholeNumber, Parameter(group=SERVER, help="Port; 0: any free one.")] = 8400,
    data: Annotated[
        Path | None,
        Parameter(group=SERVER, metavar="FOLDER", help="FOLDER of the queue and all images; default: one of the user."),
    ] = None,
    options: ServeOptions = ServeOptions(),
) -> int:
    """Serve a web page on which images are stylized; jobs survive a restart."""
    configure_logging(as_json=options.json_log)
    with stop_signals(STOPPING) as received:
        serve_jobs(
            data,
            host=host,
            port=port,
            names=options.allow_host or (),
            with_token=options.token,
            quota=options.quota_bytes,
            compute=options.compute,
            workers=options.workers,
            on_ready=print_line,
        )
    return 128 + received[0] if received else 0
