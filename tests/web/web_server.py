"""A server that runs in this process, for the tests of the web app."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from web_inputs import png

from impasto.web.client import Client, ServerError
from impasto.web.server import Server
from impasto.web.service import Service

FAKE = (sys.executable, str(Path(__file__).parent / "fake_worker.py"))

Serve = Callable[..., AbstractContextManager["Running"]]


class Running:
    """A server that runs in this process, and a client of it."""

    def __init__(self, service: Service, server: Server, token: str | None) -> None:
        self.service, self.server, self.url = service, server, server.url
        self.client = Client(server.url, token)

    def upload(self, tmp_path: Path, name: str = "content.png", **image: Any) -> str:
        """The id of an uploaded image of noise."""
        path = tmp_path / name
        path.write_bytes(png(**image))
        return str(self.client.upload(path)["id"])

    def submit(self, tmp_path: Path, style: str = "style.png", **more: Any) -> int:
        """The number of a new job; `style` says how it goes, see `fake_worker`."""
        for seed, name in enumerate(("content.png", style)):
            (tmp_path / name).write_bytes(png(seed=seed + len(style)))
        settings = {"size": 64, "steps": 10, **more.pop("settings", {})}
        return int(self.client.submit(tmp_path / "content.png", [tmp_path / style], settings, **more)["number"])

    def wait_for(self, number: int, *states: str, step: int = 0, seconds: float = 20.0) -> dict[str, Any]:
        """The job as soon as it is in one of these states, and has come to that step."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.client.job(number)
            if job["state"] in states and job["step"] >= step:
                return job
            time.sleep(0.02)
        raise AssertionError(f"job {number} is {job['state']} at step {job['step']}")

    def status(self, call: Callable[[], object]) -> int:
        """The HTTP status with which the server refuses a call."""
        with pytest.raises(ServerError) as caught:
            call()
        return caught.value.status
