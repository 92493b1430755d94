"""The plan of a run: its strips, and whether its memory suffices for the transformed kernels of ncnn."""

from collections.abc import Sequence
from dataclasses import replace

from impasto.errors import SettingError
from impasto.optimize.inputs import Inputs
from impasto.optimize.memory_plan import CostModel, ScalePlan
from impasto.vgg import device as devices
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


def plan_run(
    vgg: VGG19, inputs: Inputs, memory: int | None, strips: Sequence[int | None] | None
) -> tuple[VGG19, tuple[ScalePlan, ...]]:
    """The scales with their strips: those given, or what fits into the memory limit; and the network for them."""
    input_bytes = inputs.nbytes + inputs.upsampled_bytes
    costs = CostModel(vgg, inputs.settings, inputs.layer_names, input_bytes, inputs.guided_regions)
    # a resumed run gets the strips of its checkpoint: sums must be split alike to be rounded alike
    if strips is not None and len(strips) == len(inputs.scale_plans):
        return vgg, tuple(map(costs.estimate, inputs.scale_plans, strips))
    limit = devices.available_memory(vgg.device) if memory is None else memory
    return fit_engines(costs, inputs.scale_plans, limit)
