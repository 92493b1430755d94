"""The command `impasto`."""

import os
import signal
import sys
from collections.abc import Sequence

from impasto.errors import ImpastoError, UsageError

DONE, FAILED, MISUSED = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0 done, 2 bad usage or input, 130 interrupted, 143 ended, 1 anything else."""
    from impasto.cli.app import app

    try:
        status = app(arguments, result_action="return_value", exit_on_error=False, print_error=False)
        if sys.stdout:
            sys.stdout.flush()
        return status or DONE
    except BrokenPipeError:
        # the reader of our output has gone; Python must not try to flush it again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        status, message = _verdict(error)
        if sys.stderr:
            sys.stderr.write(f"impasto: {' '.join(message.split())}\n")
        return status


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit status for an error and the line that tells it; an error that nobody foresaw is raised again."""
    from cyclopts import CycloptsError

    match error:
        case UsageError():
            return MISUSED, str(error)
        case CycloptsError():
            return MISUSED, f"{error} See `impasto --help`."
        case ImpastoError():
            return FAILED, str(error)
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted; nothing was saved"
        case MemoryError() | RuntimeError() if _is_out_of_memory(error):
            return FAILED, "not enough memory for this size; give a smaller --size (see `impasto info --size N`)"
    raise error


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()  # torch has no class of its own for it on the CPU
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
