"""The files of the page: read, compressed and hashed once, and sent from memory."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fastapi import Request, Response

from impasto.web.problems import UnknownError

STATIC = Path(str(resources.files("impasto.web"))) / "static"
MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    media_type: str
    content: bytes
    compressed: bytes
    etag: str


class Pages:
    """The files of the page, as they were when the server started: they fit its API also while impasto is updated."""

    def __init__(self) -> None:
        self._files = {file.name: _read(file) for file in STATIC.iterdir() if file.is_file()}

    def response(self, name: str, request: Request) -> Response:
        """The response to a request for a file. Browsers ask for it each time: after an update no old module is used.

        Raises:
            UnknownError: there is none of that name.
        """
        if (file := self._files.get(name)) is None:
            raise UnknownError("no such file of the page; see /")
        headers = {"cache-control": "no-cache", "etag": file.etag, "vary": "accept-encoding"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(file.content, media_type=file.media_type, headers=headers)
        return Response(file.compressed, media_type=file.media_type, headers={**headers, "content-encoding": "gzip"})


def _read(file: Path) -> _File:
    content = file.read_bytes()
    media_type = MEDIA_TYPES[file.suffix]
    return _File(media_type, content, gzip.compress(content), f'"{hashlib.sha256(content).hexdigest()[:16]}"')
