"""SIGINT, SIGTERM, SIGHUP and Windows' SIGBREAK as a request to stop after the current step."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

NAMES = "SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"
SIGNALS = [number for name in NAMES if (number := getattr(signal, name, None)) is not None]
STOPPING = "stopping after this step, the image so far is saved; a second signal stops at once"


@contextlib.contextmanager
def stop_signals(message: str = STOPPING) -> Iterator[list[int]]:
    """Catch the first signal: append its number to the list, and print `message` to standard error.

    The second signal takes effect at once. A signal that the process ignores, as under nohup, stays ignored.
    """
    received: list[int] = []

    def on_first(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for other, handler in previous.items():
            signal.signal(other, handler)
        with contextlib.suppress(OSError):  # not through sys.stderr, which may be in the middle of a write
            os.write(2, f"{message}\n".encode())

    previous = {
        number: handler for number in SIGNALS if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in previous:
        signal.signal(number, on_first)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
