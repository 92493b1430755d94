"""The settings as keyword arguments, for editors and type checkers (PEP 692); a test compares them with `Settings`."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict

from impasto.settings.model import Color, Depth, Faces, Method, StyleLoss

LayerWeights = Mapping[str, float] | Iterable[str]
"""Layers with their weights, or a list of "NAME" and "NAME=WEIGHT"."""


class FastChanges(TypedDict, total=False):
    """The settings that the one-pass method uses."""

    size: int
    strength: float
    color: Color
    depth: Depth
    dither: bool


class SettingChanges(FastChanges, total=False):
    """All settings but `init`, which is a parameter of its own: it may also be an image."""

    style_scale: float
    style_rotation: float
    steps: int
    first_scale: int
    scale_factor: float
    last_scale: int
    full_steps_scale: int
    optimizer: Literal["adam", "lbfgs", "keras-adam"]
    learning_rate: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    average: float
    content_weight: float
    style_weight: float
    coarse_content: float
    adaptive_content: float
    tv_weight: float
    grain_weight: float
    faces: Faces
    content_layers: LayerWeights
    style_layers: LayerWeights
    style_loss: StyleLoss
    convention: Literal["relative", "impasto", "keras", "gatys", "neural-style", "pastiche"]
    pooling: Literal["max", "avg"]
    padding: Literal["replicate", "zeros", "circular"]
    resampling: Literal["antialiased", "tensorflow"]
    seed: int
    method: Method
