"""Seconds of one step: the loss of a picture and its gradient, and how near that is to the convolutions alone."""

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
from impasto import VGG19, preset
from impasto.settings import layers

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
BAND = 2**23
"""Bytes of a layer that the floor convolves at a time: malloc keeps blocks of this size, larger ones are fresh pages,
which are slower to get than to compute on."""


def measure(plan: Plan) -> Section:
    """The variants in turn, round by round, after one warm-up each: what disturbs the machine disturbs them all."""
    variants = _variants(plan)
    for evaluate in variants.values():
        evaluate()
    rounds = [{name: _seconds(evaluate) for name, evaluate in variants.items()} for _ in range(plan.rounds)]
    times = {name: [each[name] for each in rounds] for name in variants}
    height, width = plan.tensors()[0].shape[2:]
    notes = [
        f"{width}x{height} pixels; median and minimum of {plan.rounds} rounds. The floor of a precision is its"
        " convolutions there and back and nothing else.",
        "The last row is a step of the whole program at its defaults, optimizer included: the median of as many.",
    ]
    return Section("A loss and its gradient", [*_rows(times, height, width), _whole(plan)], notes)


def _variants(plan: Plan) -> dict[str, Callable[[], object]]:
    """Name -> one evaluation at the content, which is where a run begins."""
    content, style = plan.tensors()
    settings = preset("pastiche").replace(size=plan.size)
    variants: dict[str, Callable[[], object]] = {}
    for precision, dtype in PRECISIONS.items():
        run = plan.run(settings, precision)
        variants[f"impasto, {precision}"] = partial(run.scale_run.objective.value_and_grad, run.initial_image)
        variants[f"plain autograd, {precision}"] = partial(Plain(content, style, dtype).value_and_grad, content)
        variants[f"floor, {precision}"] = _floor(run.vgg, run.height, run.width)
    return variants


def _floor(vgg: VGG19, height: int, width: int) -> Callable[[], None]:
    """The convolutions as far as block5_conv1, there and back, on channels_last tensors of noise."""
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
    """Inputs and outputs of a convolution, in bands of rows; padded one by one they are as much work as the whole."""
    filters, channels = kernel.shape[:2]
    rows = max(BAND // (max(filters, channels) * width * kernel.itemsize), 1)
    both = (torch.randn(1, count, height, width) for count in (channels, filters))
    inputs, outputs = (each.to(kernel.dtype, memory_format=torch.channels_last).split(rows, dim=2) for each in both)
    return inputs, outputs


def _seconds(evaluate: Callable[[], object]) -> float:
    began = time.perf_counter()
    evaluate()
    return time.perf_counter() - began


def _rows(times: Mapping[str, Sequence[float]], height: int, width: int) -> list[Row]:
    """The table: ratios of the medians."""
    medians = {name: median(each) for name, each in times.items()}
    operations = 2 * 2 * layers.multiply_adds(STYLE_LAYERS, height, width)  # multiply and add, there and back
    rows: list[Row] = []
    for name, seconds in medians.items():
        floor = medians["floor, " + name.rpartition(", ")[2]]
        rows.append(
            {
                "variant": name,
                "seconds": seconds,
                "minimum": min(times[name]),
                "times as fast as plain float32": medians["plain autograd, float32"] / seconds,
                "share of the floor": floor / seconds,
                "GFLOP/s": operations / seconds / 1e9 if name.startswith("floor") else None,
            }
        )
    return rows


def _whole(plan: Plan) -> Row:
    """Seconds a step of the program as it comes. The first step, which evaluates twice, is left out."""
    run = plan.run(preset().replace(size=plan.size, steps=plan.rounds + 1, scale_factor=1), "auto")
    moments = [step.seconds for step in run]
    times = [later - earlier for earlier, later in pairwise(moments)]
    name = f"impasto, whole step ({run.settings.optimizer}), {run.vgg.precision}"
    return {"variant": name, "seconds": median(times), "minimum": min(times)}
