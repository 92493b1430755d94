"""`-` on the command line: standard input instead of an input file, standard output instead of the output file.

Files stand for the streams while a command runs. So every command treats them alike, and writes a result as a whole.
"""

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

from impasto.errors import ImpastoError, OutputError, PictureError, SaveError, SettingError, UsageError, printable

_Output = TypeVar("_Output", Path, Path | None)

PIPE = Path("-")
MAX_BYTES = 2_700_000_000
"""Bytes of standard input that are read: as many as an image file can have."""
_FOLDER = "impasto-stream-"
"""Prefix of the temporary folder that holds the files."""


def as_paths(arguments: Sequence[str]) -> list[str]:
    """The command line with "./-" for `-`, which would be taken for an option, and the full path for "./-", a file."""
    parts = (argument.partition("=") for argument in arguments)  # FILE=WEIGHT or --option=FILE
    return [_as_path(name) + equals + _as_path(value) for name, equals, value in parts]


def as_typed(message: str) -> str:
    """A message with `-` for the "./-" of `as_paths`."""
    return re.sub(r"(?<![\w./])\./-(?![\w./-])", "-", message)


def _as_path(text: str) -> str:
    if text == "./-":
        return os.path.abspath("-")
    return "./-" if text == "-" else text


def is_stand_in(path: str | os.PathLike[str]) -> bool:
    """Whether a file stands for a stream: messages do not name it."""
    return Path(path).parent.name.startswith(_FOLDER)


@contextlib.contextmanager
def piped(
    inputs: Sequence[Path], output: _Output, *, json: bool = False, suffix: str = ".png"
) -> Iterator[tuple[list[Path], _Output]]:
    """The inputs and the output of a command, with a file in place of `-`.

    Standard input is read now. The output file is written to standard output in the end, also if the command fails
    after having saved it. Until then, what the command prints goes to standard error.

    Args:
        json: the command prints JSON to standard output.
        suffix: of the file that stands for standard output.

    Raises:
        UsageError: `-` for several inputs, or for a stream that is closed or a terminal.
        SaveError: standard output cannot be written; the message names the file with the result.
    """
    if PIPE not in (*inputs, output):
        yield list(inputs), output
        return
    if list(inputs).count(PIPE) > 1:
        raise SettingError("-: standard input can be read only once; give it for one input, and files for the others")
    stdout = _check_stdout(json=json) if output == PIPE else None
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name, _without_prefix(f"{printable(name)}{os.sep}"):
        folder = Path(name)
        paths = [_spool(folder / "standard input") if path == PIPE else path for path in inputs]
        if stdout is None:
            yield paths, output
            return
        result = folder / f"standard output{suffix}"
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield paths, result
        finally:
            if result.exists():
                _send(result, stdout)


def _check_stdout(*, json: bool) -> TextIO:
    if json:
        raise SettingError("-: a pipe carries one image and nothing else; leave out --json")
    stdout: TextIO | None = sys.stdout
    if stdout is None or stdout.isatty():
        state = "is closed" if stdout is None else "is a terminal"
        raise OutputError(f"-: standard output {state}; redirect it (> FILE), or give the name of a file")
    return stdout


def _spool(path: Path) -> Path:
    """Save standard input to `path`."""
    stdin: TextIO | None = sys.stdin
    if stdin is None or stdin.isatty():
        state = "is closed" if stdin is None else "is a terminal"
        raise UsageError(f"standard input: {state}; redirect it (< FILE), or give the name of a file")
    with path.open("w+b") as file:
        while chunk := stdin.buffer.read(2**20):
            if file.tell() > MAX_BYTES:
                raise PictureError(f"standard input: more than {MAX_BYTES / 1e9:.1f} GB; give a smaller file")
            file.write(chunk)
        file.seek(0)
        head = file.read(9)
    # a network in safetensors begins with the length of its JSON, in 8 bytes; as a style it is recognized by its suffix
    is_network = head[8:] == b"{" and int.from_bytes(head[:8], "little") < 2**24
    return path.rename(f"{path}.safetensors") if is_network else path


def _send(result: Path, stdout: TextIO) -> None:
    """Write a file to standard output; if this fails, keep the file."""
    try:
        with result.open("rb") as file:
            shutil.copyfileobj(file, stdout.buffer)
        stdout.flush()
    except OSError as error:
        handle, kept = tempfile.mkstemp(prefix="impasto-", suffix=result.suffix)
        os.close(handle)
        shutil.copyfile(result, kept)
        raise SaveError(f"standard output: {error.strerror or error}; the result is in {kept} instead") from error


@contextlib.contextmanager
def _without_prefix(folder: str) -> Iterator[None]:
    """Name the streams instead of the files that stand for them in the message of an error."""
    try:
        yield
    except ImpastoError as error:
        raise type(error)(str(error).replace(folder, "")) from error.__cause__
