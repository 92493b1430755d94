"""Limits of requests: size, speed and rate."""

import collections
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from impasto.web.files import MAX_BYTES
from impasto.web.problems import SlowError, TooLargeError

MAX_JSON = 2**20
"""Bytes of the body of a request, but for uploads."""
CHUNK_SECONDS, BYTES_PER_SECOND = 20.0, 10_000
"""A client may be silent for that long, and is slower than that on average only during its first CHUNK_SECONDS."""
ATTEMPTS, UPLOADS, PERIOD = 10, 240, 60.0
"""Wrong tokens, and uploads, of one address in PERIOD seconds."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Rate:
    """At most `limit` events of one client in PERIOD seconds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: dict[str, collections.deque[float]] = {}

    def is_exceeded(self, client: str) -> bool:
        """Whether the client has had as many events as it may."""
        times = self._times.get(client)
        while times and time.monotonic() - times[0] > PERIOD:
            times.popleft()
        return times is not None and len(times) >= self._limit

    def count(self, client: str) -> None:
        """Count an event."""
        if len(self._times) > 10_000:  # addresses are forgotten before they fill the memory
            self._times.clear()
        self._times.setdefault(client, collections.deque(maxlen=self._limit)).append(time.monotonic())


def limit_of(scope: Scope) -> int:
    """Bytes that the body of a request may have."""
    return MAX_BYTES if scope["path"] == "/api/files" else MAX_JSON


def limited(scope: Scope, receive: Receive) -> Receive:
    """`receive`, which raises an error when the body is too large or comes too slowly."""
    limit = limit_of(scope)
    started, size, is_complete = time.monotonic(), 0, False

    async def limited_receive() -> Message:
        nonlocal size, is_complete
        if is_complete:  # waits for the end of the connection
            return await receive()
        try:
            with anyio.fail_after(CHUNK_SECONDS):
                message = await receive()
        except TimeoutError as error:
            raise SlowError("the body of the request comes too slowly; try again") from error
        size += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if size > limit:
            raise TooLargeError(f"the body of the request is larger than {limit} bytes; send less")
        passed = time.monotonic() - started
        if not is_complete and passed > CHUNK_SECONDS and size < BYTES_PER_SECOND * passed:
            raise SlowError("the body of the request comes too slowly; try again")
        return message

    return limited_receive
