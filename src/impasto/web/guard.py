"""What a request must fulfill before anything else looks at it: host, origin, token, size, speed and rate."""

import collections
import hashlib
import hmac
import ipaddress
import json
import logging
import re
import socket
import time
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from impasto.web.limits import ATTEMPTS, UPLOADS, App, Message, Rate, Receive, Scope, Send, limit_of, limited
from impasto.web.problems import (
    ForbiddenError,
    HostError,
    RequestError,
    TooLargeError,
    TooManyError,
    UnauthorizedError,
)

COOKIE = "impasto_token"
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with "no-referrer", forms would have the Origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_OPEN_PATHS = ("/login", "/healthz", "/static/login.css", "/static/icon.svg")
"""Paths that need no token."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")

log = logging.getLogger("impasto.web.access")


class Guard:
    """ASGI middleware that refuses requests, adds the headers of security, and logs.

    Args:
        token: what clients must know; None: nothing.
        hosts: names of this server, besides localhost, its host name, and any IP address.
    """

    def __init__(self, app: App, token: str | None, hosts: Collection[str] = ()) -> None:
        self._app, self._token = app, token
        # a site that resolves its own name to this server (DNS rebinding) is refused: no IP address is such a name
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._wrong_tokens, self._uploads = Rate(ATTEMPTS), Rate(UPLOADS)
        self.requests: collections.Counter[int] = collections.Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, limited(scope, receive), send_with_headers)
        except _Redirect as redirect:
            await _respond(send_with_headers, 303, b"", {"location": redirect.target, **redirect.headers})
        except RequestError as error:
            if not status:
                await respond_error(send_with_headers, error)
        finally:
            self.requests[status] += 1
            log.info(
                "request",
                extra={
                    "facts": {
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "client": client_of(scope),
                        "seconds": round(time.perf_counter() - started, 4),
                    }
                },
            )

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_host(headers.get("host", ""))
        _check_origin(scope, headers)
        if self._token is not None:
            self._check_token(scope, headers, self._token)
        length, limit = headers.get("content-length", "0"), limit_of(scope)
        if not length.isdecimal() or len(length) > 18 or int(length) > limit:
            raise TooLargeError(f"the body of the request is larger than {limit} bytes; send less")
        if scope["method"] == "POST" and scope["path"] == "/api/files":
            if self._uploads.is_exceeded(client_of(scope)):
                raise TooManyError(f"more than {UPLOADS} uploads in a minute; wait a minute")
            self._uploads.count(client_of(scope))

    def _check_host(self, host: str) -> None:
        match = _HOST.fullmatch(host.lower())
        if match is None or not (match["name"] in self._hosts or _is_address(match["name"].strip("[]"))):
            raise HostError("the name of this server in the request is unknown; allow it with --allow-host NAME")

    def _check_token(self, scope: Scope, headers: dict[str, str], token: str) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["path"] == "/" and "token" in query:
            self.check_guess(scope, query["token"][0])
            raise _Redirect("/", {"set-cookie": cookie(token)})
        if scope["path"] in _OPEN_PATHS:
            return
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self.check_guess(scope, value.strip())
            return
        if any(_equal(each, cookie_value(token)) for each in _cookies(headers.get("cookie", ""))):
            return
        if scope["method"] == "GET" and not scope["path"].startswith("/api/") and scope["path"] != "/metrics":
            raise _Redirect("/login", {})
        raise UnauthorizedError(
            "no token; open the address that `impasto serve` has printed, or send it as a Bearer token"
        )

    def check_guess(self, scope: Scope, guess: str) -> None:
        """Compare a token with the right one, in constant time.

        Raises:
            UnauthorizedError: it is wrong.
            TooManyError: the client has tried too often.
        """
        client = client_of(scope)
        if self._wrong_tokens.is_exceeded(client):
            raise TooManyError("too many wrong tokens; wait a minute")
        if self._token is not None and not _equal(guess, self._token):
            self._wrong_tokens.count(client)
            raise UnauthorizedError("the token is wrong; see what `impasto serve` has printed")


class _Redirect(Exception):  # noqa: N818
    def __init__(self, target: str, headers: dict[str, str]) -> None:
        self.target, self.headers = target, headers


def client_of(scope: Scope) -> str:
    """The address of a client."""
    client = scope.get("client")
    return client[0] if client else ""


def cookie(token: str) -> str:
    """The header that stores the cookie: for this site only, and not readable by scripts."""
    return f"{COOKIE}={cookie_value(token)}; HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000"


def cookie_value(token: str) -> str:
    """What stands for the token in a cookie, so that the token itself is stored nowhere."""
    return hashlib.sha256(f"cookie {token}".encode()).hexdigest()


async def respond_error(send: Send, error: RequestError) -> None:
    """Send an error as JSON."""
    await _respond(send, error.status, json.dumps({"error": str(error)}).encode(), {"content-type": "application/json"})


async def _respond(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    fields = {"content-length": str(len(body)), "cache-control": "no-store", **headers}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _check_origin(scope: Scope, headers: dict[str, str]) -> None:
    """Refuse what another site lets a browser send: it says so (Sec-Fetch-Site), or names the site (Origin)."""
    is_navigation = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not is_navigation:
        raise ForbiddenError("requests of other sites are refused")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise ForbiddenError("requests of other sites are refused")


def _cookies(header: str) -> list[str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value for name, _, value in pairs if name == COOKIE]


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
