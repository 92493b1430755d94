"""Errors -> exit status and one line of text."""

import os
import signal
from typing import Any

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, Token, UnusedCliTokensError

from impasto.errors import ImpastoError, UsageError, is_out_of_memory

FAILED, MISUSED = 1, 2
INTERRUPTED = 128 + signal.SIGINT

_EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number such as 1.5",
    bool: "the flag alone, without a value",
}


def status_and_message(error: BaseException) -> tuple[int, str]:
    """The exit status for an error and the line that reports it; unexpected errors are raised again."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted; nothing was saved"
        case UsageError():
            return MISUSED, str(error)
        case CycloptsError():
            return MISUSED, _usage_message(error)
        case ImpastoError():
            return FAILED, str(error)
        case MemoryError() | RuntimeError() if is_out_of_memory(error):
            return FAILED, "not enough memory for this size; give a smaller --size (see `impasto info --size N`)"
        case OSError():
            place = "standard output" if error.filename is None else os.fsdecode(error.filename)
            return FAILED, f"{place}: {error.strerror or error}; free space or choose another place"
    raise error


def _usage_message(error: CycloptsError) -> str:
    """An error in the command line: what, got, and what to do."""
    command = " ".join(["impasto", *(error.command_chain or ())])
    match error:
        case MissingArgumentError(argument=argument) if argument is not None:
            option = error.keyword
            what = f"{option}: got no value; give {option}=VALUE" if option else f"{argument.name} is missing"
        case UnusedCliTokensError(unused_tokens=[str(first), *_]):
            what = f"got {first!r}, which is one argument too many"
        case CoercionError(token=Token(keyword=str(name), value=got), target_type=kind) if kind in _EXPECTED:
            what = f"{name}: got {got!r}; give {_EXPECTED[kind]}"
        case _:
            what = " ".join(str(error).split())
            what = what if what.endswith("...") else what.removesuffix(".")
    return f"{what} (see `{command} --help`)"
