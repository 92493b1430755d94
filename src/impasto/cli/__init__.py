"""The command `impasto`."""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Sequence

from impasto.errors import ImpastoError, UsageError, is_out_of_memory, printable

DONE, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT
COLLECT = 50_000, 20, 100
"""Objects from one garbage collection to the next: torch makes hundreds of thousands that live as long as the process.

To look through them again and again, at Python's own pace, takes a tenth of a second of the start.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0 done, 2 bad usage or input, 130 interrupted, 143 ended, 1 anything else."""
    try:
        _occupy_standard_streams()
        gc.set_threshold(*COLLECT)
        from impasto.cli.app import app

        status = app(arguments, result_action="return_value", exit_on_error=False, print_error=False)
        if sys.stdout:
            sys.stdout.flush()
        return status or DONE
    except BrokenPipeError:
        _settle_output()
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        _settle_output()
        status, message = _verdict(error)
        if sys.stderr:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"impasto: {printable(message)}\n")
        return status


def _occupy_standard_streams() -> None:
    """Where the shell closed a standard stream, nothing: else a file opened later would get what libraries write."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False


def _settle_output() -> None:
    """Give up what cannot be written to standard output: Python would try again at its end, and complain."""
    from impasto.cli.display import give_up

    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        give_up(sys.stdout)


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit status for an error and the line that tells it; an error that nobody foresaw is raised again."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted; nothing was saved"
    from cyclopts import CycloptsError

    from impasto.cli.flags import misuse

    match error:
        case UsageError():
            return MISUSED, str(error)
        case CycloptsError():
            return MISUSED, misuse(error)
        case ImpastoError():
            return FAILED, str(error)
        case MemoryError() | RuntimeError() if is_out_of_memory(error):
            return FAILED, "not enough memory for this size; give a smaller --size (see `impasto info --size N`)"
        case OSError():
            place = "standard output" if error.filename is None else os.fsdecode(error.filename)
            return FAILED, f"{place}: {error.strerror or error}; make room or choose another place"
    raise error
