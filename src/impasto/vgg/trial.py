"""A short trial of the convolutions on this machine, whose times are kept in the user's cache."""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import platformdirs
import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from impasto import files
from impasto.errors import ImpastoError
from impasto.vgg.convolution import DIRECTIONS, Convolution, Direction, TorchConvolution
from impasto.vgg.ncnn_convolution import NcnnConvolution, has_own_openmp, ncnn_module

Way = str
"""How a convolution is evaluated: "torch float32", "torch bfloat16" or "ncnn float32"."""
Times = dict[str, float]
"""Direction, channels and way, see `time_key`, -> nanoseconds per position of the output."""

ROWS, VALUES = 12, 16384
"""Rows that are convolved, and values in each of them: as in an image of 256 pixels."""
ROUNDS, LIMIT = 5, 0.7
"""Repetitions, if they end within LIMIT seconds; one at least."""

_TIMES = TypeAdapter(dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]])


def time_key(direction: Direction, kernel: Tensor, way: Way) -> str:
    """The key of a time: "forward 64>128 torch float32"; for ncnn, which only convolves, "64>128 ncnn float32"."""
    filters, channels = kernel.shape[:2]
    if way.startswith("torch"):
        return f"{direction} {channels}>{filters} {way}"
    return f"{channels}>{filters} {way}" if direction == "forward" else f"{filters}>{channels} {way}"


def times(kernels: Iterable[tuple[Tensor, Tensor]], ways: Iterable[Way]) -> Times:
    """The times of convolutions, from the cache or measured.

    Args:
        kernels: kernel (out, in, 3, 3) and bias (out,) of each, float32 on the CPU.
    """
    by_key = {
        time_key(direction, kernel, way): functools.partial(_trial, direction, kernel, bias, way)
        for (kernel, bias), direction, way in itertools.product(kernels, DIRECTIONS, ways)
    }
    known: Times = {}
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # none yet, a damaged one, or no home folder
        known = _TIMES.validate_json(_cache_file().read_bytes(), strict=True)
    missing = {key: trial for key, trial in by_key.items() if key not in known}
    if missing:
        known |= _measure(missing)
        with contextlib.suppress(ImpastoError, OSError, RuntimeError):  # then it is measured every time
            cache = _cache_file()
            cache.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(cache) as file:
                file.write(json.dumps(known, indent=0).encode())
    return {key: known[key] for key in by_key}


def _measure(trials: Mapping[str, Callable[[], Callable[[], float]]]) -> Times:
    """The minimum of a few repetitions, in turn, so that other load on the machine affects all of them."""
    end = time.perf_counter() + LIMIT
    ready = {key: trial() for key, trial in trials.items()}
    measured, seconds = dict.fromkeys(trials, float("inf")), 0.0
    for number in range(ROUNDS):
        started = time.perf_counter()
        if number and started + seconds > end:
            break
        for key, run in ready.items():
            measured[key] = min(measured[key], run())
        seconds = time.perf_counter() - started
    return measured


def _trial(direction: Direction, kernel: Tensor, bias: Tensor, way: Way) -> Callable[[], float]:
    """A function that convolves once and returns the nanoseconds per position."""
    engine, dtype = way.split()
    kernel, bias = (each.to(getattr(torch, dtype)) for each in (kernel, bias))
    filters, channels = kernel.shape[:2]
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    convolution: Convolution = (NcnnConvolution if engine == "ncnn" else TorchConvolution)(kernel, bias)
    width = VALUES // max(filters, channels)
    below, above = (
        torch.ones(1, count, ROWS, width, dtype=kernel.dtype).contiguous(memory_format=torch.channels_last)
        for count in (channels, filters)
    )

    def run(columns: int = width) -> float:
        started = time.perf_counter_ns()
        if direction == "forward":
            convolution.forward(below[..., :columns], (1, 1), above[..., :columns])
        else:
            convolution.gradient(above[..., :columns], (1, 1))
        return (time.perf_counter_ns() - started) / (ROWS * width)

    run(columns=1)  # ncnn transforms the kernels
    return run


def _cache_file() -> Path:
    """The file with the times of this processor, these versions and this number of threads."""
    ncnn = getattr(ncnn_module(), "__version__", "")
    limits = [os.environ.get(name) for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")]  # of torch's convolutions
    machine = _processor(), torch.backends.cpu.get_cpu_capability(), limits, torch.get_num_threads()
    packages = torch.__version__, ncnn, has_own_openmp()
    digest = hashlib.sha256(repr((machine, packages)).encode()).hexdigest()
    return platformdirs.user_cache_path("impasto") / f"convolutions-{digest[:16]}.json"


def _processor() -> str:
    """The model of the processor."""
    with contextlib.suppress(OSError):  # `platform.processor` says nothing on Linux
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in lines if line.startswith("model name")), platform.machine())
    return platform.processor()
