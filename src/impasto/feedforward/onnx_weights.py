"""The weights in Magenta's quantized ONNX files -> float32 arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.onnx_graph import read_graph

Array = npt.NDArray[np.float32]


def read_weights(data: bytes) -> dict[str, Array]:
    """All constants that a DequantizeLinear node of the graph dequantizes: name without "_dequant" -> float32 array.

    weight = (q - zero_point) * scale, with one scale and zero point for all, or for each index of the first axis (the
    output channels).

    Raises:
        ValueError: not an ONNX file, or one that is damaged.
    """
    graph = read_graph(data)
    weights = {}
    for node in graph.nodes:
        if node.operator == "DequantizeLinear":
            (constant, scale, zero_point), (output,) = node.inputs, node.outputs
            if constant in graph.constants:  # activations are dequantized, too
                arrays = map(graph.array, (constant, scale, zero_point))
                weights[output.removesuffix("_dequant")] = _dequantize(*arrays)
    return weights


def _dequantize(quantized: npt.NDArray[Any], scale: npt.NDArray[Any], zero_point: npt.NDArray[Any]) -> Array:
    """(q - zero_point) * scale in float32, which the difference of two int8 fits into exactly."""
    per_channel = (-1, *[1] * (quantized.ndim - 1)) if scale.ndim else ()
    with np.errstate(over="ignore", invalid="ignore"):
        centered = quantized.astype(np.float32) - zero_point.astype(np.float32).reshape(per_channel)
        weights: Array = centered * scale.astype(np.float32).reshape(per_channel)
    if not np.isfinite(weights).all():
        raise ValueError("has values beyond float32")
    return weights
