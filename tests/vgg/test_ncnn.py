"""Convolutions by ncnn against float64, and in threads and processes."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.settings import layers
from impasto.vgg.backward import Backprop, gather_gradient
from impasto.vgg.convolution import DIRECTIONS, TorchConvolution
from impasto.vgg.model import VGG19
from impasto.vgg.ncnn_convolution import NcnnConvolution

pytest.importorskip("ncnn")

WIDTHS = (16, 16, 32, 32, 48)
ALL = tuple(f"{name} {direction}" for name in layers.CONVS[1:] for direction in DIRECTIONS)


def noise(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else values


def error(result: Tensor, exact: Tensor) -> float:
    return float((result.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize(
    ("filters", "channels", "height", "width"),
    [(16, 32, 3, 3), (32, 16, 4, 9), (48, 16, 13, 31), (64, 64, 26, 300)],  # the last one in three bands
)
@pytest.mark.parametrize("padding", [(1, 1), (0, 1), (0, 0)])
@pytest.mark.parametrize("kind", [TorchConvolution, NcnnConvolution])
def test_a_convolution_and_its_gradient_are_those_of_float64(  # noqa: PLR0917
    filters: int, channels: int, height: int, width: int, padding: tuple[int, int], kind: type
) -> None:
    kernel, bias = noise(filters, channels, 3, 3) / channels**0.5 / 3, noise(filters)
    values, above = noise(1, channels, height, width, seed=1), noise(1, filters, height, width, seed=2)
    convolution = kind(kernel, bias)
    exact = F.conv2d(values.double(), kernel.double(), bias.double(), padding=padding).relu()
    features = torch.empty_like(exact, dtype=torch.float32, memory_format=torch.channels_last)
    convolution.forward(values, padding, features)
    assert error(features, exact) < 3e-6
    transposed = kernel.double().flip(2, 3).transpose(0, 1)
    gradient = convolution.gradient(above, padding)
    assert error(gradient, F.conv2d(above.double(), transposed, padding=padding)) < 3e-6


@settings(max_examples=40)
@given(
    height=st.integers(16, 60),
    width=st.integers(16, 40),
    pooling=st.sampled_from(["max", "avg"]),
    padding=st.sampled_from(["zeros", "replicate", "circular"]),
    band=st.sampled_from([10_000, 2**23]),
    strip=st.none() | st.integers(5, 60),
)
def test_the_gradient_of_a_network_is_that_of_float64_autograd(  # noqa: PLR0917
    height: int, width: int, pooling: str, padding: str, band: int, strip: int | None
) -> None:
    wanted = ["block1_conv2", "block3_conv1", "block5_conv1"]
    image = noise(1, 3, height, width).sigmoid()
    kinds = {"pooling": pooling, "padding": padding}
    exact = VGG19.random(WIDTHS, dtype=torch.float64).configured(**kinds)
    double = image.double().requires_grad_()
    loss = torch.stack([features.pow(2).sum() / 2 for features in exact(double, wanted).values()]).sum()
    (expected,) = torch.autograd.grad(loss, double)
    vgg = VGG19.random(WIDTHS).with_ncnn(ALL).configured(**kinds)
    assert error(gradient_of(vgg, image, wanted, band, None if padding == "circular" else strip), expected) < 2e-5


def gradient_of(vgg: VGG19, image: Tensor, wanted: list[str], band: float = 2**23, strip: int | None = None) -> Tensor:
    """The gradient of the sum of the squared features, halved."""
    network = Backprop(vgg, wanted, band=band, strip=strip)
    network.forward(image, lambda *_: None)
    return gather_gradient(network.backward(dict.fromkeys(wanted, lambda features, _: features.clone())), image)


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    return VGG19.random(WIDTHS).with_ncnn(ALL)


def evaluated(vgg: VGG19, seed: int) -> bytes:
    return gradient_of(vgg, noise(1, 3, 32, 40, seed=seed).sigmoid(), ["block5_conv1"]).numpy().tobytes()


def test_threads_that_share_a_network_get_the_bits_of_one(vgg: VGG19) -> None:
    alone = [evaluated(vgg, seed) for seed in range(4)]
    fresh = VGG19.random(WIDTHS).with_ncnn(ALL)  # both threads transform its kernels
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda seed: evaluated(fresh, seed), range(4))) == alone


def test_another_number_of_threads_can_be_set_at_any_time(vgg: VGG19) -> None:
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 1):
            torch.set_num_threads(number)
            results.append(evaluated(vgg, 0))
    finally:
        torch.set_num_threads(threads)
    assert results[0] == results[2]


def test_a_network_can_be_pickled_and_sent_to_a_spawned_process(vgg: VGG19) -> None:
    expected = evaluated(vgg, 0)
    assert evaluated(pickle.loads(pickle.dumps(vgg)), 0) == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(evaluated, (vgg, 0)) == expected


FORK = """
import os, sys, ncnn_first, torch
torch.set_num_threads(2)
sys.path.insert(0, {folder!r})
from test_ncnn import *
vgg = VGG19.random(WIDTHS).with_ncnn(ALL)

def in_child():
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(hash(evaluated(vgg, 0))).encode())
        os._exit(0)
    os.close(write)
    return os.read(read, 64).decode()

first = in_child()
assert first
assert first == str(hash(evaluated(vgg, 0))) == in_child() == str(hash(evaluated(vgg, 0))) == in_child()
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system has no fork")
@pytest.mark.parametrize("imported", ["torch, ncnn", "ncnn, torch"])  # the second way there are two OpenMP runtimes
def test_a_process_may_be_forked_before_and_after_ncnn_was_used(imported: str) -> None:
    code = FORK.format(folder=os.path.dirname(__file__)).replace("ncnn_first", imported)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}  # of the cores that tests share
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 0
