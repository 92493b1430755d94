"""The command that fits a network to one painting."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.display import Display, display
from impasto.cli.flags import RUNNING, KeepFlags, SettingsFlags, resolve, settings_flags
from impasto.cli.photographs import pictures_in
from impasto.cli.work import is_unfinished, signals
from impasto.errors import ImpastoError, PictureError, printable
from impasto.events import Began, Noted, Planned, Saved
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if TYPE_CHECKING:
    from impasto.feedforward.train import Training
    from impasto.images.picture import Picture

_NAMES = ("steps", "content_weight", "style_weight", "style_scale", "style_rotation", "style_loss", "seed")

if TYPE_CHECKING:

    class DistillSettingsFlags(SettingsFlags):
        """A field for every setting that matters to a distillation."""
else:
    DistillSettingsFlags = settings_flags("DistillSettingsFlags", _NAMES, base=preset("distill"))


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class DistillFlags(KeepFlags):
    """How a distillation is carried out."""

    pictures: Annotated[
        Path | None, Parameter(help="FOLDER of photographs to learn on; a few that come with impasto if not given.")
    ] = None


def distill(
    painting: Annotated[Path, Parameter(help="PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF.", negative=())],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Where to: STYLE.safetensors.")],
    settings: DistillSettingsFlags = DistillSettingsFlags(),  # noqa: B008
    how: DistillFlags = DistillFlags(),
) -> int:
    """Fit a small network to PAINTING, in minutes; `impasto fast PHOTO STYLE.safetensors` paints with it."""
    from impasto.feedforward import style_file
    from impasto.jobs import runner

    chosen = resolve(settings, preset("distill"))
    place = runner.checkpoint_path(output)
    unfinished = is_unfinished(place, how)
    style_file.check_style_suffix(output)
    files.check_output(output, overwrite=how.overwrite or unfinished, inputs=[painting])
    files.check_output(place, overwrite=True, inputs=[painting])
    if how.pictures is not None and not os.path.isdir(how.pictures):
        raise PictureError(f"{printable(how.pictures)}: is not a folder; give one with photographs")
    from impasto.feedforward import train

    distiller = _distiller(painting, chosen, how)
    with display(as_json=how.json, quiet=how.quiet) as show, signals("stopping after this step") as received:
        if how.resume and not unfinished:
            show(Noted(f"no checkpoint at {printable(place)}: beginning"))
        if unfinished:
            train.resume(distiller, place)
            show(Noted(f"going on from step {distiller.steps_done} of {distiller.steps}"))
        _fit(distiller, place, how, show, received)
        if received:
            return 128 + received[0]
        distiller.finished().save(output)
        show(Saved(printable(output)))
    place.unlink(missing_ok=True)
    return 0


def _distiller(painting: Path, settings: Settings, how: DistillFlags) -> "Training":
    """With the network loaded, and all pictures read."""
    import torch

    from impasto import VGG19, load
    from impasto.feedforward import train

    if how.threads is not None:
        torch.set_num_threads(how.threads)
    photographs = train.default_training_images() if how.pictures is None else _read(how.pictures)
    vgg = VGG19.load(how.weights, device=how.device, precision=how.precision)
    return train.Training(load(painting), photographs, settings, vgg)


def _read(folder: Path) -> list["Picture"]:
    from impasto import load

    paths = pictures_in(folder)
    if not paths:
        raise PictureError(f"{printable(folder)}: holds no pictures; give another folder")
    return [load(path) for path in paths]


def _fit(distiller: "Training", place: Path, how: DistillFlags, show: Display, received: list[int]) -> None:
    """Take all steps, with checkpoints; a signal leaves one behind."""
    import torch

    from impasto.feedforward.train import CROP, save_state

    vgg, began = distiller.vgg, time.monotonic()
    show(
        Began(
            task="distill",
            width=CROP,
            height=CROP,
            steps=distiller.steps,
            device=vgg.device.type,
            precision=vgg.precision,
            threads=torch.get_num_threads(),
            weights=vgg.origin,
        )
    )
    first = distiller.steps_done
    for step in distiller:
        if step.number == first:
            show(_planned(distiller))
        show(step.event())
        if received or time.monotonic() - began >= how.checkpoint_seconds:
            began = time.monotonic()
            try:
                save_state(distiller, place)
            except ImpastoError as error:
                show(Noted(f"no checkpoint: {error}"))
        if received:
            return


def _planned(distiller: "Training") -> Planned:
    from impasto.feedforward.train import CROP
    from impasto.vgg.device import resident_memory

    seconds = distiller.seconds / distiller.steps_done * distiller.steps
    scale = {"width": CROP, "height": CROP, "steps": distiller.steps, "seconds": seconds, "strip": None}
    return Planned([scale], resident_memory(), seconds)
