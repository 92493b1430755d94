"""The choice of engine and precision: torch or ncnn for each convolution, float32 or bfloat16 for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.settings import layers
from impasto.settings.model import Engine
from impasto.vgg import device as devices
from impasto.vgg import trial
from impasto.vgg.convolution import DIRECTIONS
from impasto.vgg.ncnn_convolution import ncnn_module, supports

Kernels = Mapping[str, tuple[Tensor, Tensor]]
"""Layer -> kernel (out, in, 3, 3) and bias (out,)."""

INSTALL = '`pip install "impasto[ncnn]"`'


@dataclass(frozen=True)
class Engines:
    """How the convolutions of a network are evaluated.

    Attributes:
        dtype: of weights and features.
        ncnn: the convolutions that ncnn evaluates, such as "block1_conv2 forward"; torch evaluates the others.
    """

    dtype: torch.dtype
    ncnn: tuple[str, ...] = ()


def select(kernels: Kernels, on: torch.device, precision: str, engine: str | Sequence[str]) -> Engines:
    """The engines for kernels in float32 on the CPU.

    Args:
        on: where the network is evaluated.
        precision: "float32", "bfloat16" or "auto": the faster one.
        engine: "torch", "ncnn" wherever it can, or "auto": the faster one for each convolution; or `Engines.ncnn`.

    Raises:
        SettingError: the precision or the engine is unknown, or ncnn cannot be used.
    """
    dtype = devices.select_dtype(precision, on)
    able = [name for name, (kernel, _) in kernels.items() if supports(kernel)]
    if not isinstance(engine, str):
        if engine:
            _check_ncnn(on, precision)
        return Engines(torch.float32 if engine else dtype, tuple(engine))
    if engine not in get_args(Engine):
        raise SettingError(f"engine: got {engine!r}; give one of {', '.join(get_args(Engine))}")
    if engine == "ncnn":
        _check_ncnn(on, precision)
        return Engines(torch.float32, tuple(f"{name} {direction}" for name in able for direction in DIRECTIONS))
    if engine == "torch" or on.type != "cpu" or precision == "bfloat16" or not able or ncnn_module() is None:
        return Engines(dtype)
    return _fastest({name: kernels[name] for name in able}, dtype)


def _check_ncnn(on: torch.device, precision: str) -> None:
    if on.type != "cpu" or precision == "bfloat16":
        raise SettingError(f"engine: ncnn computes on the cpu in float32, got {on.type} and {precision}; leave it out")
    if ncnn_module() is None:
        raise SettingError(f"engine: the package ncnn is not installed; {INSTALL} or give torch")


def _fastest(kernels: Kernels, fastest_by_torch: torch.dtype) -> Engines:
    """The fastest engines by a trial. bfloat16 takes part if `fastest_by_torch`: elsewhere it is emulated."""
    by_torch, by_ncnn = _times(kernels, "torch float32", "ncnn float32")
    float32 = Engines(torch.float32, tuple(name for name in by_torch if by_ncnn[name] < by_torch[name]))
    if fastest_by_torch != torch.bfloat16:
        return float32
    # Should it be emulated nevertheless, a hundred times slower, one narrow layer shows it.
    narrowest = min(kernels, key=lambda name: kernels[name][0].numel())
    for some in ({narrowest: kernels[narrowest]}, kernels):
        (in_bfloat16,) = _times(some, "torch bfloat16")
        if sum(in_bfloat16.values()) > sum(min(by_torch[name], by_ncnn[name]) for name in in_bfloat16):
            return float32
    return Engines(torch.bfloat16)


def _times(kernels: Kernels, *ways: trial.Way) -> list[dict[str, float]]:
    """For each way the times of the convolutions, such as "block1_conv2 forward", for the same image."""
    measured = trial.times(kernels.values(), ways)
    return [
        {
            f"{name} {direction}": measured[trial.time_key(direction, kernel, way)] / layers.min_edge([name]) ** 2
            for name, (kernel, _) in kernels.items()
            for direction in DIRECTIONS
        }
        for way in ways
    ]
