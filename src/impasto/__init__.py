"""impasto paints one picture in the manner of another.

    import impasto

    impasto.stylize("photo.jpg", "painting.jpg").save("out.png")

Names are loaded when they are first used: importing impasto loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto import losses as losses
    from impasto.distilling import distill as distill
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.feedforward import FastNetwork as FastNetwork
    from impasto.feedforward import fast as fast
    from impasto.feedforward import network_for as network_for
    from impasto.image import Picture as Picture
    from impasto.image import load as load
    from impasto.painting import recolor as recolor
    from impasto.painting import reconstruct as reconstruct
    from impasto.painting import stylize as stylize
    from impasto.painting import texture as texture
    from impasto.presets import preset as preset
    from impasto.regions import Style as Style
    from impasto.run import Run as Run
    from impasto.run import Step as Step
    from impasto.settings import Settings as Settings
    from impasto.sweeps import sweep as sweep
    from impasto.vgg import VGG19 as VGG19

_HOMES = {
    "FastNetwork": "feedforward",
    "ImpastoError": "errors",
    "Picture": "image",
    "Run": "run",
    "Settings": "settings",
    "Step": "run",
    "Style": "regions",
    "VGG19": "vgg",
    "distill": "distilling",
    "fast": "feedforward",
    "load": "image",
    "network_for": "feedforward",
    "preset": "presets",
    "recolor": "painting",
    "reconstruct": "painting",
    "stylize": "painting",
    "sweep": "sweeps",
    "texture": "painting",
}
_MODULES = {"errors", "events", "losses", "weights"}

__all__ = [*_HOMES, *_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"impasto.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"impasto.{_HOMES[name]}"), name)
    globals()[name] = value  # found at once from now on, and over the submodule of the same name
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
