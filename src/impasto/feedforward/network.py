"""The feed-forward networks: a painting becomes a code, and a photograph is painted in one pass.

Ghiasi, Lee, Kudlur, Dumoulin, Shlens, Exploring the structure of a real-time, arbitrary neural artistic stylization
network, arXiv 1705.06830, 2017; as Magenta distributes it, with a quarter of the paper's filters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.feedforward import weights
from impasto.feedforward.onnx_weights import Array

CODE = 100
"""Numbers in the code of a style."""
STYLE_EDGE = 256
"""Pixels of each edge of the picture that a code is predicted from."""
EPSILON = 1e-5
"""What instance normalization adds to a variance."""

WIDTHS = (8, 16, 32)
BLOCKS = 5
NORMALIZED = (*[WIDTHS[2]] * 2 * BLOCKS, WIDTHS[1], WIDTHS[0], 3)
"""Filters of the layers that are normalized, in order."""

_Network = TypeVar("_Network", bound=nn.Module)

Affines = Sequence[tuple[Tensor, Tensor]]
"""A style: scale and shift, each (C,), of every layer that is normalized."""


class Transformer(nn.Module):
    """A photograph -> the painting, given a style (section 2.2; figure 2, right)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.contract = nn.ModuleList(
            [nn.Conv2d(3, first, 9), nn.Conv2d(first, second, 3, stride=2), nn.Conv2d(second, third, 3, stride=2)]
        )
        self.residual = nn.ModuleList([nn.Conv2d(third, third, 3, bias=False) for _ in range(2 * BLOCKS)])
        self.expand = nn.ModuleList(
            [
                nn.Conv2d(third, second, 3, bias=False),
                nn.Conv2d(second, first, 3, bias=False),
                nn.Conv2d(first, 3, 9, bias=False),
            ]
        )

    def forward(self, images: Tensor, style: Affines) -> Tensor:
        """(N, 3, H, W) sRGB in [0, 1], H and W multiples of 4 of at least 20 -> the same, painted."""
        values = images
        for conv in convolutions(self.contract):
            values = _reflected(conv, values).relu()
        affines = iter(style)
        residual, expand = convolutions(self.residual), convolutions(self.expand)
        for first, second in zip(residual[::2], residual[1::2], strict=True):
            inner = normalized(_reflected(first, values), *next(affines)).relu()
            values = values + normalized(_reflected(second, inner), *next(affines))
        for conv in expand[:2]:
            grown = F.interpolate(values, scale_factor=2, mode="nearest")
            values = normalized(_reflected(conv, grown), *next(affines)).relu()
        return normalized(_reflected(expand[2], values), *next(affines)).sigmoid()


class StylePredictor(nn.Module):
    """A painting -> its code: MobileNetV2 (Sandler et al., arXiv 1801.04381) up to the mean of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(
            [
                _Block(inputs, outputs, stride, 6 if place else 1)
                for place, (inputs, outputs, stride) in enumerate(_SHAPES)
            ]
        )
        self.last = nn.Conv2d(320, 1280, 1)
        self.code = nn.Conv2d(1280, CODE, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, 256, 256) sRGB in [0, 1] -> (N, 100)."""
        values = F.relu6(self.first(_after(images)))
        for block in self.blocks:
            values = block(values)
        values = F.relu6(self.last(values)).mean((2, 3), keepdim=True)
        code: Tensor = self.code(values)
        return code.flatten(1)


class Conditioner(nn.Module):
    """A code -> a style: one linear map for every scale and shift."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.ModuleList([nn.Linear(CODE, width) for width in NORMALIZED])
        self.shift = nn.ModuleList([nn.Linear(CODE, width) for width in NORMALIZED])

    def forward(self, code: Tensor) -> Affines:
        """(100,) -> the style."""
        return [(scale(code), shift(code)) for scale, shift in zip(self.scale, self.shift, strict=True)]


class _Block(nn.Module):
    """An inverted residual block: expand, filter each channel by itself, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, growth: int) -> None:
        super().__init__()
        inner = growth * inputs
        self.expand = nn.Conv2d(inputs, inner, 1) if growth > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, 3, stride=stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)

    def forward(self, values: Tensor) -> Tensor:
        inner = values if self.expand is None else F.relu6(self.expand(values))
        padded = F.pad(inner, (1, 1, 1, 1)) if self.depthwise.stride == (1, 1) else _after(inner)
        found: Tensor = self.project(F.relu6(self.depthwise(padded)))
        return values + found if values.shape == found.shape else found


_SHAPES = (
    (32, 16, 1),
    (16, 24, 2), (24, 24, 1),
    (24, 32, 2), (32, 32, 1), (32, 32, 1),
    (32, 64, 2), (64, 64, 1), (64, 64, 1), (64, 64, 1),
    (64, 96, 1), (96, 96, 1), (96, 96, 1),
    (96, 160, 2), (160, 160, 1), (160, 160, 1),
    (160, 320, 1),
)  # fmt: skip
"""Channels in and out, and stride, of MobileNetV2's blocks (table 2)."""


def convolutions(layers: nn.Module) -> list[nn.Conv2d]:
    """The convolutions in a list of layers."""
    return [each for each in layers.children() if isinstance(each, nn.Conv2d)]


def normalized(values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(N, C, H, W) with each channel brought to the mean `shift` and the standard deviation `scale`, each (C,).

    Conditional instance normalization (Dumoulin, Shlens, Kudlur, arXiv 1610.07629, equation 5).
    """
    return F.instance_norm(values, weight=scale, bias=shift, eps=EPSILON)


_NORMALIZED = [f"residual/residual{block}/conv{place}" for block in range(1, BLOCKS + 1) for place in (1, 2)]
_NORMALIZED += [f"expand/conv{place}/conv" for place in (1, 2, 3)]
_STYLE = "style_params/transformer"
"""Magenta's names of the layers that are normalized, and of what normalizes them."""


class Networks(NamedTuple):
    """The three of them, with weights."""

    predictor: StylePredictor
    conditioner: Conditioner
    transformer: Transformer


def load() -> Networks:
    """Magenta's networks, on the CPU.

    Raises:
        WeightsError: their weights are not at hand.
    """
    names = {"first": "MobilenetV2/Conv", "last": "MobilenetV2/Conv_1", "code": "mobilenet_conv/Conv"}
    for place in range(len(_SHAPES)):
        theirs = f"MobilenetV2/expanded_conv{f'_{place}' if place else ''}"
        names |= {f"blocks.{place}.{part}": f"{theirs}/{part}" for part in ("expand", "depthwise", "project")}
    predictor = _filled(StylePredictor, names, weights.load(weights.PREDICTOR))
    found = weights.load(weights.TRANSFORMER)
    names = {f"contract.{place}": f"transformer/contract/conv{place + 1}" for place in range(3)}
    names |= {f"residual.{place}": f"transformer/{layer}" for place, layer in enumerate(_NORMALIZED[:-3])}
    names |= {f"expand.{place}": f"transformer/{layer}" for place, layer in enumerate(_NORMALIZED[-3:])}
    transformer = _filled(Transformer, names, found)
    names = {f"shift.{place}": f"{_STYLE}/{layer}/StyleNorm/Conv" for place, layer in enumerate(_NORMALIZED)}
    names |= {f"scale.{place}": f"{_STYLE}/{layer}/StyleNorm/Conv_1" for place, layer in enumerate(_NORMALIZED)}
    return Networks(predictor, _filled(Conditioner, names, found), transformer)


def _filled(kind: Callable[[], _Network], names: Mapping[str, str], found: Mapping[str, Array]) -> _Network:
    """The network with the weights found, of which each layer of ours has another name there."""
    with torch.device("meta"):  # no random weights that would be thrown away
        network = kind()
    state = {}
    for own, values in network.state_dict().items():
        layer, sort = own.rsplit(".", 1)
        depthwise = "depthwise_" if layer.endswith("depthwise") else ""
        name = {"weight": f"{depthwise}weights", "bias": f"{depthwise or 'Conv2D_'}bias"}[sort]
        state[own] = torch.from_numpy(found[f"{names[layer]}/{name}"]).view(values.shape)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _reflected(conv: nn.Conv2d, values: Tensor) -> Tensor:
    """The convolution, its input mirrored at the edges."""
    beyond = conv.kernel_size[0] // 2
    padded = F.pad(values, [beyond] * 4, "reflect")
    return F.conv2d(padded, conv.weight, conv.bias, conv.stride)


def _after(values: Tensor) -> Tensor:
    """Zeros behind the last row and column: what TensorFlow pads an even size with for a stride of 2."""
    return F.pad(values, (0, 1, 0, 1))
