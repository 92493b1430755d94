"""Training of a feed-forward network for one style image, with the losses of the iterative method.

As Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer", arXiv 1603.08155, 2016. We deviate in the
start: not random weights, but Magenta's network for arbitrary styles, with the scales and shifts that it predicts for
the style image. This is why a few images and minutes are enough, instead of 80 000 images and hours.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from impasto.errors import DivergedError, PictureError
from impasto.feedforward.network import SingleStyleTransformer
from impasto.feedforward.procedural_images import procedural_image
from impasto.feedforward.style_file import DistilledStyle
from impasto.feedforward.stylizer import FastNetwork
from impasto.images.loading import load
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.resize import resize, rotate, scaled_size
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import Objective, Terms
from impasto.loss.targets import StyleTarget, Targets, content_targets, statistics_of, style_targets
from impasto.optimize.spec import make_spec, picture_record
from impasto.optimize.state_check import Expected, TrainingNumbers, check_tensors
from impasto.settings.model import Settings
from impasto.torch_state import isolated
from impasto.vgg.model import VGG19

CROP = 256
"""Height and width of the crop that a step trains on, in pixels."""
STYLE_IMAGE_EDGE = 512
"""Long edge of the style image at a style scale of 1: it fixes the stroke size in pixels, at any size of the output."""
MAX_SHORT_EDGE = 512
"""Training images are reduced to this short edge; a step resizes them to a short edge between this and `CROP`."""
LEARNING_RATE = 2e-3
"""Adam's initial learning rate; it decays to 0 along a half cosine."""
PROCEDURAL_IMAGES = 8
"""Number of procedural images among the default training images."""
SEED_STRIDE = 1_000_003
"""Distance of the seeds of two steps: a prime, so large that steps of neighboring `settings.seed` do not coincide."""
RECORDED = ("steps", "content_weight", "style_weight", "style_loss", "style_scale", "style_rotation", "seed")
"""Settings that a style file records."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """One step: its number from 0, the loss terms of its crop before the update, seconds since the training started.

    `is_first` is true for the first step after the start or a resume.
    """

    number: int
    terms: Terms
    seconds: float
    is_first: bool
    training: "Training" = field(repr=False, kw_only=True)


class Training:
    """The training of a network for one style image: an iterator of steps; `state` and `restore` make it resumable.

    Args:
        style: the style image.
        images: the training images. Each step uses a random crop of one of them, at a random size, maybe mirrored.
        settings: of these, steps, content and style weights and layers, style loss, style scale and rotation, and seed
            are used.
        vgg: the network that computes the losses.

    Attributes:
        style: the style statistics that the network is trained for.

    Raises:
        PictureError: no training images, or one that is too small for a crop.
        WeightsError: the weights of Magenta's network are missing.
    """

    task = "distill"
    width = height = CROP

    @isolated
    def __init__(self, style: Picture, images: Sequence[Picture], settings: Settings, vgg: VGG19) -> None:
        if not images:
            raise PictureError("images: got no training images; give at least one")
        self.settings = settings.replace(size=CROP, scale_factor=1)
        self.vgg = vgg.configured(pooling=settings.pooling, padding=settings.padding)
        self._images = [_reduced(image) for image in images]
        self.style = self._style_targets(style)
        pretrained = FastNetwork("cpu", "float32")
        affines = pretrained.affines_for([Style(style)], style, 0.5)
        self.network = SingleStyleTransformer(pretrained.transformer, affines).to(vgg.device).requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)
        self.steps_done, self.seconds = 0, 0.0
        self._provenance = {
            "style image": style.name,
            "style image sha256": style.sha256,
            "training images": [image.name for image in images],
        }
        roles = {"style image": style} | {f"training image {number}": image for number, image in enumerate(images, 1)}
        self._pictures = {role: picture_record(picture) for role, picture in roles.items()}

    @property
    def steps(self) -> int:
        """Number of steps in total."""
        return self.settings.steps

    def __iter__(self) -> Iterator[TrainingStep]:
        """Take the remaining steps.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        first = self.steps_done
        while self.steps_done < self.steps:
            started, number = time.perf_counter(), self.steps_done
            with self.vgg.arithmetic():
                terms = self._train_on(number)
            if not math.isfinite(float(terms.total)):
                raise DivergedError(f"step {number}: the loss is {float(terms.total)}; give smaller weights")
            self.steps_done += 1
            self.seconds += time.perf_counter() - started
            yield TrainingStep(number, terms, self.seconds, number == first, training=self)

    @isolated
    def crop(self, number: int) -> Tensor:
        """The input of a step, (1, 3, CROP, CROP) float32 in [0, 1] on the CPU; depends on seed and number only."""
        # a generator per step instead of one for all: a resumed training needs no random state
        generator = torch.Generator().manual_seed(self.settings.seed + SEED_STRIDE * number)

        def below(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        image = self._images[below(len(self._images))]
        short_edge = min(image.shape[1:])
        factor = (CROP + below(short_edge - CROP + 1)) / short_edge
        height, width = (max(round(factor * edge), CROP) for edge in image.shape[1:])
        resized = resize(image[None], height, width)
        top, left = below(height - CROP + 1), below(width - CROP + 1)
        crop = resized[:, :, top : top + CROP, left : left + CROP]
        return crop.flip(3) if below(2) else crop

    @isolated
    def result(self) -> DistilledStyle:
        """The network in its present state, with its provenance."""
        settings = {name: getattr(self.settings, name) for name in RECORDED}
        return DistilledStyle(self.network, {**self._provenance, "steps done": self.steps_done, "settings": settings})

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that the result depends on besides `state()`, as JSON; see `optimize.checkpoint.Resumable`."""
        return make_spec(self.task, self.settings, self._pictures, [], self.vgg)

    @isolated
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the remaining steps depend on besides `spec`: network and Adam's moments; step and time.

        The tensors are named "network.PARAMETER" and "adam.INDEX.MOMENT", with torch's index of the parameter.
        """
        tensors = {f"network.{name}": tensor.detach() for name, tensor in self.network.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": tensor for name, tensor in moments.items()}
        return tensors, {"steps_done": self.steps_done, "seconds": self.seconds}

    @isolated
    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over a state of a training with the same `spec`."""
        TrainingNumbers.model_validate(numbers)
        steps_done, seconds = numbers["steps_done"], numbers["seconds"]
        if steps_done > self.steps:
            raise ValueError(f"got {steps_done} steps of {self.steps}")
        check_tensors(tensors, self._expected_tensors(steps_done))
        parameters: dict[str, Tensor] = {}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            if group == "network":
                parameters[rest] = tensor
            else:
                index, moment = rest.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
        self.network.load_state_dict(parameters)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.steps_done, self.seconds = steps_done, seconds

    def _expected_tensors(self, steps_done: int) -> dict[str, Expected]:
        """The tensors of a state after so many steps."""
        network = self.network.state_dict()
        expected = {f"network.{name}": Expected.like(tensor) for name, tensor in network.items()}
        for index, parameter in enumerate(self.network.parameters() if steps_done else ()):
            expected[f"adam.{index}.step"] = Expected((), torch.float32, steps_done, steps_done)
            expected[f"adam.{index}.exp_avg"] = Expected.like(parameter)
            expected[f"adam.{index}.exp_avg_sq"] = Expected.like(parameter, low=0)
        return expected

    def _set_learning_rate(self, number: int) -> None:
        """Cosine decay, Loshchilov and Hutter, arXiv 1608.03983, eq. 5 without restarts."""
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * number / self.steps))

    @isolated
    def _train_on(self, number: int) -> Terms:
        """Update the network once, on the crop of a step.

        By the chain rule d loss / d weights = (d loss / d output) (d output / d weights): the first factor comes from
        our hand-written backward pass through VGG19, the second from autograd.
        """
        self._set_learning_rate(number)
        crop = self.crop(number)
        with torch.enable_grad():
            output = self.network(crop.to(self.vgg.device))
        content = content_targets(self.vgg, crop, self.settings.content_layers)
        targets = Targets(content, self.style)
        objective = Objective(self.vgg, targets, loss_weights(self.settings, targets))
        terms, gradient = objective.value_and_grad(output.detach())
        self.optimizer.zero_grad()
        output.backward(gradient)
        self.optimizer.step()
        return terms

    def _style_targets(self, style: Picture) -> list[StyleTarget]:
        image = style.composited()[None]
        if self.settings.style_rotation:
            image = rotate(image, self.settings.style_rotation)
        edge = round(STYLE_IMAGE_EDGE * self.settings.style_scale)
        resized = resize(image, *scaled_size(image.shape[2], image.shape[3], edge))
        statistics = statistics_of(self.settings.style_loss, self.settings.style_layers)
        return [
            StyleTarget(style_targets(self.vgg, [(resized, 1.0)], names, loss=statistic))
            for statistic, names in statistics.items()
        ]


@isolated
def default_training_images() -> list[Picture]:
    """The images of the demo, and procedural ones."""
    with resources.as_file(resources.files("impasto") / "demo") as folder:
        bundled = [load(path) for path in sorted(folder.glob("*.jpg"))]
    drawn = [Picture(procedural_image(seed), name=f"scene {seed}") for seed in range(PROCEDURAL_IMAGES)]
    return bundled + drawn


def _reduced(image: Picture) -> Tensor:
    """A training image as (3, H, W) float32 in [0, 1] with a short edge from `CROP` to `MAX_SHORT_EDGE`.

    An image with a short edge down to half of `CROP` is enlarged.
    """
    short_edge = min(image.height, image.width)
    if short_edge < CROP // 2:
        name, size = image.name or "picture", f"{image.width}x{image.height} pixels"
        raise PictureError(f"{name}: {size} are too few for a training image; give {CROP} or more on each side")
    factor = min(max(short_edge, CROP), MAX_SHORT_EDGE) / short_edge
    height, width = (max(round(factor * edge), CROP) for edge in (image.height, image.width))
    return resize(image.composited()[None], height, width)[0]
