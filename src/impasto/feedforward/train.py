"""Training of a feed-forward network for one style image, with the losses of the iterative method.

As Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer", arXiv 1603.08155, 2016. We deviate in the
start: not random weights, but Magenta's network for arbitrary styles, with the scales and shifts that it predicts for
the style image. This is why a few images and minutes are enough, instead of 80 000 images and hours.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from impasto.errors import DivergedError, PictureError
from impasto.feedforward.network import SingleStyleTransformer
from impasto.feedforward.style_file import DistilledStyle
from impasto.feedforward.stylizer import FastNetwork
from impasto.feedforward.training_images import LARGEST_CROP, prepared, random_crop
from impasto.feedforward.training_loss import ReducedLoss, sum_of_terms
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.loss.objective import Terms
from impasto.optimize.spec import make_spec, picture_record
from impasto.optimize.state_check import Expected, TrainingNumbers, check_tensors
from impasto.settings.model import Settings
from impasto.torch_state import isolated
from impasto.vgg.model import VGG19

RELATIVE_RATE = 0.01
"""Adam's initial learning rate for a tensor, as a share of its root mean square; it decays to 0 along a half cosine.

The convolutions have values of 0.02, the scales and shifts of 2. With one rate for all, 0.002 as is usual, a step
changes the convolutions by a tenth, and the scales and shifts, which are the style, by a thousandth.
"""


class View(NamedTuple):
    """What a step computes: the edge of its crop in pixels, and the reductions at which the output is compared."""

    edge: int
    reductions: tuple[int, ...]


VIEWS = (View(LARGEST_CROP, (2, 4)), View(LARGEST_CROP // 2, (1,)))
"""The steps take turns: large shapes in a crop as large as the style image, strokes in one of a quarter of its area."""
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
        losses: the losses that the network is trained for, by their reduction.

    Raises:
        PictureError: no training images, or one that is too small for a crop.
        WeightsError: the weights of Magenta's network are missing.
    """

    task = "distill"
    width = height = LARGEST_CROP

    @isolated
    def __init__(self, style: Picture, images: Sequence[Picture], settings: Settings, vgg: VGG19) -> None:
        if not images:
            raise PictureError("images: got no training images; give at least one")
        self.settings = settings.replace(size=LARGEST_CROP, scale_factor=1)
        self.vgg = vgg.configured(pooling=settings.pooling, padding=settings.padding)
        self._images = [prepared(image) for image in images]
        reductions = sorted({reduction for view in VIEWS for reduction in view.reductions})
        self.losses = {each: ReducedLoss(style, settings, self.vgg, each) for each in reductions}
        pretrained = FastNetwork("cpu", "float32")
        affines = pretrained.affines_for([Style(style)], style, 0.5)
        self.network = SingleStyleTransformer(pretrained.transformer, affines).to(vgg.device).requires_grad_(True)
        self.optimizer = _with_relative_rates(self.network)
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
        """The input of a step, (1, 3, edge, edge) float32 in [0, 1] on the CPU; depends on seed and number only."""
        # a generator per step instead of one for all: a resumed training needs no random state
        generator = torch.Generator().manual_seed(self.settings.seed + SEED_STRIDE * number)
        return random_crop(self._images, self.view(number).edge, generator)

    def view(self, number: int) -> View:
        """What a step computes."""
        return VIEWS[number % len(VIEWS)]

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

    def _set_learning_rates(self, number: int) -> None:
        """Cosine decay, Loshchilov and Hutter, arXiv 1608.03983, eq. 5 without restarts."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * 0.5 * (1 + math.cos(math.pi * number / self.steps))

    @isolated
    def _train_on(self, number: int) -> Terms:
        """Update the network once, on the crop of a step.

        By the chain rule d loss / d weights = (d loss / d output) (d output / d weights): the first factor comes from
        our hand-written backward pass through VGG19, the second from autograd.
        """
        self._set_learning_rates(number)
        crop = self.crop(number).to(self.vgg.device)
        with torch.enable_grad():
            output = self._output(crop)
        terms, gradients = zip(
            *(
                self.losses[reduction].value_and_grad(output.detach(), crop)
                for reduction in self.view(number).reductions
            ),
            strict=True,
        )
        self.optimizer.zero_grad()
        torch.autograd.backward(output, torch.stack(gradients).sum(0))
        self.optimizer.step()
        return sum_of_terms(terms)

    def _output(self, crop: Tensor) -> Tensor:
        """The output for a crop, float32. The convolutions are in the precision of the network of the losses."""
        if self.vgg.dtype != torch.bfloat16:
            return cast(Tensor, self.network(crop))
        with torch.autocast(self.vgg.device.type, torch.bfloat16):
            return cast(Tensor, self.network(crop)).float()


def _with_relative_rates(network: SingleStyleTransformer) -> torch.optim.Adam:
    """Adam with a learning rate for each tensor, in proportion to the size of its values."""
    groups = []
    for parameter in network.parameters():
        rate = RELATIVE_RATE * float(parameter.detach().square().mean().sqrt())
        groups.append({"params": [parameter], "lr": rate, "initial_lr": rate})
    return torch.optim.Adam(groups)
