"""The library's call that trains a network for one style."""

import os
from collections.abc import Sequence
from pathlib import Path

from impasto import files
from impasto.arguments import as_path, check_callable
from impasto.events import OnEvent
from impasto.feedforward.style_file import DistilledStyle
from impasto.feedforward.train import Training
from impasto.feedforward.training_images import default_training_images
from impasto.images.picture import Picture
from impasto.images.sources import ImageSource, as_picture, image_list
from impasto.jobs import runner
from impasto.jobs.claims import claimed
from impasto.jobs.compute import CHECKPOINT_SECONDS
from impasto.optimize import checkpoint as checkpoints
from impasto.optimize.checkpointer import Checkpointer
from impasto.settings.model import Settings
from impasto.settings.presets import settings_or_preset
from impasto.vgg.model import VGG19, network_or_default


def distill(
    style: ImageSource,
    images: Sequence[ImageSource] | None = None,
    settings: Settings | None = None,
    *,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> DistilledStyle:
    """Train a feed-forward network for one style image; `save` it and pass the file to `fast` as its style.

    Args:
        style: the style image.
        images: the training images; by default the bundled images and procedural ones.
        settings: as listed in `feedforward.train.Training`; by default those of the preset "distill".
        vgg: the network that computes the losses; by default on the fastest device available.
        on_event: called with each event of `impasto.events`.
        checkpoint: a file for the state of the training. If it exists, the training resumes from it, to the same bits
            as without the interruption. It is removed at the end.
        checkpoint_seconds: minimum time from one checkpoint to the next.

    Raises:
        CheckpointError: the checkpoint belongs to another style image, other training images or settings.
        OutputError: another training is writing the checkpoint.
        ImpastoError: one of its subclasses, see `impasto.errors`.
    """
    check_callable(on_event)
    settings = settings_or_preset(settings, "distill")
    path = None if checkpoint is None else as_path(checkpoint, "checkpoint")
    if path is not None:
        files.check_output(path, overwrite=True)
    with claimed([] if path is None else [path]):
        resume_from = checkpoints.read(path) if path is not None and os.path.lexists(path) else None
        training = Training(as_picture(style, "style"), _training_images(images), settings, network_or_default(vgg))
        if resume_from is not None:
            runner.resume(training, resume_from, on_event or _ignore)
        saver = _checkpointer(training, path, checkpoint_seconds, on_event, overwrite=resume_from is not None)
        runner.take_steps(training, on_event, saver)
        if saver is not None:
            saver.discard()
    return training.result()


def _training_images(images: Sequence[ImageSource] | None) -> list[Picture]:
    if images is None:
        return default_training_images()
    return [as_picture(image, f"image {number}") for number, image in enumerate(image_list(images), 1)]


def _checkpointer(
    training: Training, path: Path | None, seconds: float, on_event: OnEvent | None, *, overwrite: bool
) -> Checkpointer | None:
    return None if path is None else Checkpointer(training, path, seconds, on_event or _ignore, overwrite=overwrite)


def _ignore(_: object) -> None:
    pass
