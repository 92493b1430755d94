"""The description of a run or a training that its checkpoints carry."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from impasto.images.picture import Picture
from impasto.settings.model import Settings
from impasto.version import __version__
from impasto.vgg.model import VGG19


def make_spec(
    task: str, settings: Settings, pictures: Mapping[str, dict[str, str]], mixture: Sequence[float], vgg: VGG19
) -> dict[str, Any]:
    """Everything that a result depends on besides the state of its steps, as JSON.

    Args:
        pictures: role -> `picture_record` of each input.
        mixture: weights of the style images.
    """
    return {
        "impasto": __version__,
        "torch": torch.__version__,
        "task": task,
        "settings": settings.model_dump(mode="json"),
        "pictures": dict(pictures),
        "mixture": list(mixture),
        "weights": vgg.sha256,
        "device": vgg.device.type,
        "precision": vgg.precision,
        "ncnn": list(vgg.ncnn),
    }


def picture_record(picture: Picture) -> dict[str, str]:
    """Name and SHA-256 of an input."""
    return {"name": picture.name, "sha256": picture.content_hash}
