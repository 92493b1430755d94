"""What the tests of `impasto fast` share."""

import os
import shutil
import subprocess
import sys

import pytest
from outputs import MACHINE
from PIL import Image

from impasto.feedforward import pretrained


@pytest.fixture
def fast(impasto, style_image):
    """Run `impasto fast` with the style image on the CPU."""
    return lambda content_image, *flags: impasto("fast", content_image, style_image, *MACHINE, *flags)


@pytest.fixture
def pair(content_image, style_image):
    """The content image and the style image."""
    return content_image, style_image


@pytest.fixture
def into(tmp_path):
    """An empty folder for the results."""
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def content_images(content_image, tmp_path):
    """A folder with three content images and other files."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(content_image, folder / "a.png")
    with Image.open(content_image) as image:
        image.rotate(180).save(folder / "b.JPG")
        image.resize((30, 50)).save(folder / "c.gif")
    (folder / "words.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(content_image.read_bytes())
    (folder / "folder.png").mkdir()
    return folder


@pytest.fixture
def begin(tmp_path):
    """Start `impasto fast` as a process in a temporary folder."""
    running = []

    def run(*arguments, **options):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "impasto", "fast", *map(str, arguments), *MACHINE]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **{**pipes, **options}))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def unloaded(monkeypatch):
    """The network must not be loaded."""
    monkeypatch.setattr(pretrained, "load", lambda: pytest.fail("the network was loaded"))
