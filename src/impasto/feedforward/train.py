"""A feed-forward network fitted to one painting, by the losses that a picture is painted by.

As Johnson, Alahi, Fei-Fei, Perceptual losses for real-time style transfer, arXiv 1603.08155, 2016; but begun with a
network that has seen many paintings, of which this one is but another, so that a few pictures and minutes are enough.
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from impasto import files
from impasto.errors import CheckpointError, DivergedError, PictureError, printable
from impasto.events import OnEvent, Stepped
from impasto.feedforward.network import SingleStyleTransformer
from impasto.feedforward.scenes import scene
from impasto.feedforward.style_file import DistilledStyle
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.masks import Style
from impasto.images.picture import Picture, load
from impasto.images.resize import resize, rotate, scaled_size
from impasto.images.sources import ImageSource, as_picture
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import Objective, Terms
from impasto.loss.targets import StyleTarget, Targets, content_targets, style_targets
from impasto.settings.model import Settings
from impasto.settings.presets import preset
from impasto.vgg.model import VGG19

CROP = 256
"""Pixels of each edge of what is looked at in a step."""
PAINTING_EDGE = 512
"""Long edge of the painting at a style scale of 1: the size of the strokes in pixels, whatever is painted later."""
LARGEST = 512
"""Short edge of a training picture, at most; it is looked at in sizes down to that of a crop."""
RATE = 2e-3
"""Adam's step size at first; it falls to nothing by the cosine."""
SCENES = 8
"""Pictures drawn by formula that are learned on for want of others."""
_STATE = "impasto distillation"


@dataclass(frozen=True, eq=False)
class Step:
    """A step that was taken: its number, the terms of the crop before it, and the seconds since the beginning."""

    number: int
    terms: Terms
    seconds: float

    def event(self) -> Stepped:
        """What is to be told of it."""
        return Stepped(
            self.number, CROP, **self.terms.to_floats(), seconds=self.seconds, layers=self.terms.layers_to_floats()
        )


class Training:
    """The fit_within of a network to one painting: an iterator of steps, to be gone on with from `state`.

    Args:
        painting: what the network is to paint like.
        pictures: what it learns on; each is shown in parts, at several sizes, and mirrored.
        settings: of these, steps, content and style weights and layers, style loss, style scale and rotation, and seed
            matter.

    Raises:
        PictureError: a picture narrower than a crop cannot be used.
        WeightsError: the weights to begin with are not at hand.
    """

    def __init__(self, painting: Picture, pictures: Sequence[Picture], settings: Settings, vgg: VGG19) -> None:
        if not pictures:
            raise PictureError("pictures: got none to learn on; give some")
        self.settings = settings.replace(size=CROP, scale_factor=1)
        self.vgg = vgg.configured(pooling=settings.pooling, padding=settings.padding)
        self._pictures = [_ready(each) for each in pictures]
        self._manner = StyleTarget(self._style(painting))
        begun = FastNetwork("cpu", "float32")
        style = begun.affines_for([Style(painting)], painting, 0.5)
        self.network = SingleStyleTransformer(begun.transformer, style).to(vgg.device).requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), RATE)
        self.steps_done, self.seconds = 0, 0.0
        self._about = {
            "painting": painting.name,
            "painting sha256": painting.sha256,
            "pictures": [each.name for each in pictures],
        }

    @property
    def steps(self) -> int:
        """How many there are to be."""
        return self.settings.steps

    def __iter__(self) -> Iterator[Step]:
        """Take the steps that are left.

        Raises:
            DivergedError: the loss is no longer a number.
        """
        while self.steps_done < self.steps:
            began, number = time.perf_counter(), self.steps_done
            for group in self.optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * number / self.steps))
            terms = self._take(self.crop(number))
            if not math.isfinite(float(terms.total)):
                raise DivergedError(f"step {number}: the loss is no longer a number; give smaller weights")
            self.steps_done += 1
            self.seconds += time.perf_counter() - began
            yield Step(number, terms, self.seconds)

    def crop(self, number: int) -> Tensor:
        """What is looked at in a step, (1, 3, 256, 256): the same whenever it is asked for."""
        random = torch.Generator().manual_seed(self.settings.seed + 1_000_003 * number)

        def below(count: int) -> int:
            return int(torch.randint(count, (), generator=random))

        chosen = self._pictures[below(len(self._pictures))]
        short = CROP + below(min(chosen.shape[1:]) - CROP + 1)
        share = short / min(chosen.shape[1:])
        height, width = (max(round(share * edge), CROP) for edge in chosen.shape[1:])
        resized = resize(chosen[None], height, width)
        top, left = below(height - CROP + 1), below(width - CROP + 1)
        found = resized[:, :, top : top + CROP, left : left + CROP]
        return found.flip(3) if below(2) else found

    @property
    def made_of(self) -> dict[str, Any]:
        """What must be the same for a state to be gone on from: JSON."""
        return {**self._about, "settings": self.settings.model_dump(mode="json"), "weights": self.vgg.sha256}

    def finished(self) -> DistilledStyle:
        """The network as it is now."""
        kept = ("steps", "content_weight", "style_weight", "style_loss", "style_scale", "style_rotation", "seed")
        settings = {name: getattr(self.settings, name) for name in kept}
        return DistilledStyle(self.network, {**self._about, "steps done": self.steps_done, "settings": settings})

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the steps to come depend on, beside what this was made of."""
        tensors = {f"network.{name}": each.detach() for name, each in self.network.state_dict().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": each for name, each in moments.items()}
        return tensors, {"steps_done": self.steps_done, "seconds": self.seconds}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from a state of one that was made of the same."""
        prefix = "network."
        self.network.load_state_dict(
            {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
        )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, each in tensors.items():
            if name.startswith("adam."):
                _, number, kind = name.split(".")
                moments.setdefault(int(number), {})[kind] = each
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.steps_done, self.seconds = int(numbers["steps_done"]), float(numbers["seconds"])

    def _take(self, crop: Tensor) -> Terms:
        """One step: the gradient at the picture painted is ours, from there on it is autograd's."""
        painted = self.network(crop.to(self.vgg.device))
        content = content_targets(self.vgg, crop, self.settings.content_layers)
        targets = Targets(content, [self._manner])
        terms, gradient = Objective(self.vgg, targets, loss_weights(self.settings, targets)).value_and_grad(
            painted.detach()
        )
        self.optimizer.zero_grad()
        painted.backward(gradient)
        self.optimizer.step()
        return terms

    def _style(self, painting: Picture) -> Mapping[str, Any]:
        image = painting.composited()[None]
        if self.settings.style_rotation:
            image = rotate(image, self.settings.style_rotation)
        edge = round(PAINTING_EDGE * self.settings.style_scale)
        resized = resize(image, *scaled_size(image.shape[2], image.shape[3], edge))
        return style_targets(self.vgg, [(resized, 1.0)], self.settings.style_layers, loss=self.settings.style_loss)


def distill(
    painting: ImageSource,
    pictures: Sequence[ImageSource] | None = None,
    settings: Settings | None = None,
    *,
    vgg: VGG19 | None = None,
    on_event: OnEvent | None = None,
) -> DistilledStyle:
    """A network that paints like `painting` in one pass; `save` it, and give `fast` the file.

    Args:
        pictures: what it learns on; by default those that come with impasto, and some drawn by formula.
        settings: as `Training` says; by default those of the preset "distill".
        vgg: the network that compares; by default the best at hand.
        on_event: called with each `impasto.events` event.

    Raises:
        ImpastoError: one of its kinds, see `impasto.errors`.
    """
    images = default_training_images() if pictures is None else [as_picture(each) for each in pictures]
    settings = settings or preset("distill")
    distiller = Training(as_picture(painting), images, settings, vgg or VGG19.load())
    for step in distiller:
        if on_event is not None:
            on_event(step.event())
    return distiller.finished()


def default_training_images() -> list[Picture]:
    """The pictures of the demo, and scenes drawn by formula."""
    with resources.as_file(resources.files("impasto") / "demo") as folder:
        bundled = [load(path) for path in sorted(folder.glob("*.jpg"))]
    return [*bundled, *(Picture(scene(number), name=f"scene {number}") for number in range(SCENES))]


def save_state(distiller: Training, path: Path) -> None:
    """Write all that is needed to go on to `path`, whole or not at all.

    Raises:
        SaveError: the disk is full, or the folder can no longer be written.
    """
    tensors, numbers = distiller.state()
    said = json.dumps({"made of": distiller.made_of, **numbers})
    data = safetensors.torch.save({name: each.cpu().contiguous() for name, each in tensors.items()}, {_STATE: said})
    with files.replacing(path) as file:
        file.write(data)


def resume(distiller: Training, path: Path) -> None:
    """Go on from what `save_state` wrote.

    Raises:
        CheckpointError: it is damaged, or of another painting, other pictures or settings.
    """
    try:
        with safetensors.safe_open(path, "pt") as opened:
            said = json.loads(opened.metadata()[_STATE])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises anything at all over a damaged file
        raise CheckpointError(f"{printable(path)}: cannot be gone on from; begin anew (--overwrite)") from error
    if said["made of"] != distiller.made_of:
        raise CheckpointError(
            f"{printable(path)}: is of another painting, of other pictures or settings; give the same, or begin anew "
            "(--overwrite)"
        )
    distiller.restore(tensors, said)


def _ready(given: Picture) -> Tensor:
    """(3, H, W), its short edge at most `LARGEST` and at least that of a crop."""
    short = min(given.height, given.width)
    if short < CROP // 2:
        size = f"{given.width}x{given.height} pixels"
        raise PictureError(f"{given.name or 'picture'}: {size} are too few to learn on; give {CROP} or more a side")
    share = min(max(short, CROP), LARGEST) / short
    height, width = (max(round(share * edge), CROP) for edge in (given.height, given.width))
    return resize(given.composited()[None], height, width)[0]
