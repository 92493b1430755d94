"""`serve`: the web app, as a function."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from impasto.errors import MissingError, SettingError
from impasto.jobs.compute import Compute

CHECKPOINT_SECONDS = 30.0
"""Default time from one checkpoint to the next."""


def serve(
    data: str | os.PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8400,
    names: Sequence[str] = (),
    with_token: bool = False,
    quota: int | None = None,
    compute: Compute | None = None,
    workers: int | None = None,
    on_ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Run the web app until SIGINT or SIGTERM. Running jobs then stop after their step, and go on at the next start.

    Args:
        data: the folder of the queue and all images; by default one of the user.
        host, port: where to listen; port 0: any that is free.
        names: under which clients reach the server, besides localhost and IP addresses.
        with_token: also clients on this machine need the token; those on others always do.
        quota: bytes of the data folder, above which the oldest results that are no favorites are removed.
        compute: device, precision, threads and memory, which are divided among the workers.
        workers: jobs at a time; by default one per GPU, or one on the CPU.
        on_ready: called with the URL when the server can be reached; the token is in it if there is one.

    Raises:
        OutputError: the data folder or the address cannot be used, or another server uses the folder.
        SettingError: a port, device or number of workers that is not possible.
        MissingError: FastAPI or uvicorn is not installed.
    """
    if not 0 <= port <= 65535:
        raise SettingError(f"port: got {port}; give 0 to 65535")
    try:
        from impasto.web.server import Address, Server, create_service, is_loopback, token_in
    except ImportError as error:
        raise MissingError(
            f"the web app needs {error.name}, which is not installed; run: pip install 'impasto[web]'"
        ) from error
    folder = Path(platformdirs.user_data_dir("impasto")) / "server" if data is None else Path(data)
    service = create_service(folder, compute or Compute(checkpoint_seconds=CHECKPOINT_SECONDS), workers, quota)
    try:
        token = token_in(folder) if with_token or not is_loopback(host) else None
        server = Server(service, Address(host, port, tuple(names), token))
    except BaseException:
        service.close()
        raise
    on_ready(f"{server.url}/" + (f"?token={token}" if token else ""))
    server.run()
