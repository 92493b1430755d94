"""Magenta's pretrained networks: the weights, by their TensorFlow variable names, loaded into our modules."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from impasto.feedforward import weights
from impasto.feedforward.network import INVERTED_RESIDUALS, RESIDUAL_BLOCKS, Conditioner, StylePredictor, Transformer
from impasto.feedforward.onnx_weights import Array

_Module = TypeVar("_Module", bound=nn.Module)

_RESIDUAL = [f"residual/residual{block}/conv{conv}" for block in range(1, RESIDUAL_BLOCKS + 1) for conv in (1, 2)]
_EXPAND = [f"expand/conv{conv}/conv" for conv in (1, 2, 3)]
"""Magenta's names of the normalized convolutions, in the order of evaluation."""


class Networks(NamedTuple):
    """The three networks with their pretrained weights."""

    predictor: StylePredictor
    conditioner: Conditioner
    transformer: Transformer


def load() -> Networks:
    """Magenta's networks, on the CPU, for evaluation only.

    Raises:
        WeightsError: their weights are missing or damaged.
    """
    predictor = weights.load(weights.PREDICTOR)
    transformer = weights.load(weights.TRANSFORMER)  # this file holds the conditioner, too
    return Networks(
        _with_weights(StylePredictor, _predictor_names(), predictor),
        _with_weights(Conditioner, _conditioner_names(), transformer),
        _with_weights(Transformer, _transformer_names(), transformer),
    )


def _predictor_names() -> dict[str, str]:
    """Our layer -> Magenta's layer."""
    names = {"first": "MobilenetV2/Conv", "last": "MobilenetV2/Conv_1", "bottleneck": "mobilenet_conv/Conv"}
    for block in range(len(INVERTED_RESIDUALS)):
        scope = f"MobilenetV2/expanded_conv{f'_{block}' if block else ''}"
        names |= {f"blocks.{block}.{conv}": f"{scope}/{conv}" for conv in ("expand", "depthwise", "project")}
    return names


def _transformer_names() -> dict[str, str]:
    names = {f"contract.{index}": f"transformer/contract/conv{index + 1}" for index in range(3)}
    names |= {f"residual.{index}": f"transformer/{layer}" for index, layer in enumerate(_RESIDUAL)}
    return names | {f"expand.{index}": f"transformer/{layer}" for index, layer in enumerate(_EXPAND)}


def _conditioner_names() -> dict[str, str]:
    names: dict[str, str] = {}
    for index, layer in enumerate([*_RESIDUAL, *_EXPAND]):
        scope = f"style_params/transformer/{layer}/StyleNorm"
        names |= {f"shift.{index}": f"{scope}/Conv", f"scale.{index}": f"{scope}/Conv_1"}  # beta first, then gamma
    return names


def _with_weights(network: Callable[[], _Module], names: Mapping[str, str], arrays: Mapping[str, Array]) -> _Module:
    """A network with Magenta's arrays as its parameters; `names` maps our layers to Magenta's."""
    with torch.device("meta"):  # no memory and no time for random weights that would be replaced
        module = network()
    state = {}
    for name, parameter in module.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        depthwise = "depthwise_" if layer.endswith("depthwise") else ""
        variable = {"weight": f"{depthwise}weights", "bias": f"{depthwise or 'Conv2D_'}bias"}[kind]
        # the 1x1 kernels of the conditioner become matrices
        state[name] = torch.from_numpy(arrays[f"{names[layer]}/{variable}"]).view(parameter.shape)
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)
