"""The scales that a run climbs, coarse to fine."""

import math
from dataclasses import dataclass

from impasto.settings.model import Settings

BASE = 512
"""The long edge at which the settings hold as they are: beyond it steps get fewer, below it the content heavier."""
FEWEST = 20
"""Steps at the largest scales, unless fewer are asked for."""


@dataclass(frozen=True)
class Scale:
    """A size at which a run paints: its long edge in pixels, its steps, and the factor of the content weight."""

    edge: int
    steps: int
    content: float


def scales(settings: Settings) -> tuple[Scale, ...]:
    """The scales of a run, the last of `settings.size`; one that it would hardly differ from is left out.

    Each depends on its own size alone: what a small run does is the beginning of what a large one does.
    """
    if settings.scale_factor == 1:
        return (Scale(settings.size, settings.steps, 1),)
    growth, near = settings.scale_factor, math.sqrt(settings.scale_factor)
    count = max(math.ceil(math.log(settings.size / settings.first_scale / near, growth) - 1e-9), 0)
    edges = [round(settings.first_scale * growth**index) for index in range(count)]
    return tuple(_scale(edge, settings) for edge in [*edges, settings.size])


def _scale(edge: int, settings: Settings) -> Scale:
    fewer = round(settings.steps * min(1, BASE / edge))
    coarseness = min(max(math.log2(BASE / edge) / 2, 0), 1)  # 1 at 128 pixels
    return Scale(edge, max(fewer, min(settings.steps, FEWEST)), settings.coarse_content**coarseness)
