"""Pictures drawn by formula: skies, hills, walls and round things, for want of photographs."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def scene(number: int, edge: int = 384) -> Tensor:
    """A picture (3, edge, edge) float32 in [0, 1]; of a number always the same."""
    random = torch.Generator().manual_seed(number)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=random))

    def color() -> Tensor:
        return torch.rand(3, 1, 1, generator=random)

    down, across = torch.meshgrid(torch.linspace(0, 1, edge), torch.linspace(0, 1, edge), indexing="ij")
    picture = torch.lerp(color(), color(), down[None].expand(3, -1, -1))
    picture = picture + uniform(0, 0.3) * (_clouds(edge, random) - 0.5)
    for place in range(3):  # hills, one before the other
        ridge = 0.35 + 0.2 * place + uniform(0.02, 0.1) * torch.sin(uniform(4, 14) * across + uniform(0, 6))
        shade = color() * (0.6 + 0.4 * _clouds(edge, random))
        picture = torch.where(down > ridge, shade, picture)
    for _ in range(4):  # houses
        left, top, wide, high = uniform(0, 0.8), uniform(0.3, 0.7), uniform(0.08, 0.25), uniform(0.1, 0.3)
        inside = (across > left) & (across < left + wide) & (down > top) & (down < top + high)
        panes = (torch.sin(across * uniform(60, 160)) * torch.sin(down * uniform(60, 160))) > 0.4
        picture = torch.where(inside, torch.where(panes, color() * 0.4, color()), picture)
    for _ in range(3):  # round things, lit from one side
        x, y, radius = uniform(0.1, 0.9), uniform(0.1, 0.9), uniform(0.04, 0.18)
        far = ((across - x) ** 2 + (down - y) ** 2).sqrt() / radius
        light = (1 - far.clamp(max=1) ** 2).sqrt() * (0.7 + 0.3 * torch.cos(math.pi * (across - x) / radius))
        picture = torch.where(far < 1, color() * light, picture)
    return picture.clamp(0, 1)


def _clouds(edge: int, random: torch.Generator) -> Tensor:
    """(edge, edge): noise of several sizes, each half as strong as the next coarser one."""
    total = torch.zeros(1, 1, edge, edge)
    for power in range(2, 7):
        noise = torch.rand(1, 1, 2**power, 2**power, generator=random)
        total += F.interpolate(noise, (edge, edge), mode="bicubic", align_corners=False) / 2 ** (power - 1)
    return total[0, 0].clamp(0, 1)
