"""What the tests of the web app share: servers with fake workers, and images to upload."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the web app needs impasto[web]")

from web_server import FAKE, Running, Serve

from impasto.batches.local import LocalExecutor
from impasto.jobs.compute import Compute
from impasto.web.image_service import ImageService
from impasto.web.server import Address, Server
from impasto.web.service import Service


@pytest.fixture(scope="session")
def images() -> Iterator[ImageService]:
    """A process that reads images, as long as the tests last."""
    service = ImageService(idle_seconds=3600)
    close, service.close = service.close, lambda: None  # type: ignore[method-assign]
    yield service
    close()


@pytest.fixture
def make_service(images: ImageService) -> Callable[..., Service]:
    """A service in a folder, with fake workers."""

    def make(folder: Path, **options: Any) -> Service:
        executor = LocalExecutor(Compute(device="cpu", memory=10**9), 1, overwrite=True, command=FAKE)
        return Service(folder, executor, images, **options)

    return make


@pytest.fixture
def serve(make_service: Callable[..., Service]) -> Serve:
    """A running server in a folder."""

    @contextmanager
    def start(folder: Path, token: str | None = None, **options: Any) -> Iterator[Running]:
        service = make_service(folder, **options)
        server = Server(service, Address(port=0, token=token))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Running(service, server, token)
        finally:
            server.stop()
            thread.join()

    return start


@pytest.fixture
def running(serve: Serve, tmp_path: Path) -> Iterator[Running]:
    """A running server."""
    with serve(tmp_path / "data") as server:
        yield server
