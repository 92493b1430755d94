"""The command `impasto`."""

import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence

from impasto.errors import OutputError, printable

GC_THRESHOLDS = 50_000, 20, 100
"""Fewer garbage collections than Python's default.

Importing torch creates hundreds of thousands of objects that live as long as the process; scanning them again and
again takes a tenth of a second at startup.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0: done; 2: bad usage or input; 130: interrupted; 143: terminated; 1: anything else.
    """
    try:
        _open_closed_streams()
        _escape_what_stdout_cannot_encode()
        gc.set_threshold(*GC_THRESHOLDS)
        arguments = sys.argv[1:] if arguments is None else arguments
        if not {"--help", "-h", "--version"}.intersection(arguments):
            _check_working_directory()
        from impasto.cli.app import app
        from impasto.cli.printing import console
        from impasto.cli.streams import as_paths

        words = as_paths(sys.argv[1:] if arguments is None else arguments)
        status = app(words, console=console(), result_action="return_value", exit_on_error=False, print_error=False)
        if sys.stdout:
            sys.stdout.flush()
        return status or 0
    except BrokenPipeError:
        _flush_or_discard_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        from impasto.cli.exit_status import status_and_message
        from impasto.cli.streams import as_typed

        _flush_or_discard_stdout()
        status, message = status_and_message(error)
        if sys.stderr:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"impasto: {printable(as_typed(message))}\n")
        return status


def _check_working_directory() -> None:
    """Raise OutputError if the working directory was deleted: Intel's MKL, which torch uses, would end the process."""
    try:
        os.getcwd()
    except OSError as error:
        raise OutputError(f"the working directory is gone ({error.strerror}); change to one that exists") from error


def _open_closed_streams() -> None:
    """Open /dev/null for standard streams that are closed: a file opened later would otherwise take their number."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def _escape_what_stdout_cannot_encode() -> None:
    """Print the name of a file as \\u8272 where standard output has no such character, as standard error does.

    On Windows, redirected output is encoded in the code page of the locale, which has at most 256 characters.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False


def _flush_or_discard_stdout() -> None:
    """Discard what cannot be written to standard output: Python would try again at exit, and complain."""
    from impasto.cli.display import discard_output

    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        discard_output(sys.stdout)
