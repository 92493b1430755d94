"""Procedural training images: skies, hills, houses and spheres, in addition to the few bundled images."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def procedural_image(seed: int, edge: int = 384) -> Tensor:
    """An image of shape (3, edge, edge), float32 in [0, 1], sRGB, determined by `seed`.

    Its parts have what the losses compare: gradients and noise (sky), textured areas with smooth outlines (hills),
    straight edges with a fine pattern (houses), and shading (spheres).
    """
    generator = torch.Generator().manual_seed(seed)
    # y runs from 0 at the top to 1 at the bottom, x from left to right; both (edge, edge)
    y, x = torch.meshgrid(torch.linspace(0, 1, edge), torch.linspace(0, 1, edge), indexing="ij")
    image = torch.lerp(_color(generator), _color(generator), y[None].expand(3, -1, -1))
    image = image + _uniform(0, 0.3, generator) * (_clouds(edge, generator) - 0.5)
    image = _with_hills(image, x, y, generator)
    image = _with_houses(image, x, y, generator)
    image = _with_spheres(image, x, y, generator)
    return image.clamp(0, 1)


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _color(generator: torch.Generator) -> Tensor:
    """A random color, (3, 1, 1)."""
    return torch.rand(3, 1, 1, generator=generator)


def _with_hills(image: Tensor, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Three ranges of hills, each in front of the one before."""
    for number in range(3):
        height = _uniform(0.02, 0.1, generator)
        ridge = 0.35 + 0.2 * number + height * torch.sin(_uniform(4, 14, generator) * x + _uniform(0, 6, generator))
        shade = _color(generator) * (0.6 + 0.4 * _clouds(len(x), generator))
        image = torch.where(y > ridge, shade, image)
    return image


def _with_houses(image: Tensor, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    for _ in range(4):
        left, top = _uniform(0, 0.8, generator), _uniform(0.3, 0.7, generator)
        width, height = _uniform(0.08, 0.25, generator), _uniform(0.1, 0.3, generator)
        inside = (x > left) & (x < left + width) & (y > top) & (y < top + height)
        windows = (torch.sin(x * _uniform(60, 160, generator)) * torch.sin(y * _uniform(60, 160, generator))) > 0.4
        image = torch.where(inside, torch.where(windows, _color(generator) * 0.4, _color(generator)), image)
    return image


def _with_spheres(image: Tensor, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Three spheres, lit from the left."""
    for _ in range(3):
        center_x, center_y = _uniform(0.1, 0.9, generator), _uniform(0.1, 0.9, generator)
        radius = _uniform(0.04, 0.18, generator)
        distance = ((x - center_x) ** 2 + (y - center_y) ** 2).sqrt() / radius
        light = (1 - distance.clamp(max=1) ** 2).sqrt() * (0.7 + 0.3 * torch.cos(math.pi * (x - center_x) / radius))
        image = torch.where(distance < 1, _color(generator) * light, image)
    return image


def _clouds(edge: int, generator: torch.Generator) -> Tensor:
    """Noise of shape (edge, edge) in [0, 1]: five octaves, each with half the amplitude of the next coarser one."""
    total = torch.zeros(1, 1, edge, edge)
    for power in range(2, 7):
        noise = torch.rand(1, 1, 2**power, 2**power, generator=generator)
        total += F.interpolate(noise, (edge, edge), mode="bicubic", align_corners=False) / 2 ** (power - 1)
    return total[0, 0].clamp(0, 1)
