"""Whether the memory of a run suffices for the transformed kernels of ncnn."""

from collections.abc import Sequence
from dataclasses import replace

from impasto.optimize.memory_plan import CostModel, ScalePlan
from impasto.vgg.model import VGG19


def fit_engines(costs: CostModel, plans: Sequence[ScalePlan], memory_limit: int) -> tuple[VGG19, tuple[ScalePlan, ...]]:
    """The network and the scales with the highest strips that fit into `memory_limit` bytes.

    The network is the given one if its kernels fit as well. Otherwise it is evaluated by torch alone: lower strips cost
    as much time as ncnn saves.

    Raises:
        SettingError: even the lowest strips do not fit.
    """
    by_torch = replace(costs, vgg=costs.vgg.with_ncnn(()))
    without = tuple(by_torch.fit(plan, memory_limit) for plan in plans)
    as_given = tuple(costs.estimate(plan, plan.strip) for plan in without)
    if all(plan.memory <= memory_limit for plan in as_given):
        return costs.vgg, as_given
    return by_torch.vgg, without
