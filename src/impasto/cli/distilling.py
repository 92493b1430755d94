"""The command `distill`: trains a network for one style."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.flags import RUNNING, KeepFlags, SettingsFlags, resolve, settings_flags
from impasto.cli.photographs import pictures_in
from impasto.cli.work import execute
from impasto.errors import PictureError, printable
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.images.picture import Picture
    from impasto.optimize.checkpoint import Checkpoint

_NAMES = ("steps", "content_weight", "style_weight", "style_scale", "style_rotation", "style_loss", "seed")

if TYPE_CHECKING:

    class DistillSettingsFlags(SettingsFlags):
        """A field for every setting that a training uses."""
else:
    DistillSettingsFlags = settings_flags("DistillSettingsFlags", _NAMES, base=preset("distill"))


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class DistillFlags(KeepFlags):
    """Run options of a training."""

    pictures: Annotated[
        Path | None, Parameter(help="FOLDER of training images; by default a few that are bundled with impasto.")
    ] = None


def distill(
    painting: Annotated[Path, Parameter(help="PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF.", negative=())],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Where to: STYLE.safetensors.")],
    settings: DistillSettingsFlags = DistillSettingsFlags(),  # noqa: B008
    how: DistillFlags = DistillFlags(),
) -> int:
    """Train a small network for PAINTING in minutes; `impasto fast PHOTO STYLE.safetensors` applies it."""
    from impasto.feedforward.style_file import check_style_suffix
    from impasto.jobs.outputs import Outputs, checkpoint_path

    chosen = resolve(settings, preset("distill"))

    def create(resume_from: "Checkpoint | None") -> "Training":
        return _create_training(painting, chosen, how, resume_from)

    outputs = Outputs(output, checkpoint_path(output), how.checkpoint_seconds)
    return execute(create, outputs, how, [painting], check_style_suffix, stopping="stopping after this step")


def _create_training(
    style: Path, settings: Settings, how: DistillFlags, resume_from: "Checkpoint | None"
) -> "Training":
    """Read all images, load the network."""
    import torch

    from impasto import VGG19, load
    from impasto.feedforward.train import Training, default_training_images

    threads = how.threads if how.threads is not None or resume_from is None else resume_from.threads
    if threads is not None:
        torch.set_num_threads(threads)
    images = default_training_images() if how.pictures is None else _read(how.pictures)
    vgg = VGG19.load(how.weights, device=how.device, precision=how.precision)
    return Training(load(style), images, settings, vgg)


def _read(folder: Path) -> list["Picture"]:
    from impasto import load

    if not os.path.isdir(folder):
        raise PictureError(f"{printable(folder)}: is not a folder; give one with training images")
    paths = pictures_in(folder)
    if not paths:
        raise PictureError(f"{printable(folder)}: holds no images; give another folder")
    return [load(path) for path in paths]
