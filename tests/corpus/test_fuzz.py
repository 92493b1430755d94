"""Files with changed bytes are read or refused in one line: no traceback, no hang, no more memory than their pixels.

`make fuzz` sets IMPASTO_FUZZ_EXAMPLES: the number of changed files per input of the corpus.
"""

import contextlib
import faulthandler
import os
import sys

import pytest
from corpus import entries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impasto.errors import PictureError
from impasto.images.loading import load

EXAMPLES = int(os.environ.get("IMPASTO_FUZZ_EXAMPLES", "5"))
HANGING = 60
"""Seconds after which the traceback is printed and the process ends."""
MAX_PIXELS = 100_000
MEMORY = 500_000_000
"""Bytes that reading may allocate: a file of MAX_PIXELS needs 3 MB, an embedded profile at most 64 MB, twice."""
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]

whole_files = pytest.mark.parametrize("entry", entries(), ids=[entry.name for entry in entries()])


@st.composite
def changes(draw, length):
    """A function that changes a file of `length` bytes: overwrites, removes or repeats some, or cuts the file off."""
    start = draw(st.integers(0, max(0, length - 1)))
    end = min(length, start + draw(st.integers(1, 64)))
    number = draw(st.sampled_from(NUMBERS) | st.integers(0, 2**32 - 1))
    size, order = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from(["little", "big"]))
    written = (number & (1 << 8 * size) - 1).to_bytes(size, order)
    return draw(
        st.sampled_from(
            [
                lambda data: data[:start] + written + data[start + size :],
                lambda data: data[:start] + data[end:],
                lambda data: data[:end] + data[start:],
                lambda data: data[:start],
                lambda data: data[:start] + bytes(end - start) + data[end:],
            ]
        )
    )


@pytest.fixture
def limited():
    """Limits the address space to what is mapped now and MEMORY (on Linux), and ends a process that hangs."""
    faulthandler.dump_traceback_later(HANGING + EXAMPLES, exit=True)
    with _limited_memory() if sys.platform == "linux" else contextlib.nullcontext():
        yield
    faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _limited_memory():
    import resource

    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@whole_files
def test_a_changed_file_is_read_or_refused(entry, limited, capfd):
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(changes(len(entry.data)), min_size=1, max_size=4))
    def changed(functions):
        data = entry.data
        for change in functions:
            data = change(data)
        try:
            picture = load(data, name="a.png", max_pixels=MAX_PIXELS)
        except PictureError as error:
            message = str(error)
            assert message.startswith("a.png: ")
            assert "\n" not in message
            assert "memory" not in message
        else:
            assert picture.width * picture.height <= MAX_PIXELS

    changed()
    assert capfd.readouterr() == ("", "")
