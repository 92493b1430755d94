"""`Client`: a small client of a server, for programs.

    client = Client("http://127.0.0.1:8400")
    job = client.submit("content.jpg", ["style.jpg"], {"size": 1024, "strength": 0.6})
    client.wait(job["number"])
    client.save_result(job["number"], "result.png")

It needs nothing but Python.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from impasto import files
from impasto.errors import ImpastoError, OutputError, printable
from impasto.web.spec import ENDED

DEFAULT_URL = "http://127.0.0.1:8400"
TIMEOUT = 60.0
"""Seconds for which the server may be silent."""
POLL_SECONDS = 1.0

JobView = dict[str, Any]
"""A job as the API returns it: number, state, step, steps, loss, message, ..."""


class ServerError(ImpastoError):
    """A server that cannot be reached, or that has refused a request.

    Attributes:
        status: of HTTP; 0: there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A client of a server.

    Args:
        url: of the server; it may have the token in it, as `impasto serve` prints it.
        token: if the server asks for one.
    """

    def __init__(self, url: str = DEFAULT_URL, token: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        in_url = urllib.parse.parse_qs(parts.query).get("token", [None])[0]
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ServerError(f"{printable(url)}: is not the address of a server; give one such as {DEFAULT_URL}")
        self.url, self._token = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", token or in_url

    def upload(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Upload an image; its "id" is used in jobs.

        Raises:
            ServerError: the file cannot be read, or the server refuses it.
        """
        name = os.path.basename(os.fspath(path))
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ServerError(f"{printable(path)}: cannot be read ({error.strerror}); check the name") from error
        query = urllib.parse.urlencode({"name": printable(name)})
        file: dict[str, Any] = self.call("POST", f"/api/files?{query}", content)
        return file

    def submit(
        self,
        content: str | os.PathLike[str] | None,
        styles: Sequence[str | os.PathLike[str] | tuple[str | os.PathLike[str], float]],
        settings: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> JobView:
        """Upload images and add a job.

        Args:
            content: the content image; None: texture synthesis.
            styles: style images, or pairs of an image and its weight.
            settings: those that differ from the server's default.
            more: further fields of a job: name, priority, timelapse, or the ids of uploaded masks: keep, detail.

        Raises:
            ServerError: the server refuses an image or the job.
        """
        weighted = [style if isinstance(style, tuple) else (style, 1.0) for style in styles]
        spec = {
            "task": "texture" if content is None else "stylize",
            "content": None if content is None else self.upload(content)["id"],
            "styles": [{"file": self.upload(path)["id"], "weight": weight} for path, weight in weighted],
            "settings": dict(settings or {}),
            **more,
        }
        job: JobView = self.call("POST", "/api/jobs", spec)
        return job

    def job(self, number: int) -> JobView:
        """A job."""
        job: JobView = self.call("GET", f"/api/jobs/{number}")
        return job

    def jobs(self, states: Sequence[str] = ()) -> Iterator[JobView]:
        """All jobs in one of the states, or all: the newest first, or in the order of running if all are waiting."""
        before: dict[str, Any] = {}
        while True:
            query = urllib.parse.urlencode({"state": ",".join(states), "limit": 200, **before})
            page = self.call("GET", f"/api/jobs?{query}")
            yield from page["jobs"]
            if not page["more"]:
                return
            before = {"before": page["jobs"][-1]["number"]}

    def ask(self, number: int, request: str) -> JobView:
        """Let a job pause, resume, stop, cancel, retry, duplicate or fork (see the API)."""
        job: JobView = self.call("POST", f"/api/jobs/{number}/{request}", {})
        return job

    def wait(self, number: int, on_progress: Callable[[JobView], object] = lambda _: None) -> JobView:
        """Wait until a job has ended; `on_progress` gets it every second.

        Raises:
            ServerError: it has failed, with the reason.
        """
        while True:
            job = self.job(number)
            on_progress(job)
            if job["state"] == "failed":
                raise ServerError(f"job {number} has failed: {job['message']}")
            if job["state"] in ENDED:
                return job
            time.sleep(POLL_SECONDS)

    def save_result(
        self, number: int, path: str | os.PathLike[str], file_format: str | None = None, *, overwrite: bool = True
    ) -> None:
        """Download the result of a job, with its recipe.

        Args:
            file_format: png (as it was saved), png8, png16 or jpeg; by default that of the suffix of `path`.

        Raises:
            ServerError: there is none.
            OutputError, SaveError: it cannot be written.
        """
        file_format = file_format or format_of(Path(path))
        files.check_output(Path(path), overwrite=overwrite, inputs=[])
        with (
            self._open("GET", f"/api/jobs/{number}/result?format={file_format}") as response,
            files.replacing(Path(path), overwrite=overwrite) as file,
        ):
            while block := response.read(2**20):
                file.write(block)

    def call(self, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> Any:
        """The answer to any request of the API, see `/api/openapi.json` of the server.

        Args:
            path: such as "/api/jobs/3".
            body: JSON, or the bytes of a file.

        Raises:
            ServerError: it is refused.
        """
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        with self._open(method, path, content) as response:
            return json.load(response)

    def _open(self, method: str, path: str, body: bytes | None = None) -> HTTPResponse:
        request = urllib.request.Request(self.url + path, body, method=method)
        request.add_header("content-type", "application/json")
        if self._token is not None:
            request.add_header("authorization", f"Bearer {self._token}")
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                raise ServerError(_reason(error), error.code) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"{printable(self.url)}: cannot be reached ({reason}); start it with `impasto serve`, or check the "
                "address"
            ) from error
        return response


def format_of(path: Path) -> str:
    """The format in which a result is downloaded to a file, by its suffix.

    Raises:
        OutputError: a suffix of another format.
    """
    formats = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
    if (suffix := path.suffix.lower()) not in formats:
        raise OutputError(f"{printable(path)}: a server sends PNG and JPEG; use the suffix .png or .jpg")
    return formats[suffix]


def _reason(error: urllib.error.HTTPError) -> str:
    """The message of a refused request."""
    try:
        return str(json.loads(error.read(100_000))["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answers with status {error.code}; is it a server of impasto?"
