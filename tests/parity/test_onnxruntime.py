"""The feed-forward networks against Magenta's graphs as onnxruntime evaluates them; see `make_fast.py`."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto import Picture
from impasto.feedforward import pretrained
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.masks import Style

pytestmark = pytest.mark.weights

HERE = Path(__file__).parent
FORMULAS = runpy.run_path(str(HERE / "make_fast.py"))
FLOAT, SHIPPED = "float", "shipped"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(HERE / "fast_reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def network() -> FastNetwork:
    return FastNetwork("cpu", "float32")


def image(name: str) -> Tensor:
    """One of the two images, (3, H, W)."""
    return torch.from_numpy(FORMULAS[name]()).permute(2, 0, 1).contiguous()


def stylized(reference: dict[str, np.ndarray], kind: str) -> Tensor:
    """An output image of onnxruntime, (3, 60, 80)."""
    return torch.from_numpy(reference[f"{kind}_painted"].astype(np.float32) / FORMULAS["LEVELS"]).permute(2, 0, 1)


def test_the_style_vector_equals_that_of_the_graph_without_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    expected = torch.from_numpy(reference[f"{FLOAT}_code"])
    assert expected.std() > 0.1  # the bound below is a small share of it
    torch.testing.assert_close(network.style_vector(Picture(image("style_image"))), expected, rtol=0, atol=1e-4)


def test_the_output_image_equals_that_of_the_graph_without_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    content_image = image("content_image")
    style = network.affines_for([Style(Picture(image("style_image")))], Picture(content_image), 0.5)
    expected = stylized(reference, FLOAT)
    torch.testing.assert_close(network.stylize(content_image, style), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(network.stylize(content_image, style, memory=1), expected, rtol=0, atol=1e-4)
    with torch.no_grad():
        plain = pretrained.load().transformer(content_image[None], style)[0]
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-4)


def test_the_graphs_as_shipped_differ_by_the_error_of_their_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    content_image, style = image("content_image"), Picture(image("style_image"))
    vector = (network.style_vector(style) - torch.from_numpy(reference[f"{SHIPPED}_code"])).abs().mean()
    assert 0.01 < float(vector) < 0.1  # 0.062, of a standard deviation of 1.26
    own = network.stylize(content_image, network.affines_for([Style(style)], Picture(content_image), 0.5))
    difference = (own - stylized(reference, SHIPPED)).abs().mean()
    # 0.110 here; flat colors have a larger error than photographs, where it is 0.04
    assert 0.01 < float(difference) < 0.14


def test_bfloat16_has_a_smaller_error_than_the_quantization(
    network: FastNetwork, reference: dict[str, np.ndarray]
) -> None:
    content_image = image("content_image")
    style = network.affines_for([Style(Picture(image("style_image")))], Picture(content_image), 0.5)
    reduced = FastNetwork("cpu", "bfloat16").stylize(content_image, style)
    expected = stylized(reference, FLOAT)
    assert (reduced - expected).abs().mean() < (stylized(reference, SHIPPED) - expected).abs().mean()
