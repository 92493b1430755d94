"""`Server`: a service behind uvicorn, at one address."""

import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from impasto import files
from impasto.batches.local import LocalExecutor
from impasto.errors import ImpastoError, OutputError, SettingError, printable
from impasto.jobs.compute import Compute
from impasto.web.app import create_app
from impasto.web.connection import Connection
from impasto.web.image_service import ImageService
from impasto.web.service import Service

LOOPBACK = ("127.0.0.1", "::1", "localhost")
STOP_SECONDS = 3
"""Seconds for which open connections are waited for at the end."""
MAX_CONNECTIONS = 512
MAX_HEADER_BYTES = 32_768
WORKER_IDLE_SECONDS = 300.0
"""Seconds after which a worker without a job is ended, which frees the memory of the network."""


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        host, port: of the socket; port 0: any that is free.
        names: further names under which clients reach it.
        token: what clients must know; None: nothing.
    """

    host: str = "127.0.0.1"
    port: int = 8400
    names: tuple[str, ...] = ()
    token: str | None = None


def create_service(
    data: Path,
    compute: Compute,
    workers: int | None = None,
    quota: int | None = None,
    images: ImageService | None = None,
) -> Service:
    """A service with one worker process per GPU, or one on all cores of the CPU.

    Raises:
        OutputError: the data folder cannot be used, or another server uses it.
        SettingError: a device that this machine does not have.
    """
    count = 1 if workers is None and compute.device in {"auto", "cpu"} and not _has_gpus(compute) else workers
    executor = LocalExecutor(compute, count, overwrite=True, idle_seconds=WORKER_IDLE_SECONDS)
    return Service(data, executor, images, quota)


def _has_gpus(compute: Compute) -> bool:
    return any(each.device not in {"auto", "cpu"} for each in LocalExecutor(compute).computes)


class Server:
    """A service at an address.

    Raises:
        OutputError: the address cannot be used.
    """

    def __init__(self, service: Service, address: Address) -> None:
        self._service = service
        self._socket = bound(address)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        config = uvicorn.Config(
            create_app(service, address.token, (address.host, *address.names)),
            log_config=None,
            access_log=False,  # the guard logs, on request
            server_header=False,
            lifespan="off",
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            http=Connection,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Uvicorn(config, service)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; running jobs stop after their step, with a checkpoint."""
        self._service.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._service.feed.close()
        self._server.should_exit = True

    def close(self) -> None:
        """Stop the service."""
        self._socket.close()
        self._service.close()


class _Uvicorn(uvicorn.Server):
    """uvicorn, which ends the streams of events when it is asked to end: it waits for all responses."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        # in a thread: the main thread, which the signal has interrupted, may hold the lock of the feed
        threading.Thread(target=self._service.feed.close, daemon=True).start()
        super().handle_exit(sig, frame)


def bound(address: Address) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        OutputError: it is in use, or not one of this machine.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # it listens from now on: who reads the address that is printed can connect
        bound_socket = socket.create_server(place[:2], family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        where = f"{printable(address.host)}:{address.port}"
        raise OutputError(f"{where}: cannot be used ({reason}); choose another --host or --port") from error
    # connections inherit it; asyncio sets it only for sockets that name their protocol. Without it the body of a
    # response waits until the client has acknowledged its head, which systems delay by 40 ms
    bound_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound_socket


def token_in(data: Path) -> str:
    """The token of a data folder, which is created once, so that browsers need not be told again after a restart.

    Raises:
        SettingError: it cannot be stored.
    """
    path = data / "token"
    try:
        data.mkdir(parents=True, exist_ok=True)
        if path.exists() and len(token := path.read_text(encoding="ascii").strip()) >= 20:
            return token
        token = secrets.token_urlsafe(24)
        with files.replacing(path) as file:
            os.chmod(file.fileno(), 0o600) if os.name == "posix" else None
            file.write(token.encode())
    except (OSError, ValueError, ImpastoError) as error:
        raise SettingError(f"{printable(path)}: the token cannot be stored ({error}); choose another --data") from error
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at that address."""
    return host in LOOPBACK or host.startswith("127.")
