"""The feed-forward networks: style image -> style vector -> normalization parameters; content image -> output image.

Ghiasi, Lee, Kudlur, Dumoulin, Shlens, Exploring the structure of a real-time, arbitrary neural artistic stylization
network, arXiv 1705.06830, 2017; as Magenta distributes it, with a quarter of the paper's filters.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STYLE_VECTOR_SIZE = 100
"""Components of a style vector, the bottleneck of the style predictor."""
STYLE_IMAGE_SIZE = 256
"""Edge in pixels of the square style image that a style vector is predicted from."""
EPSILON = 1e-5
"""Added to the variance by instance normalization."""

WIDTHS = (8, 16, 32)
"""Channels at full, half and quarter resolution; the paper has 32, 64, 128."""
RESIDUAL_BLOCKS = 5
NORMALIZED_CHANNELS = (*[WIDTHS[2]] * 2 * RESIDUAL_BLOCKS, WIDTHS[1], WIDTHS[0], 3)
"""Channels of the layers that are normalized, in the order of evaluation."""

Affines = Sequence[tuple[Tensor, Tensor]]
"""A style as instance normalization parameters: scale and shift (gamma, beta), each (C,), of every normalized layer."""


class Transformer(nn.Module):
    """Content image -> output image, given a style (Ghiasi et al., section 2.2; figure 2, right).

    The convolutions of `contract` have a bias and are not normalized. The others have no bias: the normalization that
    follows would cancel it. The attribute names are part of the file format of a distilled style.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.contract = nn.ModuleList(
            [nn.Conv2d(3, first, 9), nn.Conv2d(first, second, 3, stride=2), nn.Conv2d(second, third, 3, stride=2)]
        )
        self.residual = nn.ModuleList([nn.Conv2d(third, third, 3, bias=False) for _ in range(2 * RESIDUAL_BLOCKS)])
        self.expand = nn.ModuleList(
            [
                nn.Conv2d(third, second, 3, bias=False),
                nn.Conv2d(second, first, 3, bias=False),
                nn.Conv2d(first, 3, 9, bias=False),
            ]
        )

    def forward(self, images: Tensor, style: Affines) -> Tensor:
        """(N, 3, H, W) sRGB in [0, 1], H and W multiples of 4 and at least 20 -> stylized, same shape and range."""
        values = images
        for conv in conv_layers(self.contract):
            values = _conv_reflect(conv, values).relu()
        affines = iter(style)
        residual, expand = conv_layers(self.residual), conv_layers(self.expand)
        for first, second in zip(residual[::2], residual[1::2], strict=True):
            inner = instance_norm(_conv_reflect(first, values), *next(affines)).relu()
            values = values + instance_norm(_conv_reflect(second, inner), *next(affines))
        for conv in expand[:2]:
            # nearest-neighbor upsampling instead of a transposed convolution, which would leave checkerboard artifacts
            upsampled = F.interpolate(values, scale_factor=2, mode="nearest")
            values = instance_norm(_conv_reflect(conv, upsampled), *next(affines)).relu()
        return instance_norm(_conv_reflect(expand[2], values), *next(affines)).sigmoid()


class SingleStyleTransformer(nn.Module):
    """A transformer for one style, whose normalization parameters are trainable like the other weights."""

    def __init__(self, transformer: Transformer, affines: Affines) -> None:
        super().__init__()
        self.transformer = transformer
        self.scale = nn.ParameterList([nn.Parameter(scale.detach().clone()) for scale, _ in affines])
        self.shift = nn.ParameterList([nn.Parameter(shift.detach().clone()) for _, shift in affines])

    @property
    def affines(self) -> Affines:
        """The normalization parameters."""
        return list(zip(self.scale, self.shift, strict=True))

    def forward(self, images: Tensor) -> Tensor:
        """Shapes and ranges as `Transformer.forward`."""
        stylized: Tensor = self.transformer(images, self.affines)
        return stylized


class StylePredictor(nn.Module):
    """Style image -> style vector: MobileNetV2 (Sandler et al., arXiv 1801.04381) up to its global average pooling.

    A linear layer to the style vector replaces the classifier. Batch normalization is folded into the convolutions.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(
            [
                _InvertedResidual(inputs, outputs, stride, expansion=1 if index == 0 else 6)
                for index, (inputs, outputs, stride) in enumerate(INVERTED_RESIDUALS)
            ]
        )
        self.last = nn.Conv2d(320, 1280, 1)
        self.bottleneck = nn.Conv2d(1280, STYLE_VECTOR_SIZE, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 256, 256) sRGB in [0, 1] -> style vectors (N, 100)."""
        values = F.relu6(self.first(_pad_for_stride_2(images)))
        for block in self.blocks:
            values = block(values)
        pooled = F.relu6(self.last(values)).mean((2, 3), keepdim=True)
        vectors: Tensor = self.bottleneck(pooled)
        return vectors.flatten(1)


class Conditioner(nn.Module):
    """Style vector -> normalization parameters, by one linear layer for every scale and every shift."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.ModuleList([nn.Linear(STYLE_VECTOR_SIZE, channels) for channels in NORMALIZED_CHANNELS])
        self.shift = nn.ModuleList([nn.Linear(STYLE_VECTOR_SIZE, channels) for channels in NORMALIZED_CHANNELS])

    def forward(self, style_vector: Tensor) -> Affines:
        """(100,) -> scale and shift of every normalized layer, each (C,)."""
        return [(scale(style_vector), shift(style_vector)) for scale, shift in zip(self.scale, self.shift, strict=True)]


class _InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expansion, 3x3 depthwise convolution, linear 1x1 projection (table 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.expand = nn.Conv2d(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, 3, stride=stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)

    def forward(self, values: Tensor) -> Tensor:
        inner = values if self.expand is None else F.relu6(self.expand(values))
        padded = F.pad(inner, (1, 1, 1, 1)) if self.depthwise.stride == (1, 1) else _pad_for_stride_2(inner)
        projected: Tensor = self.project(F.relu6(self.depthwise(padded)))
        # a shortcut where neither the resolution nor the number of channels changes
        return values + projected if values.shape == projected.shape else projected


INVERTED_RESIDUALS = (
    (32, 16, 1),
    (16, 24, 2), (24, 24, 1),
    (24, 32, 2), (32, 32, 1), (32, 32, 1),
    (32, 64, 2), (64, 64, 1), (64, 64, 1), (64, 64, 1),
    (64, 96, 1), (96, 96, 1), (96, 96, 1),
    (96, 160, 2), (160, 160, 1), (160, 160, 1),
    (160, 320, 1),
)  # fmt: skip
"""Input channels, output channels and stride of MobileNetV2's blocks (table 2); the expansion is 6, in the first 1."""


def conv_layers(layers: nn.Module) -> list[nn.Conv2d]:
    """The convolutions in a list of layers."""
    return [layer for layer in layers.children() if isinstance(layer, nn.Conv2d)]


def instance_norm(values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(N, C, H, W) -> conditional instance normalization with the scale and shift of a style, each (C,).

    scale * (x - mean) / sqrt(variance + EPSILON) + shift, with the mean and variance of each channel of each image over
    its pixels (Dumoulin, Shlens, Kudlur, arXiv 1610.07629, equation 5).
    """
    normalized = F.instance_norm(values.contiguous(), weight=scale, bias=shift, eps=EPSILON)
    if normalized.requires_grad:  # on a CPU, torch 2.13 returns a wrong gradient if it gets one in channels_last
        normalized.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
    return normalized


def reflect_pad(values: Tensor, width: int) -> Tensor:
    """(N, C, H, W) -> padded by reflection on all sides, as by `F.pad`, composed of operations that copy."""
    for axis in (2, 3):
        before = values.narrow(axis, 1, width).flip(axis)
        after = values.narrow(axis, values.shape[axis] - 1 - width, width).flip(axis)
        values = torch.cat([before, values, after], axis)
    return values


def _conv_reflect(conv: nn.Conv2d, values: Tensor) -> Tensor:
    """The convolution with reflection padding, which keeps the size divided by the stride."""
    padding = conv.kernel_size[0] // 2
    # on a GPU the gradient of torch's padding adds in an order that differs from run to run
    padded = F.pad(values, [padding] * 4, "reflect") if values.device.type == "cpu" else reflect_pad(values, padding)
    return F.conv2d(padded, conv.weight, conv.bias, conv.stride)


def _pad_for_stride_2(values: Tensor) -> Tensor:
    """Zeros after the last row and column: TensorFlow's SAME padding of an even size for a 3x3 kernel of stride 2."""
    return F.pad(values, (0, 1, 0, 1))
