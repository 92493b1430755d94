"""`impasto fast --watch`."""

import json
import shutil
import signal
import threading
import time

import pytest
from outputs import LIMIT, MACHINE, names, size
from PIL import Image

from impasto.cli import fast_batch

pytestmark = [pytest.mark.weights, pytest.mark.posix("signals of another process")]


class Watch:
    """A process that watches a folder, and what it has said so far."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(line.decode().rstrip() for line in self.process.stderr)

    def until(self, happened):
        """Wait for something; fail if it does not happen in good time."""
        deadline = time.monotonic() + LIMIT
        while not happened():
            assert time.monotonic() < deadline, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.05)

    def said(self, words):
        return sum(words in line for line in list(self.lines))

    def stop(self, number=signal.SIGINT):
        """The exit status after a signal."""
        self.process.send_signal(number)
        status = self.process.wait(LIMIT)
        self._reader.join(LIMIT)
        assert not self.said("Traceback")
        return status


@pytest.fixture
def watch(begin, style_image, tmp_path, into):
    """Watch the folder `in` until it is stopped."""
    (tmp_path / "in").mkdir()

    def run(*flags):
        watch = Watch(begin(tmp_path / "in", style_image, "-o", into, "--watch", *flags))
        watch.until(lambda: watch.said("watching "))
        return watch

    return run


def test_what_appears_in_a_watched_folder_is_stylized_once_it_is_whole(watch, content_image, into, tmp_path):
    data, late = content_image.read_bytes(), tmp_path / "in" / "late.png"
    shutil.copy(content_image, tmp_path / "in" / "there.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"words")
    (tmp_path / "in" / "words.txt").write_bytes(b"words")
    (into / "taken.png").write_bytes(b"precious")
    shutil.copy(content_image, tmp_path / "in" / "taken.png")
    watching = watch()
    watching.until((into / "there.png").exists)
    with open(late, "wb") as file:
        for begin in range(0, len(data), max(len(data) // 10, 1)):  # slowly, over some of its looks
            file.write(data[begin : begin + max(len(data) // 10, 1)])
            file.flush()
            time.sleep(0.15)
    watching.until(lambda: watching.said("saved ") == 2)
    watching.until(lambda: watching.said("skipped: ") == 2)
    assert size(into / "late.png") == (40, 30)
    assert watching.said("late.png: ") == 1
    assert watching.said("skipped: ") == watching.said("bad.jpg: is text") + watching.said("taken.png: exists") == 2
    assert (into / "taken.png").read_bytes() == b"precious"
    Image.new("RGB", (50, 60), "red").save(late)  # changed: stylized again
    watching.until(lambda: size(into / "late.png") == (50, 60))
    assert watching.stop() == 130
    assert names(into) == ["late.png", "taken.png", "there.png"]
    assert watching.said("saved ") == 3
    assert watching.lines[-1] == "stopping after this image"


def test_a_watch_ends_by_sigterm_too_and_reports_in_json(watch, content_image, into, tmp_path, begin):
    watching = Watch(begin(tmp_path / "in", content_image, "-o", into, "--watch", "--json"))
    first = json.loads(watching.process.stdout.readline())
    assert first["message"].startswith("watching ")
    shutil.copy(content_image, tmp_path / "in" / "a.png")
    assert json.loads(watching.process.stdout.readline())["event"] == "painted"
    assert json.loads(watching.process.stdout.readline())["event"] == "saved"
    assert watching.stop(signal.SIGTERM) == 143
    assert names(into) == ["a.png"]


@pytest.fixture
def looks(monkeypatch):
    """What is done after each look at the folder, in this process; after the last, it is interrupted."""

    def do(*actions):
        left = list(actions)

        def wait(received):
            (left.pop(0) if left else lambda: signal.raise_signal(signal.SIGINT))()

        monkeypatch.setattr(fast_batch, "wait_for_scan", wait)

    return do


def nothing():
    pass


def test_a_watch_stylizes_at_the_second_scan_and_once(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(lambda: into.joinpath("looked").write_text(str(names(into))), *[nothing] * 4)
    outcome = fast(folder, "-o", into, "--watch")
    assert outcome.status == 130
    assert (into / "looked").read_text() == "[]"  # it might still have been being written
    assert outcome.err.count("saved ") == 1


def test_a_watch_goes_on_when_content_images_come_and_go(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(
        nothing,
        nothing,
        (folder / "a.png").unlink,
        lambda: shutil.copy(content_image, folder / "b.png"),
        nothing,
        nothing,
    )
    assert fast(folder, "-o", into, "--watch", "-q").status == 130
    assert names(into) == ["a.png", "b.png"]


def test_a_watch_ends_when_its_folder_is_gone(looks, fast, content_image, into, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    looks(nothing, lambda: shutil.rmtree(folder))
    complaint = fast(folder, "-o", into, "--watch", "-q").complaint()
    assert complaint == f"{folder}: can no longer be read (No such file or directory); watch another"
    assert names(into) == ["a.png"]


def test_a_watch_does_not_overwrite_the_style_image(looks, impasto, content_image, style_image, into, tmp_path):  # noqa: PLR0917
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    shutil.copy(style_image, precious)
    before = precious.read_bytes()
    looks(*[nothing] * 4)
    impasto("fast", folder, precious, "-o", into, "--watch", "--overwrite", *MACHINE)
    assert precious.read_bytes() == before


def test_what_a_watch_has_skipped_it_skips_again_when_the_content_image_changes(
    looks, fast, content_image, into, tmp_path
):
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    precious.write_bytes(b"precious")
    looks(*[nothing] * 3, lambda: Image.new("RGB", (50, 60), "red").save(folder / "a.png"), *[nothing] * 3)
    assert fast(folder, "-o", into, "--watch").status == 130
    assert precious.read_bytes() == b"precious"


def test_a_watch_does_not_overwrite_a_content_image_by_a_link(looks, fast, content_image, into, tmp_path):
    folder, precious = tmp_path / "in", into / "a.png"
    folder.mkdir()
    shutil.copy(content_image, precious)
    (folder / "a.png").symlink_to(precious)
    before = precious.read_bytes()
    looks(*[nothing] * 4)
    fast(folder, "-o", into, "--watch", "--overwrite")
    assert precious.read_bytes() == before


def test_a_watched_folder_is_not_the_output_folder(fast, content_images):
    assert (
        "is the watched folder; give another one" in fast(content_images, "-o", content_images, "--watch").complaint()
    )
