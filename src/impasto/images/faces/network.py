"""YuNet, a face detector of 53 000 parameters (Wu et al. 2023, Machine Intelligence Research 20, 656-665)."""

import functools

import torch.nn.functional as F
from torch import Tensor

from impasto.images.faces import weights as yunet

STRIDES = (8, 16, 32)
"""Pixels between the positions of each level of the output."""
OUTPUTS = ("cls", "obj", "bbox", "kps")
"""Of a position: whether there is a face, how well the box fits, the box (4), and five landmarks (10)."""

Weights = dict[str, Tensor]


@functools.cache
def load_weights() -> Weights:
    """The weights, float32: of "stem", and of separable convolutions "NAME.pointwise" and "NAME.depthwise"."""
    return yunet.load()


def evaluate(image: Tensor) -> list[dict[str, Tensor]]:
    """(1, 3, H, W) in [0, 1], edges multiples of 32 -> for each of STRIDES the OUTPUTS, (1, C, H / s, W / s) each."""
    weights = load_weights()
    x = 255 * image.flip(1)  # trained on the images of OpenCV: blue, green, red; 0 to 255
    x = F.relu(F.conv2d(x, weights["stem.weight"], weights["stem.bias"], stride=2, padding=1))
    x = F.max_pool2d(_unit(weights, "backbone.0", x), 2)
    for number in (1, 2, 3, 4):
        x = _unit(weights, f"backbone.{number}", x)
    fine = _stage(weights, 5, F.max_pool2d(x, 2))
    middle = _stage(weights, 7, F.max_pool2d(fine, 2))
    coarse = _stage(weights, 9, F.max_pool2d(middle, 2))
    # from coarse to fine, each level is added to the next one
    coarse = _unit(weights, "neck.2", coarse)
    middle = _unit(weights, "neck.1", middle + F.interpolate(coarse, scale_factor=2))
    fine = _unit(weights, "neck.0", fine + F.interpolate(middle, scale_factor=2))
    return [
        {name: _separable(weights, f"{name}.{level}", features) for name in OUTPUTS}
        for level, features in enumerate((fine, middle, coarse))
    ]


def _stage(weights: Weights, first: int, x: Tensor) -> Tensor:
    return _unit(weights, f"backbone.{first + 1}", _unit(weights, f"backbone.{first}", x))


def _unit(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.relu(_separable(weights, name, x))


def _separable(weights: Weights, name: str, x: Tensor) -> Tensor:
    """A 1x1 convolution, then a 3x3 convolution of each channel by itself."""
    x = F.conv2d(x, weights[f"{name}.pointwise.weight"], weights[f"{name}.pointwise.bias"])
    kernel = weights[f"{name}.depthwise.weight"]
    return F.conv2d(x, kernel, weights[f"{name}.depthwise.bias"], padding=1, groups=len(kernel))
