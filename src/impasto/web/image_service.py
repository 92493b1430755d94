"""The image process from the server's side: started when it is needed, ended when it idles, replaced when it dies."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from impasto.errors import printable
from impasto.memory import available_memory
from impasto.web.problems import BusyError, FullError, NotAnImageError, RequestError

COMMAND = (sys.executable, "-m", "impasto.web.image_process")
MEMORY = 6 * 2**30
"""Bytes of address space that the process may take for images, if the machine has as much; 8192 x 8192 pixels take
2 GB of memory, and twice as much address space."""
TIMEOUT = 120.0
"""Seconds after which a request has failed, and the process is replaced."""
IDLE_SECONDS = 60.0
"""Seconds after which the process is ended, which frees some 400 MB."""
MAX_WAITING = 64
"""Requests that wait; further ones are refused."""


class ImageService:
    """Answers requests about images, one at a time, from any thread.

    Args:
        memory: bytes that the process may allocate.
        idle_seconds: after which the process is ended.
        command: starts it.
    """

    def __init__(
        self, memory: int = MEMORY, idle_seconds: float = IDLE_SECONDS, command: Sequence[str] = COMMAND
    ) -> None:
        self._command, self._memory, self._idle_seconds = command, memory, idle_seconds
        self._lock, self._waiting = threading.Lock(), threading.Semaphore(MAX_WAITING)
        self._process: subprocess.Popen[bytes] | None = None
        self._used, self._is_closed = time.monotonic(), False

    def ask(self, do: str, **arguments: Any) -> Any:
        """The result of a request, see `image_process`.

        Raises:
            NotAnImageError: the image is not usable; or it has ended the process.
            BusyError: too many requests wait.
            FullError: the disk is full.
            RequestError: anything else.
        """
        if not self._waiting.acquire(blocking=False):
            raise BusyError("too many images are being read; try again in a minute")
        try:
            with self._lock:
                answer = self._exchange({"do": do, **arguments})
                self._used = time.monotonic()
        finally:
            self._waiting.release()
        if "error" not in answer:
            return answer["result"]
        kinds = {"PictureError": NotAnImageError, "MemoryError": NotAnImageError, "SaveError": FullError}
        raise kinds.get(answer["kind"], RequestError)(answer["error"])

    def end_if_idle(self) -> None:
        """End the process if it was not used for a while."""
        if time.monotonic() - self._used > self._idle_seconds and self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the process."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._is_closed:
            raise BusyError("the server is being stopped")
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = _read_line(process, TIMEOUT)
        except OSError:
            line = b""
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._end()
        name = printable(str(request.get("name") or "the image"))
        return {
            "error": f"{name}: could not be read within the limits of memory and time; give a smaller one",
            "kind": "PictureError",
        }

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._end()
            limit = min(self._memory, available_memory())
            self._process = subprocess.Popen(
                [*self._command, str(limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=os.name == "posix",
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(OSError):
                self._process.communicate()
            self._process = None


def _read_line(process: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    """The next line of output; b"" if there is none for that long."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    assert process.stdout is not None
    threading.Thread(target=lambda file=process.stdout: lines.put(file.readline()), daemon=True).start()
    try:
        return lines.get(timeout=seconds)
    except queue.Empty:
        return b""
