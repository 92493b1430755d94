"""impasto transfers the style of one image to another.

    import impasto

    impasto.stylize("content.jpg", "style.jpg").save("out.png")

Names are imported on first use: `import impasto` does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from impasto.version import __version__

if TYPE_CHECKING:
    from impasto import errors as errors
    from impasto import events as events
    from impasto.api import recolor as recolor
    from impasto.api import reconstruct as reconstruct
    from impasto.api import stylize as stylize
    from impasto.api import texture as texture
    from impasto.batches.batch import batch as batch
    from impasto.batches.batch import run_job as run_job
    from impasto.batches.local import LocalExecutor as LocalExecutor
    from impasto.batches.ray import RayExecutor as RayExecutor
    from impasto.batches.slurm import SlurmExecutor as SlurmExecutor
    from impasto.errors import ImpastoError as ImpastoError
    from impasto.feedforward.one_pass import fast as fast
    from impasto.feedforward.stylizer import FastNetwork as FastNetwork
    from impasto.feedforward.stylizer import network_for as network_for
    from impasto.images.loading import load as load
    from impasto.images.loading import load_recipe as load_recipe
    from impasto.images.masks import Style as Style
    from impasto.images.picture import Picture as Picture
    from impasto.images.recipe import Recipe as Recipe
    from impasto.jobs.compute import Compute as Compute
    from impasto.jobs.distill import distill as distill
    from impasto.jobs.info import info as info
    from impasto.jobs.installed import installed_weights as installed_weights
    from impasto.jobs.job import Job as Job
    from impasto.jobs.rerun import Overrides as Overrides
    from impasto.jobs.rerun import rerun as rerun
    from impasto.loss import functional as losses  # noqa: F401
    from impasto.optimize.run import Run as Run
    from impasto.optimize.step import Step as Step
    from impasto.optimize.style_targets import StyleTargets as StyleTargets
    from impasto.settings.model import Settings as Settings
    from impasto.settings.presets import preset as preset
    from impasto.settings.presets import presets as presets
    from impasto.sweeps.compare import compare as compare
    from impasto.sweeps.plot import plot as plot
    from impasto.sweeps.sweep import sweep as sweep
    from impasto.vgg import weights as weights
    from impasto.vgg.model import VGG19 as VGG19
    from impasto.web.client import Client as Client
    from impasto.web.serve import serve as serve


_NAMES = {
    "Client": "web.client",
    "Compute": "jobs.compute",
    "FastNetwork": "feedforward.stylizer",
    "ImpastoError": "errors",
    "Job": "jobs.job",
    "LocalExecutor": "batches.local",
    "Picture": "images.picture",
    "RayExecutor": "batches.ray",
    "Recipe": "images.recipe",
    "Run": "optimize.run",
    "Settings": "settings.model",
    "SlurmExecutor": "batches.slurm",
    "Step": "optimize.step",
    "Style": "images.masks",
    "StyleTargets": "optimize.style_targets",
    "VGG19": "vgg.model",
    "batch": "batches.batch",
    "compare": "sweeps.compare",
    "distill": "jobs.distill",
    "fast": "feedforward.one_pass",
    "info": "jobs.info",
    "installed_weights": "jobs.installed",
    "load": "images.loading",
    "load_recipe": "images.loading",
    "network_for": "feedforward.stylizer",
    "plot": "sweeps.plot",
    "preset": "settings.presets",
    "presets": "settings.presets",
    "recolor": "api",
    "reconstruct": "api",
    "Overrides": "jobs.rerun",
    "rerun": "jobs.rerun",
    "run_job": "batches.batch",
    "serve": "web.serve",
    "stylize": "api",
    "sweep": "sweeps.sweep",
    "texture": "api",
}
_MODULES = {"errors": "errors", "events": "events", "losses": "loss.functional", "weights": "vgg.weights"}

__all__ = ["__version__", *_NAMES, *_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"impasto.{_MODULES[name]}")
    if name not in _NAMES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"impasto.{_NAMES[name]}"), name)
    globals()[name] = value  # later lookups no longer come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
