"""A run: pictures in, an iterator of steps out. The algorithm and nothing else."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto import layers, optim, pyramid
from impasto.conventions import weighting
from impasto.errors import DivergedError, PictureError, SettingError
from impasto.image import Picture
from impasto.objective import Objective, Terms, targets
from impasto.recipe import Task
from impasto.settings import Settings
from impasto.vgg import VGG19

FALLBACK_RATE = 0.1
"""Adam's step after L-BFGS, which stops near a minimum, as a share of the learning rate."""


@dataclass(frozen=True)
class Step:
    """One step: its number from 0, the terms of the picture before its update, seconds since the run began."""

    number: int
    scale: int
    seconds: float
    terms: Terms
    notes: tuple[str, ...] = ()
    run: "Run" = field(repr=False, kw_only=True)

    def preview(self) -> Picture:
        """The picture as it is now."""
        return self.run.picture


class Run:
    """Paints; iterate over it. Leave the loop when you like: `picture` is the painting so far.

    Args:
        content: the photograph; None paints a texture of the styles.
        styles: the paintings; none reconstructs the content.
        settings: the settings.
        init: what is painted over, if settings.init is neither "content" nor "noise".
        vgg: the network; loaded, on the best device, if not given.

    Raises:
        PictureError: a picture that is too narrow for the layers asked for at this size.
        SettingError: settings that do not fit the pictures given.
        DivergedError: (from the loop) the loss is no longer a number.
    """

    def __init__(
        self,
        content: Picture | None,
        styles: Sequence[Picture],
        settings: Settings | None = None,
        *,
        init: Picture | None = None,
        vgg: VGG19 | None = None,
    ) -> None:
        self.content, self.styles, self.init = content, tuple(styles), init
        self.settings = settings = settings or Settings()
        self.task: Task = "texture" if content is None else "stylize" if styles else "reconstruct"
        model = content if content is not None else next(iter(self.styles), None)
        if model is None:
            raise SettingError("no picture given; give a content, a style or both")
        counts = [
            content is not None and settings.content_weight * sum(settings.content_layers.values()),
            len(self.styles) and settings.style_weight * sum(settings.style_layers.values()),
            settings.tv_weight,
        ]
        if not any(counts):
            raise SettingError(f"all weights that matter to a {self.task} are 0; raise the content, style or tv weight")
        self.height, self.width = self._frame(model, "style 1" if content is None else "content")
        initial = self._initial()
        self.vgg = (vgg or VGG19.load()).reading(pooling=settings.pooling, padding=settings.padding)
        self.objective = self._objective()
        self.initial = initial.to(self.vgg.device)
        self.optimizer = self._optimizer(self.initial)
        self.average = optim.Average(0 if settings.optimizer == "lbfgs" else settings.average)
        self.lowest: tuple[float, Tensor] | None = None
        self.steps_done, self.seconds = 0, 0.0

    def __iter__(self) -> Iterator[Step]:
        """Take the remaining steps."""
        began = time.perf_counter() - self.seconds
        while self.steps_done < self.settings.steps:
            before = self.optimizer.picture
            terms = self.optimizer.step(self.objective.value_and_grad)
            total = float(terms.total)
            if not math.isfinite(total) or bool(self.optimizer.picture.isnan().any()):
                raise DivergedError(
                    f"step {self.steps_done}: the loss is {total}; the run ends; lower the weights or --learning-rate"
                )
            if self.lowest is not None and total < self.lowest[0]:
                self.lowest = total, before
            notes = self._fall_back(total) if self.optimizer.stalled else ()
            self.average.update(self.optimizer.picture)
            self.steps_done += 1
            self.seconds = time.perf_counter() - began
            yield Step(self.steps_done - 1, max(self.height, self.width), self.seconds, terms, notes, run=self)

    @property
    def picture(self) -> Picture:
        """The painting so far, with the content's alpha if it has one."""
        if self.lowest is not None:
            tensor = self.lowest[1]
        else:
            tensor = self.average.value if self.steps_done else self.optimizer.picture
        return Picture(tensor[0].cpu(), self._alpha())

    @torch.no_grad()
    def evaluate(self, picture: Picture) -> Terms:
        """The terms of a picture of this run's size, such as the one that eight bits a channel hold."""
        return self.objective(picture.tensor[None].to(self.vgg.device))

    def is_untouched(self, rounded: Picture) -> bool:
        """Whether a picture of 256 levels is what the run began with."""
        return bool(torch.equal(rounded.tensor, (self.initial[0].cpu() * 255).round() / 255))

    def _objective(self) -> Objective:
        settings = self.settings
        frames = [
            self._frame(style, f"style {number}", settings.style_scale) for number, style in enumerate(self.styles, 1)
        ]
        styles = [self._at(style, *hw) for style, hw in zip(self.styles, frames, strict=True)]
        content = None if self.content is None else self._at(self.content, self.height, self.width)
        reached = targets(self.vgg, content, settings.content_layers, styles, settings.style_layers)
        return Objective(self.vgg, reached, weighting(settings, reached))

    def _frame(self, picture: Picture, role: str, scale: float = 1) -> tuple[int, int]:
        """Height and width at which a picture enters the network."""
        settings = self.settings
        edge = round(settings.size * scale)
        height, width = pyramid.frame(picture.height, picture.width, edge, settings.resampling)
        content_layers = {} if self.content is None else settings.content_layers
        style_layers = settings.style_layers if self.styles else {}
        smallest = layers.smallest_edge({*content_layers, *style_layers})
        if min(height, width) < smallest:
            raise PictureError(
                f"{picture.name or role}: {picture.width}x{picture.height} pixels become {width}x{height}, "
                f"the layers asked for need {smallest} or more; crop it or give a larger --size"
            )
        return height, width

    def _initial(self) -> Tensor:
        """What is painted over, (1, 3, height, width)."""
        if self.init is not None:
            return self._at(self.init, self.height, self.width)
        if self.settings.init == "noise":
            noise = torch.rand(3, self.height, self.width, generator=torch.Generator().manual_seed(self.settings.seed))
            return noise[None]
        if self.settings.init != "content":
            raise SettingError(f"init: got {self.settings.init!r} but no such picture; hand it to the run as init")
        if self.content is None:
            raise SettingError("init: got 'content' but a texture has none; give 'noise' or a picture")
        return self._at(self.content, self.height, self.width)

    def _optimizer(self, picture: Tensor) -> optim.Optimizer:
        settings = self.settings
        if settings.optimizer == "lbfgs":
            return optim.LBFGS(picture)
        return self._adam(picture, settings.learning_rate)

    def _adam(self, picture: Tensor, learning_rate: float) -> optim.Adam:
        settings = self.settings
        return optim.Adam(
            picture,
            learning_rate=learning_rate,
            beta1=settings.adam_beta1,
            beta2=settings.adam_beta2,
            epsilon=settings.adam_epsilon,
            epsilon_hat=settings.optimizer == "keras-adam",
        )

    def _fall_back(self, total: float) -> tuple[str, ...]:
        """Go on with Adam where L-BFGS finds no way down, keeping the best picture from here on."""
        self.lowest = total, self.optimizer.picture
        self.optimizer = self._adam(self.optimizer.picture, FALLBACK_RATE * self.settings.learning_rate)
        return (f"L-BFGS can lower the loss no further at step {self.steps_done}; going on with Adam",)

    def _at(self, picture: Picture, height: int, width: int) -> Tensor:
        return pyramid.resize(picture.matted()[None], height, width, self.settings.resampling)

    def _alpha(self) -> Tensor | None:
        if self.content is None or self.content.alpha is None:
            return None
        return pyramid.resize(self.content.alpha[None], self.height, self.width, self.settings.resampling)[0]
