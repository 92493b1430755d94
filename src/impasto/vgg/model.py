"""VGG19: images -> features, each layer by its Keras name (Simonyan and Zisserman 2015, arXiv 1409.1556)."""

import contextlib
import copy
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.arguments import of_type
from impasto.settings import layers
from impasto.torch_state import isolated
from impasto.vgg import device as devices
from impasto.vgg import engines, weights
from impasto.vgg.convolution import Convolution, Direction, TorchConvolution
from impasto.vgg.ncnn_convolution import KERNEL_GROWTH, NcnnConvolution, workspace_bytes

MEAN = (123.68, 116.779, 103.939)
"""Mean red, green and blue of ImageNet in 0..255, which Keras and Caffe subtract; they divide by no deviation."""

Pooling = Literal["max", "avg"]
Padding = Literal["zeros", "replicate", "circular"]


class VGG19:
    """The sixteen convolutions of VGG19 with immutable weights.

    Args:
        kernels: layer name -> (kernel (out, in, 3, 3), bias (out,)); the first convolution reads BGR in 0..255 minus
            the mean, as in Keras and Caffe. Any widths, in the topology of VGG19.
        pooling: "max", as VGG19 was trained, or "avg", as Gatys et al. prefer (2015, methods).
        padding: padding mode of the first convolution: "zeros" (ImageNet's mean color), as VGG19 was trained, which
            leaves a visible frame in the result, or "replicate", which repeats the edge. "circular" wraps around to
            the opposite edge in every layer.
        device: where the network is evaluated.
        dtype: of weights and features; bfloat16 is faster where the hardware supports it.

    Attributes:
        ncnn: the convolutions that ncnn evaluates, see `engines.Engines`; torch evaluates the others.
    """

    @isolated
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
        self.device, self.dtype, self.tf32 = torch.device(device), dtype, False
        mean = torch.tensor(MEAN, dtype=devices.accumulation_dtype(self.device)).view(1, 3, 1, 1)
        self._mean = mean.to(self.device)
        self.kernels = {
            # Convolutions are fastest in channels_last (NHWC) memory on CPU and CUDA; and the matrix of features by
            # positions, (M, C), that a Gram matrix needs is then a view.
            name: (kernel.to(device, dtype, memory_format=torch.channels_last), bias.to(device, dtype))
            for name, (kernel, bias) in kernels.items()
        }
        self.ncnn: tuple[str, ...] = ()
        self._by_torch = {name: TorchConvolution(*tensors) for name, tensors in self.kernels.items()}
        self._by_ncnn = {name: NcnnConvolution(*tensors) for name, tensors in self.kernels.items()}

    @classmethod
    @isolated
    def load(
        cls,
        choice: str | os.PathLike[str] | weights.WeightsSource = "auto",
        *,
        device: torch.device | str = "auto",
        precision: str = "auto",
        engine: str | Sequence[str] = "auto",
    ) -> "VGG19":
        """The trained network, from a weights source or from the one that `impasto.weights.find(choice)` returns.

        Args:
            precision: "float32", "tf32" (NVIDIA GPUs), "bfloat16", or "auto": the fastest.
            engine: "torch", "ncnn", or "auto": the faster one for each convolution, by a trial of a second whose times
                are kept in the cache of the user; or the convolutions that ncnn evaluates, as a recipe lists them.

        Raises:
            WeightsError: the weights are missing or damaged.
            SettingError: the device, the precision or the engine is unknown or not available.
        """
        on = devices.select_device(device)
        source = choice if isinstance(choice, weights.WeightsSource) else weights.find(choice)
        loaded = weights.load(source)
        selected = engines.select(loaded.tensors, on, precision, engine)
        network = cls(loaded.tensors, device=on, dtype=selected.dtype).with_ncnn(selected.ncnn)
        network.origin, network.sha256 = source.kind, loaded.sha256
        network.tf32 = precision == "tf32"
        return network

    @classmethod
    @isolated
    def random(
        cls, widths: tuple[int, ...] = layers.WIDTHS, *, seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> "VGG19":
        """A network of the same topology with `widths` channels in its five blocks and random weights.

        Normal with variance 2 / fan-in (He et al. 2015, arXiv 1502.01852), which keeps features in scale with depth.
        """
        generator = torch.Generator().manual_seed(seed)
        kernels, channels = {}, 3
        for name in layers.CONVS:
            width = widths[layers.block_of(name) - 1]
            std = (2 / (9 * channels)) ** 0.5
            # Drawn in float64 and cast later: one seed gives the same network in every dtype.
            kernel = torch.randn(width, channels, 3, 3, generator=generator, dtype=torch.float64) * std
            kernels[name] = kernel, torch.randn(width, generator=generator, dtype=torch.float64) * 0.1
            channels = width
        return cls(kernels, dtype=dtype)

    @property
    def precision(self) -> str:
        """The dtype's name, or tf32: float32 whose factors are rounded to TF32 in convolutions and products."""
        return "tf32" if self.tf32 else str(self.dtype).removeprefix("torch.")

    @property
    def variant(self) -> tuple[object, ...]:
        """What features depend on besides the weights: how the convolutions are evaluated, and where."""
        return self.pooling, self.padding, self.device, self.dtype, self.tf32, self.ncnn

    def arithmetic(self) -> contextlib.AbstractContextManager[None]:
        """The context in which the network is evaluated, see `impasto.vgg.device.arithmetic`."""
        return devices.arithmetic(self.device, tf32=self.tf32)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(tensor.nbytes for kernel in self.kernels.values() for tensor in kernel)

    @property
    def engine(self) -> str:
        """The packages that evaluate the convolutions: torch, or torch and ncnn."""
        return "torch and ncnn" if self.ncnn else "torch"

    def convolution(self, name: str, direction: Direction) -> Convolution:
        """The convolution of a layer, as it is evaluated in a direction."""
        return self._by_ncnn[name] if f"{name} {direction}" in self.ncnn else self._by_torch[name]

    def with_ncnn(self, ncnn: Sequence[str]) -> "VGG19":
        """A network that shares these weights, with other convolutions by ncnn, which apply to float32 on a CPU only.

        Raises:
            SettingError: ncnn is not installed, or cannot evaluate them.
        """
        other = copy.copy(self)
        other.ncnn = ()
        if ncnn and (self.device.type, self.dtype) == ("cpu", torch.float32):
            engines.check_ncnn(ncnn, self.kernels)
            other.ncnn = tuple(ncnn)
        return other

    def ncnn_bytes(self, names: Collection[str], width: int) -> int:
        """Bytes that ncnn needs for those layers of images of that width: transformed kernels, and a workspace."""
        evaluated = [name for name in (each.split()[0] for each in self.ncnn) if name in names]
        kernels = sum(KERNEL_GROWTH * self.kernels[name][0].nbytes for name in evaluated)
        return kernels + workspace_bytes(width) if evaluated else 0

    @isolated
    def to(self, device: torch.device | str) -> "VGG19":
        """The network on another device, with TF32 and ncnn where they are available; a SettingError if it is not."""
        on = devices.select_device(device)
        if on == self.device:
            return self
        other = VGG19(self.kernels, pooling=self.pooling, padding=self.padding, device=on, dtype=self.dtype)
        other.origin, other.sha256, other.tf32 = self.origin, self.sha256, self.tf32 and devices.has_tf32(on)
        return other.with_ncnn(self.ncnn)

    def configured(self, *, pooling: Pooling, padding: Padding) -> "VGG19":
        """A network that shares these weights, with another pooling and padding."""
        other = copy.copy(self)
        other.pooling, other.padding = pooling, padding
        return other

    def channels(self, layer: str) -> int:
        """C, the number of channels of a layer."""
        return len(self.kernels[layer if layer in self.kernels else _conv_below(layer)][1])

    def __call__(self, images: Tensor, wanted: Iterable[str] = layers.CONVS) -> dict[str, Tensor]:
        """(N, 3, H, W) float RGB in [0, 1] -> {layer: (N, C, H', W') features after the ReLU}, in the network's dtype.

        Layers above the last one in `wanted` are not evaluated. Each pooling layer halves H' and W', rounded down.

        Raises:
            ValueError: `images` has another shape, or an edge too short for a wanted layer.
        """
        wanted = tuple(wanted)
        check_images(images, wanted)
        values, features = self.preprocess(images), {}
        with self.arithmetic():
            for name in layers.up_to_last(wanted):
                values = self._convolve(name, values) if name in self.kernels else self.pool(values)
                if name in wanted:
                    features[name] = values
        return features

    def preprocess(self, images: Tensor, *, top: bool = True, bottom: bool = True) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] -> (N, 3, H+2, W+2): BGR in 0..255 minus the mean, padded, in the network's dtype.

        The first convolution adds no padding to it. For some rows of an image, `top` and `bottom` say whether to pad
        there; where not, the rows given include the neighbor that the convolution reads.
        """
        images = images.to(self.device)
        values = (images * 255 - self._mean.to(images.dtype)).flip(1)
        # Padded after the mean is subtracted: a zero is then ImageNet's mean color and not black.
        amounts = 1, 1, int(top), int(bottom)
        padded = F.pad(values, amounts, "constant" if self.padding == "zeros" else self.padding)
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
    """Check that the wanted layers can be evaluated for `images`.

    Raises:
        ValueError: `images` is not (N, 3, H, W), or an edge is too short for a wanted layer.
    """
    smallest = layers.min_edge(wanted)
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
        got = tuple(images.shape)
        raise ValueError(f"images: got shape {got}; give (N, 3, H, W) with H and W at least {smallest}")


def _conv_below(pool: str) -> str:
    return layers.LAYERS[layers.LAYERS.index(layers.check_layer(pool)) - 1]


def network_or_default(vgg: VGG19 | None) -> VGG19:
    """The network that a caller passed; by default that of the best weights, on the fastest device available.

    Raises:
        SettingError: something else was passed.
    """
    return VGG19.load() if vgg is None else of_type(vgg, VGG19, "vgg", "give impasto.VGG19.load(...)")
