"""Validation of what is read back from a checkpoint, which is untrusted input."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from impasto.images.recipe import InputRecord
from impasto.settings.model import MAX_THREADS


@dataclass(frozen=True)
class Expected:
    """What a tensor must be: its shape, its dtype, and the range of its values, which are finite."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    low: float = -sys.float_info.max
    high: float = sys.float_info.max

    @classmethod
    def like(cls, tensor: Tensor, low: float = -sys.float_info.max, high: float = sys.float_info.max) -> "Expected":
        """Of the shape and dtype of `tensor`."""
        return cls(tuple(tensor.shape), tensor.dtype, low, high)


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Expected]) -> None:
    """Raise ValueError unless there are exactly the expected tensors, each as expected."""
    if names := tensors.keys() ^ expected.keys():
        raise ValueError(f"the tensor {min(names)} is {'unknown' if min(names) in tensors else 'missing'}")
    for name, want in expected.items():
        tensor = tensors[name]
        if (tensor.dtype, tuple(tensor.shape)) != (want.dtype, want.shape):
            got, needed = (f"{each.dtype} {tuple(each.shape)}" for each in (tensor, want))
            raise ValueError(f"{name} is {got}, not {needed}")
        low, high = (float(bound) for bound in tensor.aminmax()) if tensor.numel() else (want.low, want.high)
        if not want.low <= low <= high <= want.high:  # in this form NaN is refused, too
            raise ValueError(f"{name} has values from {low:g} to {high:g}")


Count = Annotated[int, Field(ge=0, le=10**9)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Spec(_Strict):
    """`Resumable.spec`."""

    impasto: str
    torch: str
    task: str
    settings: dict[str, Any]
    pictures: dict[str, InputRecord]
    mixture: list[float]
    weights: str
    device: str
    precision: str
    ncnn: list[str]


class _CommonNumbers(_Strict):
    """What every state has; `restore` validates the rest."""

    steps_done: Count
    strips: list[Annotated[int, Field(ge=1, le=10**9)] | None] = []


class Header(_Strict):
    """The JSON in the header of a checkpoint; see `checkpoint.Checkpoint`."""

    spec: _Spec
    numbers: _CommonNumbers
    same: dict[str, str]
    outputs: list[str]
    threads: int = Field(ge=1, le=MAX_THREADS)


class _Numbers(BaseModel):
    """Numbers of a state: of these types, none more, finite."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class TrainingNumbers(_Numbers):
    """The numbers of a `Training`."""

    steps_done: Count
    seconds: float = Field(ge=0)


class _Adam(_Numbers):
    steps: Count
    learning_rate: float = Field(gt=0)


class _LBFGS(_Numbers):
    count: Count
    newest: Count
    scale: float = Field(ge=0)
    length: float = Field(gt=0, le=1)
    rejected: Count
    stalled: bool
    layers: list[str]


class _Average(_Numbers):
    count: Count


class ScaleNumbers(_Numbers):
    """The numbers of a `ScaleRun`."""

    kind: Literal["Adam", "LBFGS"]
    optimizer: _Adam | _LBFGS
    average: _Average
    shows_best: bool
    recoveries: Count
    first_loss: float | None
    lowest_loss: float | None


class RunNumbers(TrainingNumbers):
    """The numbers of a `Run`."""

    scale_index: Count
    strips: list[int | None]
    scale_run: dict[str, Any]
