"""Seconds per step: the loss and its gradient, compared with the time of the convolutions alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain import STYLE_LAYERS, Plain
from benchmarks.plan import Plan, Row, Section
from impasto import VGG19, Run, preset
from impasto.settings import layers

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
BAND = 2**23
"""Bytes of a layer that the floor convolves at a time. malloc reuses blocks of this size; larger ones are new pages,
and mapping those takes longer than the convolution itself."""


def measure(plan: Plan) -> Section:
    """Time the variants in turn, after one warm-up each, so that other load on the machine affects all of them."""
    variants = _variants(plan)
    for evaluate in variants.values():
        evaluate()
    rounds = [{name: _seconds(evaluate) for name, evaluate in variants.items()} for _ in range(plan.rounds)]
    times = {name: [each[name] for each in rounds] for name in variants}
    height, width = plan.tensors()[0].shape[2:]
    notes = [
        f"{width}x{height} pixels; median and minimum of {plan.rounds} rounds. The floor of a precision is the"
        " time of its convolutions by torch alone, forward and backward.",
        "The last row is a step of the whole program at its defaults, optimizer included; also a median.",
    ]
    return Section("A loss and its gradient", [*_rows(times, height, width), _whole(plan)], notes)


def _variants(plan: Plan) -> dict[str, Callable[[], object]]:
    """Name -> one evaluation at the content image, the initial image of a run."""
    content, style = plan.tensors()
    settings = preset("pastiche").replace(size=plan.size)
    variants: dict[str, Callable[[], object]] = {}
    for precision, dtype in PRECISIONS.items():
        run = plan.run(settings, precision)
        variants[f"impasto, {precision}"] = _step(run)
        if run.vgg.ncnn:
            variants[f"impasto by torch alone, {precision}"] = _step(plan.run(settings, precision, engine="torch"))
        variants[f"plain autograd, {precision}"] = partial(Plain(content, style, dtype).value_and_grad, content)
        variants[f"floor, {precision}"] = _floor(run.vgg, run.height, run.width)
    return variants


def _step(run: Run) -> Callable[[], object]:
    return partial(run.scale_run.objective.value_and_grad, run.initial_image)


def _floor(vgg: VGG19, height: int, width: int) -> Callable[[], None]:
    """The convolutions up to block5_conv1, forward and backward, on channels_last tensors of noise."""
    work = []
    for name in layers.CONVS[: layers.CONVS.index(STYLE_LAYERS[-1]) + 1]:
        kernel, bias = vgg.kernels[name]
        shrink = layers.min_edge([name])
        work.append((kernel, bias, *_noise(kernel, height // shrink, width // shrink)))

    @torch.no_grad()
    def convolve() -> None:
        for kernel, bias, inputs, _ in work:
            for band in inputs:
                F.conv2d(band, kernel, bias, padding=1)
        for kernel, _, _, outputs in reversed(work):
            for band in outputs:
                F.conv_transpose2d(band, kernel, padding=1)

    return convolve


def _noise(kernel: Tensor, height: int, width: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Inputs and outputs of a convolution in bands of rows; with padding each, they are as much work as the whole."""
    filters, channels = kernel.shape[:2]
    rows = max(BAND // (max(filters, channels) * width * kernel.itemsize), 1)
    both = (torch.randn(1, count, height, width) for count in (channels, filters))
    inputs, outputs = (each.to(kernel.dtype, memory_format=torch.channels_last).split(rows, dim=2) for each in both)
    return inputs, outputs


def _seconds(evaluate: Callable[[], object]) -> float:
    started = time.perf_counter()
    evaluate()
    return time.perf_counter() - started


def _rows(times: Mapping[str, Sequence[float]], height: int, width: int) -> list[Row]:
    """The rows of the table, with ratios of the medians."""
    medians = {name: median(each) for name, each in times.items()}
    operations = 2 * 2 * layers.multiply_adds(STYLE_LAYERS, height, width)  # multiply and add, forward and backward
    rows: list[Row] = []
    for name, seconds in medians.items():
        floor = medians["floor, " + name.rpartition(", ")[2]]
        rows.append(
            {
                "variant": name,
                "seconds": seconds,
                "minimum": min(times[name]),
                "speed-up over plain float32": medians["plain autograd, float32"] / seconds,
                "fraction of the floor": floor / seconds,
                "GFLOP/s": operations / seconds / 1e9 if name.startswith("floor") else None,
            }
        )
    return rows


def _whole(plan: Plan) -> Row:
    """Seconds per step of the whole program at its defaults, without the first step, which evaluates twice."""
    run = plan.run(preset().replace(size=plan.size, steps=plan.rounds + 1, scale_factor=1), "auto")
    ends = [step.seconds for step in run]
    times = [later - earlier for earlier, later in pairwise(ends)]
    name = f"impasto, whole step ({run.settings.optimizer}), {run.vgg.precision}"
    return {"variant": name, "seconds": median(times), "minimum": min(times)}
