"""The description of a run or a training that its checkpoints carry, and how two of them differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from impasto.errors import printable
from impasto.images.faces import weights as yunet
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


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first difference between two specs (see `Resumable.spec`) in words, or None; that of torch may differ."""
    if before["settings"].keys() != now["settings"].keys():
        return f"was written by another version of impasto ({shown(before['impasto'])}), which has other settings"
    for name, value in now["settings"].items():
        if (was := before["settings"].get(name)) != value:
            missing = (
                ", since the face detector is not installed" if name == "faces" and not yunet.is_installed() else ""
            )
            return f"was started with {name} {shown(was)}, got {value}{missing}"
    for name in ("task", "device", "precision", "ncnn"):
        if (was := before.get(name)) != now[name]:
            return f"was started with {name} {shown(was)}, got {shown(now[name])}"
    for role in {**before["pictures"], **now["pictures"]}:
        was, given = before["pictures"].get(role), now["pictures"].get(role)
        if (was and was["sha256"]) != (given and given["sha256"]):
            names = [printable(each["name"]) if each else "none" for each in (was, given)]
            return f"was started with another {role}: {names[0]}, got {names[1]}, which is not the same file"
    if (was := before.get("mixture")) != now["mixture"]:
        return f"was started with the weights {shown(was)} of the style images, got {now['mixture']}"
    return "was started with other network weights" if before.get("weights") != now["weights"] else None


def shown(value: object) -> str:
    """A value from a file, for a message: in one line."""
    return printable(str(value)[:200])
