"""What the tests of the web app share: servers with fake workers, images to upload, and a browser."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright import sync_api as playwright

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


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    """Chromium."""
    from web_browser import ARGUMENTS, CHROMIUM, playwright

    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@pytest.fixture
def open_page(browser: "playwright.Browser") -> Iterator[Callable[..., "playwright.Page"]]:
    """Opens an address in a page of its own. At the end no page has had an error, or asked another host."""
    from web_browser import DESKTOP

    faults: list[str] = []
    contexts = []

    def note(message: "playwright.ConsoleMessage") -> None:
        # answers that refuse something, and lost connections, are shown on the page
        if message.type == "error" and "Failed to load resource" not in message.text and "ERR_" not in message.text:
            faults.append(message.text)

    def start(url: str, *, viewport: dict[str, int] | None = None, **options: object) -> "playwright.Page":
        context = browser.new_context(viewport=viewport or DESKTOP, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", note)
        page.on("request", lambda request: hosts(request.url, url))
        page.goto(url)
        return page

    def hosts(asked: str, own: str) -> None:
        host = own.split("/#", maxsplit=1)[0].split("/?", maxsplit=1)[0]
        if host != "about:blank" and not asked.startswith((host, "blob:", "data:")):
            faults.append(f"asks {asked}")

    yield start
    for context in contexts:
        context.close()
    assert faults == []
