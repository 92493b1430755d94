"""How fast the network is on this machine, from which the time of a run is estimated."""

import time
from collections.abc import Iterable

import torch

from impasto.optimize.memory_plan import Size
from impasto.settings import layers
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

PACE_EDGE = 512
"""Long edge of the largest scale that the pace is measured at; smaller ones take more time per multiply-add."""


def measure_pace(vgg: VGG19, layer_names: Iterable[str], size: Size) -> float:
    """Seconds per multiply-add of a forward and a backward pass over noise of `size` (H, W)."""
    names = tuple(layer_names)
    # a generator of its own: the caller's random numbers are not affected
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    image, network = noise.to(vgg.device), Backprop(vgg, names)
    seconds = []
    for _ in range(2):  # the first pass includes the warm-up of the libraries
        started = time.perf_counter()
        network.forward(image, lambda *_: None)
        for _, gradient in network.backward({name: lambda features, _: features.clone() for name in names}):
            float(gradient.sum())  # waits for the device
        seconds.append(time.perf_counter() - started)
    # a backward pass multiplies as often as a forward pass: by the transposed kernels, without weight gradients
    return min(seconds) / (2 * layers.multiply_adds(names, *size))
