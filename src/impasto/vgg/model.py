"""VGG19: a picture -> its responses, every layer by its Keras name (Simonyan and Zisserman 2015, arXiv 1409.1556)."""

import copy
import os
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import layers
from impasto.vgg import device as devices
from impasto.vgg import weights

MEAN = (123.68, 116.779, 103.939)
"""Mean red, green and blue of ImageNet in 0..255, which Keras and Caffe subtract."""

Pooling = Literal["max", "avg"]
Padding = Literal["zeros", "replicate", "circular"]


class VGG19:
    """The sixteen convolutions of VGG19: immutable weights, and the evaluation of them.

    Args:
        kernels: layer name -> (kernel (out, in, 3, 3), bias (out,)), the first convolution reading BGR in 0..255
            less the mean, as Keras' and Caffe's do. Any widths, the topology of VGG19.
        pooling: max, as it was trained, or avg, as Gatys et al. prefer.
        padding: what the first convolution sees beyond the picture: zeros (ImageNet's mean color), as it was trained,
            which paints a frame, or replicate: the picture's own edge going on. With circular every layer sees the
            other edge.
        device, dtype: where and in what the network is evaluated; bfloat16 is faster where the hardware has it.
    """

    def __init__(
        self,
        kernels: Mapping[str, tuple[Tensor, Tensor]],
        *,
        pooling: Pooling = "max",
        padding: Padding = "zeros",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.pooling, self.padding = pooling, padding
        self.origin, self.sha256 = "given", ""  # where the weights came from
        self.device, self.dtype = torch.device(device), dtype
        self.kernels = {
            # channels_last is what the convolutions of every device are fastest in
            name: (kernel.to(device, dtype, memory_format=torch.channels_last), bias.to(device, dtype))
            for name, (kernel, bias) in kernels.items()
        }

    @classmethod
    def load(
        cls,
        choice: str | os.PathLike[str] | weights.WeightsSource = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> "VGG19":
        """The trained network, from a source of weights or from that which `impasto.weights.find(choice)` finds.

        Raises:
            WeightsError: there are none, or they are damaged.
            SettingError: a device or a precision that is not to be had.
        """
        on = devices.device(device)
        source = choice if isinstance(choice, weights.WeightsSource) else weights.find(choice)
        loaded = weights.load(source)
        network = cls(loaded.tensors, device=on, dtype=devices.dtype(precision, on))
        network.origin, network.sha256 = source.kind, loaded.sha256
        return network

    @classmethod
    def random(
        cls, widths: tuple[int, ...] = layers.WIDTHS, *, seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> "VGG19":
        """A network of the same topology with `widths` channels in its five blocks and random (He) weights."""
        generator = torch.Generator().manual_seed(seed)
        kernels, channels = {}, 3
        for name in layers.CONVS:
            width = widths[layers.block_of(name) - 1]
            spread = (2 / (9 * channels)) ** 0.5
            kernel = torch.randn(width, channels, 3, 3, generator=generator, dtype=torch.float64) * spread
            kernels[name] = kernel, torch.randn(width, generator=generator, dtype=torch.float64) * 0.1
            channels = width
        return cls(kernels, dtype=dtype)

    @property
    def precision(self) -> str:
        """The dtype's name: float32 or bfloat16."""
        return str(self.dtype).removeprefix("torch.")

    def configured(self, *, pooling: Pooling, padding: Padding) -> "VGG19":
        """The same weights, shared, with another pooling and padding."""
        other = copy.copy(self)
        other.pooling, other.padding = pooling, padding
        return other

    def channels(self, layer: str) -> int:
        """C, the number of filters of a layer."""
        return len(self.kernels[layer if layer in self.kernels else _conv_before(layer)][1])

    def __call__(self, images: Tensor, wanted: Iterable[str] = layers.CONVS) -> dict[str, Tensor]:
        """(N, 3, H, W) float RGB in [0, 1] -> {layer: (N, C, H', W') responses after the ReLU}, in the network's dtype.

        Nothing beyond the last layer asked for is evaluated. H' and W' halve, rounded down, with every pooling layer.

        Raises:
            ValueError: `images` has another shape, or an edge too short for a layer asked for.
        """
        wanted = tuple(wanted)
        check_images(images, wanted)
        values, responses = self.preprocess(images), {}
        for name in layers.up_to_last(wanted):
            values = self._convolve(name, values) if name in self.kernels else self.pool(values)
            if name in wanted:
                responses[name] = values
        return responses

    def preprocess(self, images: Tensor, *, top: bool = True, bottom: bool = True) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, 3, H+2, W+2): BGR in 0..255 less the mean, with what lies beyond its edge.

        In the network's dtype. The first convolution needs no more padding. Of rows out of a picture's midst, `top` and
        `bottom` say whether the picture ends there.
        """
        images = images.to(self.device)
        mean = images.new_tensor(MEAN).view(1, 3, 1, 1)
        values = (images * 255 - mean).flip(1)
        beyond = 1, 1, int(top), int(bottom)
        padded = F.pad(values, beyond, "constant" if self.padding == "zeros" else self.padding)
        return padded.to(self.dtype, memory_format=torch.channels_last)

    def pool(self, values: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/2, W/2), rounded down."""
        return F.max_pool2d(values, 2) if self.pooling == "max" else F.avg_pool2d(values, 2)

    def _convolve(self, name: str, values: Tensor) -> Tensor:
        padding = int(name != layers.CONVS[0])
        if padding and self.padding == "circular":
            values, padding = F.pad(values, (1, 1, 1, 1), "circular"), 0
        return F.conv2d(values, *self.kernels[name], padding=padding).relu_()


def check_images(images: Tensor, wanted: Iterable[str]) -> None:
    """Refuse what is no batch of pictures that the layers wanted can be evaluated at.

    Raises:
        ValueError: `images` is not (N, 3, H, W), or an edge is too short for a layer.
    """
    smallest = layers.min_edge(wanted)
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
        got = tuple(images.shape)
        raise ValueError(f"images: got shape {got}; give (N, 3, H, W) with H and W at least {smallest}")


def _conv_before(pool: str) -> str:
    return layers.LAYERS[layers.LAYERS.index(layers.check_layer(pool)) - 1]
