"""Server-sent events: what changed, for all pages that are open."""

import asyncio
import collections
import itertools
import json
import secrets
import threading
from collections.abc import AsyncIterator
from typing import Any

from impasto.web.problems import BusyError

KEPT = 2000
"""Events that a page may have missed."""
MAX_CLIENTS = 256
QUEUE = 500
"""Events that wait for a slow client before its connection is closed; it comes again, and gets what it missed."""

_Entry = tuple[int, bytes]
_Queue = asyncio.Queue[_Entry | None]


class _Client:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.queue: _Queue = asyncio.Queue()


class Feed:
    """Numbered events, the last of which are kept; any thread publishes, any number of clients listens.

    An id is RUN-NUMBER: numbers start anew with each start of the server, which has another RUN.
    """

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._kept: collections.deque[_Entry] = collections.deque(maxlen=KEPT)
        self._clients: set[_Client] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def clients(self) -> int:
        """The number of clients."""
        return len(self._clients)

    @property
    def last_id(self) -> str:
        """The id of the last event; that of none, from which all events can be asked for, if there was none yet."""
        with self._lock:
            return self._id(self._kept[-1][0] if self._kept else 0)

    def publish(self, event: str, data: dict[str, Any]) -> None:
        """Send an event to all clients."""
        text = json.dumps(data, separators=(",", ":"))
        with self._lock:
            number = next(self._numbers)
            entry = number, f"id: {self._id(number)}\nevent: {event}\ndata: {text}\n\n".encode()
            self._kept.append(entry)
            self._send(entry)

    def keep_alive(self) -> None:
        """Send a comment to all clients: a connection without traffic would be closed by proxies."""
        with self._lock:
            self._send((0, b": still here\n\n"))

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._is_closed = True
            self._send(None)

    async def stream(self, last_id: str) -> AsyncIterator[bytes]:
        """The events after `last_id`; first a `reset` if that is unknown, or too long ago.

        Raises:
            BusyError: there are too many clients.
        """
        client = _Client()
        with self._lock:
            if len(self._clients) >= MAX_CLIENTS:
                raise BusyError(f"{MAX_CLIENTS} pages are connected already; close some of them")
            missed = self._missed(last_id)
            self._clients.add(client)
            if self._is_closed:
                client.queue.put_nowait(None)
        return self._events(client, missed)

    async def _events(self, client: _Client, missed: list[bytes]) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            for event in missed:
                yield event
            while (entry := await client.queue.get()) is not None and client.queue.qsize() <= QUEUE:
                yield entry[1]
        finally:
            with self._lock:
                self._clients.discard(client)

    def _missed(self, last_id: str) -> list[bytes]:
        """The events after the one with that id. Called with the lock."""
        run, _, text = last_id.rpartition("-")
        last = int(text) if run == self._run and text.isdecimal() and len(text) < 20 else -1
        newest = self._kept[-1][0] if self._kept else 0
        oldest = self._kept[0][0] if self._kept else 1
        if oldest - 1 <= last <= newest:
            return [event for number, event in self._kept if number > last]
        return [f"id: {self._id(newest)}\nevent: reset\ndata: {{}}\n\n".encode()]

    def _id(self, number: int) -> str:
        return f"{self._run}-{number}"

    def _send(self, entry: _Entry | None) -> None:
        """Send to all clients; their event loop is woken once. Called with the lock."""
        for loop in {client.loop for client in self._clients}:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_put, [each.queue for each in self._clients if each.loop is loop], entry)


def _put(queues: list[_Queue], entry: _Entry | None) -> None:
    for queue in queues:
        queue.put_nowait(entry)
