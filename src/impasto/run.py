"""A run: pictures in, an iterator of steps out. The algorithm and nothing else."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from impasto import device as devices
from impasto import layers, optim, pyramid
from impasto.backprop import Backprop
from impasto.conventions import weighting
from impasto.descent import Descent
from impasto.errors import PictureError, SettingError, is_out_of_memory
from impasto.image import Picture
from impasto.objective import NARROWEST, Objective, Terms, narrower, targets
from impasto.plan import Frame, Needs, Stage
from impasto.recipe import Task
from impasto.scales import Scale, scales
from impasto.settings import Settings
from impasto.vgg import VGG19

TRIAL = 512
"""Long edge of the largest scale that a trial is made at: smaller ones are slower for their size."""


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
        """The picture as it is now, at the scale that it is painted at."""
        return self.run.picture


class Run:
    """Paints, from the coarsest scale to the finest; iterate over it.

    Leave the loop when you like: `picture` is the painting so far, of the size of the scale that the run has come to.

    Args:
        content: the photograph; None paints a texture of the styles.
        styles: the paintings; none reconstructs the content.
        settings: the settings.
        init: what is painted over, if settings.init is neither "content" nor "noise".
        vgg: the network; loaded, on the best device, if not given.
        memory: bytes that the whole process may take; by default what is at hand.
        strips: for every scale the rows of the picture that are evaluated at a time, None for all; by default the
            memory decides.

    Attributes:
        plan: the scales, coarse to fine, each with its size and strips.
        steps: after how many steps the run ends; fewer than planned may be set.

    Raises:
        PictureError: a picture that is too narrow for the layers asked for at this size.
        SettingError: settings that do not fit the pictures given, or more memory needed than there is.
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
        memory: int | None = None,
        strips: Sequence[int | None] | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        self.task: Task = "texture" if content is None else "stylize" if styles else "reconstruct"
        model = content if content is not None else next(iter(styles), None)
        if model is None:
            raise SettingError("no picture given; give a content, a style or both")
        contents = settings.content_layers if content is not None else {}
        manners = settings.style_layers if styles else {}
        weights = settings.content_weight * sum(contents.values()), settings.style_weight * sum(manners.values())
        if not any((*weights, settings.tv_weight)):
            raise SettingError(f"all weights that matter to a {self.task} are 0; raise the content, style or tv weight")
        self.wanted = tuple({**contents, **manners})
        stages = self._stages(model, styles)
        self.height, self.width = stages[-1].frame
        self.content, self.init = (
            None if each is None else self._fitting(each, stages[-1].frame) for each in (content, init)
        )
        self.styles = tuple(map(self._fitting, styles, stages[-1].styles))
        self.alpha = None if content is None or content.alpha is None else content.alpha[None]
        self._initial(stages[0].frame)  # refused before the network is loaded, if it is to be
        self.vgg = (vgg or VGG19.load()).reading(pooling=settings.pooling, padding=settings.padding)
        self.plan = self._plan(stages, memory, strips)
        self.steps = sum(stage.scale.steps for stage in self.plan)
        self.steps_done, self.seconds = 0, 0.0
        self.stage = 0
        self.descent = self._descent(self.plan[0])

    def __iter__(self) -> Iterator[Step]:
        """Take the remaining steps."""
        began = time.perf_counter() - self.seconds
        ends = list(accumulate(stage.scale.steps for stage in self.plan))
        while self.steps_done < self.steps:
            if self.steps_done == ends[self.stage]:
                self._climb()
            terms, notes = self.descent.step(self.steps_done)
            self._keep_strip(self.descent.objective.strip)
            self.steps_done += 1
            self.seconds = time.perf_counter() - began
            edge = max(self.plan[self.stage].frame)
            yield Step(self.steps_done - 1, edge, self.seconds, terms, notes, run=self)

    @property
    def picture(self) -> Picture:
        """The painting so far, with the content's alpha if it has one."""
        height, width = self.plan[self.stage].frame
        alpha = None if self.alpha is None else pyramid.resize(self.alpha, height, width, self.settings.resampling)[0]
        return Picture(self.descent.shown[0].cpu(), alpha)

    @torch.no_grad()
    def evaluate(self, picture: Picture) -> Terms:
        """The terms of a picture of the present scale's size, such as the one that eight bits a channel hold."""
        return self.descent.objective(picture.tensor[None].to(self.vgg.device))

    @property
    def initial(self) -> Tensor:
        """What the run would begin with at its present scale, (1, 3, H, W) on the CPU."""
        return self._initial(self.plan[self.stage].frame)

    def is_untouched(self, rounded: Picture) -> bool:
        """Whether a picture of 256 levels, of the present scale's size, is what the run would begin with there."""
        frame = rounded.height, rounded.width
        initials = (self._initial(frame, slice(colour, colour + 1))[0, 0] for colour in range(3))
        return all(map(torch.equal, rounded.tensor, (plane.mul(255).round_().div_(255) for plane in initials)))

    def trial(self) -> float:
        """Seconds that a multiplication takes, measured there and back at noise of the size of a scale."""
        small = [stage.frame for stage in self.plan if stage.scale.edge <= TRIAL] or [self.plan[0].frame]
        image, network = torch.rand(1, 3, *small[-1], device=self.vgg.device), Backprop(self.vgg, self.wanted)
        seconds = []
        for _ in range(2):  # the first one warms up
            began = time.perf_counter()
            network.forward(image, lambda *_: None)
            float(network.backward({name: lambda here, _: here.clone() for name in self.wanted}).sum())
            seconds.append(time.perf_counter() - began)
        return min(seconds) / (2 * layers.multiplications(self.wanted, *small[-1]))

    def state(self) -> optim.State:
        """All that the steps to come depend on, beside what the run was made of."""
        tensors, numbers = self.descent.state()
        strips = [stage.strip for stage in self.plan]
        own = {"steps_done": self.steps_done, "seconds": self.seconds, "stage": self.stage, "strips": strips}
        return tensors, {**own, "descent": numbers}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from a state of a run that was made of the same, with the strips that it says."""
        self.steps_done, self.seconds, self.stage = numbers["steps_done"], numbers["seconds"], numbers["stage"]
        before = sum(stage.scale.steps for stage in self.plan[: self.stage])
        if not before <= self.steps_done <= before + self.plan[self.stage].scale.steps:
            raise ValueError(f"step {self.steps_done} is not of scale {self.stage}")
        if self.stage:
            self.descent = self._descent(self.plan[self.stage], tensors["best"])
        self.descent.restore({name: each.to(self.vgg.device) for name, each in tensors.items()}, numbers["descent"])

    def _climb(self) -> None:
        """Go on at the next scale, from the picture shown."""
        self.stage += 1
        stage, (height, width) = self.plan[self.stage], self.plan[self.stage].frame
        picture = pyramid.resize(self.descent.shown.cpu(), height, width, self.settings.resampling)
        before = self.descent.optimizer if isinstance(self.descent.optimizer, optim.Adam) else None
        del self.descent
        devices.give_back(self.vgg.device)
        self.descent = self._descent(stage, picture, before)

    def _descent(self, stage: Stage, picture: Tensor | None = None, before: optim.Adam | None = None) -> Descent:
        while True:
            try:
                objective = self._objective(stage)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or stage.strip == NARROWEST:
                    raise
            stage = dataclasses.replace(stage, strip=narrower(stage.strip, stage.frame[0]))
        self._keep_strip(stage.strip)
        picture = self._initial(stage.frame) if picture is None else picture
        return Descent(objective, picture.to(self.vgg.device), self.settings, before)

    def _keep_strip(self, strip: int | None) -> None:
        """Keep in the plan that the present scale is evaluated so: the plan goes into checkpoints and recipes."""
        stages = list(self.plan)
        stages[self.stage] = dataclasses.replace(stages[self.stage], strip=strip)
        self.plan = tuple(stages)

    def _objective(self, stage: Stage) -> Objective:
        settings = self.settings
        styles = [self._at(style, frame) for style, frame in zip(self.styles, stage.styles, strict=True)]
        content = None if self.content is None else self._at(self.content, stage.frame)
        reached = targets(self.vgg, content, settings.content_layers, styles, settings.style_layers, strip=stage.strip)
        weights = weighting(settings, reached)
        weights = dataclasses.replace(weights, content=weights.content * stage.scale.content)
        return Objective(self.vgg, reached, weights, strip=stage.strip)

    def _plan(
        self, stages: Sequence[Stage], memory: int | None, strips: Sequence[int | None] | None
    ) -> tuple[Stage, ...]:
        given = [each.tensor for each in (self.content, self.init, *self.styles) if each is not None]
        held = sum(tensor.nbytes for tensor in (*given, self.alpha) if tensor is not None)
        needs = Needs(self.vgg, self.settings, self.wanted, held)
        if strips is not None and len(strips) == len(stages):
            return tuple(map(needs.in_strips, stages, strips))
        limit = devices.memory(self.vgg.device) if memory is None else memory
        return tuple(needs.within(stage, limit) for stage in stages)

    def _stages(self, model: Picture, styles: Sequence[Picture]) -> list[Stage]:
        """The scales that no picture is too narrow at; the last one is asked for, and there all must fit."""
        *coarse, last = scales(self.settings)
        stages = []
        for scale in coarse:
            with contextlib.suppress(PictureError):
                stages.append(self._stage(scale, model, styles))
        return [*stages, self._stage(last, model, styles)]

    def _stage(self, scale: Scale, model: Picture, styles: Sequence[Picture]) -> Stage:
        frame = self._frame(model, "style 1" if self.task == "texture" else "content", scale.edge)
        edge = round(scale.edge * self.settings.style_scale)
        frames = [self._frame(style, f"style {number}", edge) for number, style in enumerate(styles, 1)]
        return Stage(scale, frame, tuple(frames))

    def _frame(self, picture: Picture, role: str, edge: int) -> Frame:
        """Height and width at which a picture enters the network."""
        height, width = pyramid.frame(picture.height, picture.width, edge, self.settings.resampling)
        smallest = layers.smallest_edge(self.wanted)
        if min(height, width) < smallest:
            raise PictureError(
                f"{picture.name or role}: {picture.width}x{picture.height} pixels become {width}x{height}, "
                f"the layers asked for need {smallest} or more; crop it or give a larger --size"
            )
        return height, width

    def _initial(self, frame: Frame, colours: slice = slice(0, 3)) -> Tensor:
        """What is painted over, or some of its colours: (1, 3, H, W)."""
        if self.init is not None:
            return self._at(self.init, frame, colours)
        if self.settings.init == "noise":
            generator = torch.Generator().manual_seed(self.settings.seed)
            return torch.rand(1, 3, *frame, generator=generator)[:, colours]
        if self.settings.init != "content":
            raise SettingError(f"init: got {self.settings.init!r} but no such picture; hand it to the run as init")
        if self.content is None:
            raise SettingError("init: got 'content' but a texture has none; give 'noise' or a picture")
        return self._at(self.content, frame, colours)

    def _fitting(self, picture: Picture, frame: Frame) -> Picture:
        """The picture without its alpha, and no larger than the run needs it."""
        height, width = min(frame, (picture.height, picture.width))
        tensor = pyramid.resize(picture.matted()[None], height, width, self.settings.resampling)[0]
        return dataclasses.replace(picture, tensor=tensor, alpha=None)

    def _at(self, picture: Picture, frame: Frame, colours: slice = slice(0, 3)) -> Tensor:
        return pyramid.resize(picture.tensor[None, colours], *frame, self.settings.resampling)
