"""Whether the memory of a run suffices for the transformed kernels of ncnn."""

from collections.abc import Sequence
from dataclasses import replace

from impasto.errors import SettingError
from impasto.optimize.memory_plan import CostModel, ScalePlan
from impasto.vgg.model import VGG19


def fit_engines(costs: CostModel, plans: Sequence[ScalePlan], memory_limit: int) -> tuple[VGG19, tuple[ScalePlan, ...]]:
    """The network and the scales with the highest strips that fit into `memory_limit` bytes.

    The network is evaluated by torch alone if the kernels of ncnn do not fit even with the lowest strips. Strips cost
    half as much time again, and ncnn saves about as much, so that it goes first otherwise.

    Raises:
        SettingError: even the lowest strips do not fit.
    """
    try:
        return costs.vgg, tuple(costs.fit(plan, memory_limit) for plan in plans)
    except SettingError:
        by_torch = replace(costs, vgg=costs.vgg.with_ncnn(()))
        return by_torch.vgg, tuple(by_torch.fit(plan, memory_limit) for plan in plans)
