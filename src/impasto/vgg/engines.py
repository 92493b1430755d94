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
        precision: as for `VGG19.load`.
        engine: "torch", "ncnn" wherever it can, or "auto": the faster one for each convolution. Or the convolutions
            that ncnn evaluates, as a recipe lists them, which do not apply to another device or precision.

    Raises:
        SettingError: the precision or the engine is unknown, or ncnn cannot be used.
    """
    dtype = devices.select_dtype(precision, on)
    able = {name: kernels[name] for name in kernels if supports(kernels[name][0])}
    is_possible = on.type == "cpu" and precision != "bfloat16"
    if not isinstance(engine, str):
        if not is_possible or not engine:
            return Engines(dtype)
        check_ncnn(engine, kernels)
        return Engines(torch.float32, tuple(engine))
    if engine not in get_args(Engine):
        raise SettingError(f"engine: got {engine!r}; give one of {', '.join(get_args(Engine))}")
    if engine == "ncnn":
        if not is_possible:
            raise SettingError(f"engine: got ncnn with {on.type} and {precision}; it needs the cpu and float32")
        ncnn = [f"{name} {direction}" for name in able for direction in DIRECTIONS]
        check_ncnn(ncnn, kernels)
        return Engines(torch.float32, tuple(ncnn))
    if engine == "torch" or not is_possible or not able or ncnn_module() is None:
        return Engines(dtype)
    return _fastest(able, dtype)


def check_ncnn(ncnn: Sequence[str], kernels: Kernels) -> None:
    """Check that ncnn can evaluate the convolutions named, see `Engines`.

    Raises:
        SettingError: it is not installed, or is not able to.
    """
    if ncnn_module() is None:
        raise SettingError('engine: the package ncnn is not installed; `pip install "impasto[ncnn]"`, or give torch')
    for name in ncnn:
        layer, _, direction = name.partition(" ")
        if direction not in DIRECTIONS or layer not in kernels or not supports(kernels[layer][0]):
            raise SettingError(f"engine: ncnn cannot evaluate {name!r} of this network; give torch")


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
