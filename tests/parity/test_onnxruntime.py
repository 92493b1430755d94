"""The feed-forward network against Magenta's graphs in onnxruntime; `make_fast.py` made the reference."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import Picture
from impasto.feedforward import network as networks
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.masks import Style

pytestmark = pytest.mark.weights

HERE = Path(__file__).parent
SCRIPT = runpy.run_path(str(HERE / "make_fast.py"))
FLOAT, SHIPPED = "float", "shipped"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(HERE / "fast_reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network() -> FastNetwork:
    return FastNetwork("cpu", "float32")


def make_image(name: str) -> Tensor:
    """One of the two images, (3, H, W)."""
    return torch.from_numpy(SCRIPT[name]()).permute(2, 0, 1).contiguous()


def output(reference: dict[str, np.ndarray], kind: str) -> Tensor:
    """The output of onnxruntime, (3, 60, 80)."""
    return torch.from_numpy(reference[f"{kind}_painted"].astype(np.float32) / SCRIPT["LEVELS"]).permute(2, 0, 1)


def test_the_style_code_equals_that_of_the_graph_without_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    expected = torch.from_numpy(reference[f"{FLOAT}_code"])
    assert expected.std() > 0.1  # the bound below is a small share of it
    torch.testing.assert_close(network.code(Picture(make_image("style_image"))), expected, rtol=0, atol=1e-4)


def test_the_output_equals_that_of_the_graph_without_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    content_image = make_image("content_image")
    style = network.style([Style(Picture(make_image("style_image")))], Picture(content_image), 0.5)
    expected = output(reference, FLOAT)
    torch.testing.assert_close(network.paint(content_image, style), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(network.paint(content_image, style, memory=1), expected, rtol=0, atol=1e-4)
    with torch.no_grad():
        plain = networks.load().transformer(content_image[None], style)[0]
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-4)


def test_the_graphs_as_shipped_differ_by_their_quantization_only(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    content_image, style = make_image("content_image"), Picture(make_image("style_image"))
    code = (network.code(style) - torch.from_numpy(reference[f"{SHIPPED}_code"])).abs().mean()
    assert 0.01 < float(code) < 0.1  # 0.062, of a standard deviation of 1.26
    own = network.paint(content_image, network.style([Style(style)], Picture(content_image), 0.5))
    difference = (own - output(reference, SHIPPED)).abs().mean()
    assert 0.01 < float(difference) < 0.14  # 0.110 here; flat colors suffer more than photographs, with 0.04


def test_bfloat16_is_closer_than_the_quantization(network: FastNetwork, reference: dict[str, np.ndarray]) -> None:
    content_image = make_image("content_image")
    style = network.style([Style(Picture(make_image("style_image")))], Picture(content_image), 0.5)
    coarse = FastNetwork("cpu", "bfloat16").paint(content_image, style)
    expected = output(reference, FLOAT)
    assert (coarse - expected).abs().mean() < (output(reference, SHIPPED) - expected).abs().mean()
