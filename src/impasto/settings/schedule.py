"""The multi-scale schedule: the scales of a run, coarse to fine."""

import math
from dataclasses import dataclass

from impasto.settings.model import Settings

REFERENCE_EDGE = 512
"""Long edge from which on the content weight is that of the settings; smaller scales have a higher one."""
MIN_STEPS = 30
"""Steps at the largest scales, unless the settings ask for fewer: after 20 an image still has grain."""


@dataclass(frozen=True)
class Scale:
    """One scale of a run: long edge in pixels, number of steps, and the factor on the content weight."""

    edge: int
    steps: int
    content_factor: float


def scales(settings: Settings) -> tuple[Scale, ...]:
    """The scales of a run, coarse to fine; the last one has the edge `size`, at most `last_scale`.

    The edges grow geometrically, first_scale * scale_factor^k. The last of them is left out if it is within a factor
    of sqrt(scale_factor) of the last edge: it would cost steps and change little. A scale depends only on its own
    edge, so the scales of a small run are the first scales of a large one.
    """
    last = min(settings.size, settings.last_scale)
    if settings.scale_factor == 1:
        return (Scale(last, settings.steps, 1),)
    growth, near = settings.scale_factor, math.sqrt(settings.scale_factor)
    # the number of k with first_scale * growth^k < last / near; 1e-9 absorbs the rounding of the logarithms
    count = max(math.ceil(math.log(last / settings.first_scale / near, growth) - 1e-9), 0)
    edges = [round(settings.first_scale * growth**index) for index in range(count)]
    return tuple(_scale(edge, settings) for edge in [*edges, last])


def _scale(edge: int, settings: Settings) -> Scale:
    # The large shapes are decided where a step costs little; finer scales only add detail (docs/decisions/schedule.md).
    steps = round(settings.steps * min(1, settings.full_steps_scale / edge))
    return Scale(edge, max(steps, min(settings.steps, MIN_STEPS)), content_factor(edge, settings))


def content_factor(edge: int, settings: Settings) -> float:
    """The factor on the content weight at a scale with that long edge."""
    # 0 at 512 pixels and above, 1 at 128 and below, linear in log(edge): the factor is geometric in between
    coarseness = min(max(math.log2(REFERENCE_EDGE / edge) / 2, 0), 1)
    return float(settings.coarse_content**coarseness)
