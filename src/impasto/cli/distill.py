"""`impasto distill`: trains a feed-forward network for one style."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.batches.inputs import images_in
from impasto.cli.option_groups import MAIN
from impasto.cli.run import execute
from impasto.cli.run_options import CheckpointOptions, options_class
from impasto.cli.settings_options import SettingsOptions, resolve, settings_options
from impasto.cli.streams import piped
from impasto.errors import PictureError, printable
from impasto.jobs.compute import Load
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.images.picture import Picture
    from impasto.optimize.checkpoint import Checkpoint

SETTINGS = ("steps", "style_scale", "style_loss", "content_weight", "style_weight", "style_rotation", "seed")
"""The settings that a training uses."""

if TYPE_CHECKING:

    class DistillSettingsOptions(SettingsOptions):
        """A field for each of them."""
else:
    DistillSettingsOptions = settings_options("DistillSettingsOptions", SETTINGS, base=preset("distill"))


@options_class
@dataclass(frozen=True)
class DistillOptions(CheckpointOptions):
    """Options of a training."""

    pictures: Annotated[
        Path | None,
        Parameter(
            metavar="FOLDER", group=MAIN, help="FOLDER of training images; default: a few that come with impasto."
        ),
    ] = None


def distill(
    style: Annotated[Path, Parameter(help="Style image: PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF.", negative=())],
    /,
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], metavar="FILE", group=MAIN, help="The network: FILE.safetensors.")
    ],
    settings: DistillSettingsOptions = DistillSettingsOptions(),  # noqa: B008
    options: DistillOptions = DistillOptions(),
) -> int:
    """Train a small feed-forward network for STYLE, in minutes; `impasto fast CONTENT FILE.safetensors` applies it."""
    from impasto.feedforward.style_file import SUFFIX, check_style_suffix
    from impasto.jobs.outputs import Outputs, checkpoint_path

    resolved = resolve(settings, preset("distill"))

    with piped([style], output, json=options.json, suffix=SUFFIX) as (inputs, result):

        def create(resume_from: "Checkpoint | None") -> "Training":
            return _create_training(inputs[0], resolved, options, resume_from)

        outputs = Outputs(result, checkpoint_path(result), options.checkpoint_seconds)
        return execute(create, outputs, options, inputs, check_style_suffix, stopping="stopping after this step")


def _create_training(
    style: Path, settings: Settings, options: DistillOptions, resume_from: "Checkpoint | None"
) -> "Training":
    """Read all images, load the network."""
    from impasto.feedforward.train import Training
    from impasto.feedforward.training_images import default_training_images

    options.compute.set_threads(resume_from)
    load = options.compute.loader()
    images = default_training_images() if options.pictures is None else _load_folder(options.pictures, load)
    return Training(load(style), images, settings, options.compute.load_network(resume_from))


def _load_folder(folder: Path, load: Load) -> list["Picture"]:
    if not os.path.isdir(folder):
        raise PictureError(f"{printable(folder)}: is not a folder; give one with training images")
    paths = images_in(folder)
    if not paths:
        raise PictureError(f"{printable(folder)}: contains no images; give another folder")
    return [load(path) for path in paths]
