"""A run: pictures in, an iterator of steps out. The algorithm and nothing else."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from impasto.errors import SettingError, is_out_of_memory
from impasto.images.masks import Region, Style, layer_guides
from impasto.images.picture import Picture
from impasto.images.quantize import Rounding
from impasto.images.resize import resize
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import MIN_STRIP, Objective, Terms, narrower_strip
from impasto.loss.targets import StyleTarget, Targets, content_targets, style_targets
from impasto.optimize import optimizers
from impasto.optimize.inputs import Inputs
from impasto.optimize.memory_plan import Needs, Stage
from impasto.optimize.scale_run import ScaleRun
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.version import __version__
from impasto.vgg import device as devices
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

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
        styles: the paintings, with weights and masks if need be; none reconstructs the content.
        settings: the settings.
        init: what is painted over, if settings.init is neither "content" nor "noise".
        keep: white where the content is left alone, over all of it.
        vgg: the network; loaded, on the best device, if not given.
        memory: bytes that the whole process may take; by default what is at hand.
        strips: for every scale the rows of the picture that are evaluated at a time, None for all; by default the
            memory decides.

    Attributes:
        plan: the scales, coarse to fine, each with its size and strips.
        steps: after how many steps the run ends; fewer than planned may be set.

    Raises:
        PictureError: a picture that is too narrow for the layers asked for at this size, or a mask that does not fit.
        SettingError: settings that do not fit the pictures given, or more memory needed than there is.
        DivergedError: (from the loop) the loss is no longer a number.
    """

    def __init__(
        self,
        content: Picture | None,
        styles: Sequence[Picture | Style],
        settings: Settings | None = None,
        *,
        init: Picture | None = None,
        keep: Picture | None = None,
        vgg: VGG19 | None = None,
        memory: int | None = None,
        strips: Sequence[int | None] | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        if content is None and not styles:
            raise SettingError("no picture given; give a content, a style or both")
        paintings = [each if isinstance(each, Style) else Style(each) for each in styles]
        self.inputs = inputs = Inputs(content, paintings, settings, init=init, keep=keep)
        self.task, (self.height, self.width) = inputs.task, inputs.frame
        self.vgg = (vgg or VGG19.load()).configured(pooling=settings.pooling, padding=settings.padding)
        self.plan = self._plan(memory, strips)
        self.steps = sum(stage.scale.steps for stage in self.plan)
        self.steps_done, self.seconds = 0, 0.0
        self.stage = 0
        self.scale_run = self._scale_run(self.plan[0])

    def __iter__(self) -> Iterator[Step]:
        """Take the remaining steps."""
        began = time.perf_counter() - self.seconds
        ends = list(accumulate(stage.scale.steps for stage in self.plan))
        while self.steps_done < self.steps:
            if self.steps_done == ends[self.stage]:
                self._climb()
            terms, notes = self.scale_run.step(self.steps_done)
            self._keep_strip(self.scale_run.objective.strip)
            self.steps_done += 1
            self.seconds = time.perf_counter() - began
            edge = max(self.plan[self.stage].frame)
            yield Step(self.steps_done - 1, edge, self.seconds, terms, notes, run=self)

    @property
    def picture(self) -> Picture:
        """The painting so far, in the colors asked for, with the content's alpha if it has one."""
        alpha = self.inputs.alpha_at(self.plan[self.stage].frame)
        return Picture(self.inputs.finished(self.scale_run.current.cpu())[0], alpha, rounding=self._rounding)

    @torch.no_grad()
    def evaluate(self, picture: Picture) -> Terms:
        """The terms of a picture of the present scale's size, such as the one that eight bits a channel hold."""
        return self.scale_run.objective(picture.tensor[None].to(self.vgg.device))

    @property
    def initial(self) -> Tensor:
        """What the run would begin with at its present scale, (1, 3, H, W) on the CPU."""
        return self.inputs.initial(self.plan[self.stage].frame)

    def is_untouched(self, rounded: Picture) -> bool:
        """Whether a rounded picture, of the present scale's size, is what the run would begin with there."""
        frame = rounded.height, rounded.width
        if self.settings.color == "luminance":
            return torch.equal(
                rounded.tensor, self._rounding.rounded(self.inputs.finished(self.inputs.initial(frame))[0])
            )
        initials = (self._rounding.rounded(self.inputs.initial(frame, slice(each, each + 1))[0]) for each in range(3))
        return all(map(torch.equal, rounded.tensor[:, None], initials))

    def trial(self) -> float:
        """Seconds that a multiplication takes, measured there and back at noise of the size of a scale."""
        small = [stage.frame for stage in self.plan if stage.scale.edge <= TRIAL] or [self.plan[0].frame]
        wanted = self.inputs.wanted
        image, network = torch.rand(1, 3, *small[-1], device=self.vgg.device), Backprop(self.vgg, wanted)
        seconds = []
        for _ in range(2):  # the first one warms up
            began = time.perf_counter()
            network.forward(image, lambda *_: None)
            for _, gradient in network.backward({name: lambda here, _: here.clone() for name in wanted}):
                float(gradient.sum())
            seconds.append(time.perf_counter() - began)
        return min(seconds) / (2 * layers.multiply_adds(wanted, *small[-1]))

    @property
    def spec(self) -> dict[str, Any]:
        """Everything that the result depends on besides `state()`, as JSON: inputs by hash, settings, versions."""
        return {
            "impasto": __version__,
            "torch": torch.__version__,
            "task": self.task,
            "settings": self.settings.model_dump(mode="json"),
            "pictures": {
                role: {"name": each.name, "sha256": each.content_hash} for role, each in self.inputs.pictures.items()
            },
            "mixture": [style.weight for style in self.inputs.styles],
            "weights": self.vgg.sha256,
            "device": self.vgg.device.type,
            "precision": self.vgg.precision,
        }

    def state(self) -> optimizers.State:
        """All that the steps to come depend on, beside what the run was made of."""
        tensors, numbers = self.scale_run.state()
        strips = [stage.strip for stage in self.plan]
        own = {"steps_done": self.steps_done, "seconds": self.seconds, "stage": self.stage, "strips": strips}
        return tensors, {**own, "scale_run": numbers}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Go on from a state of a run that was made of the same, with the strips that it says."""
        self.steps_done, self.seconds, self.stage = numbers["steps_done"], numbers["seconds"], numbers["stage"]
        before = sum(stage.scale.steps for stage in self.plan[: self.stage])
        if not before <= self.steps_done <= before + self.plan[self.stage].scale.steps:
            raise ValueError(f"step {self.steps_done} is not of scale {self.stage}")
        if self.stage:
            self.scale_run = self._scale_run(self.plan[self.stage], tensors["optimizer.picture"])
        self.scale_run.restore({name: each.to(self.vgg.device) for name, each in tensors.items()}, numbers["scale_run"])

    def _climb(self) -> None:
        """Go on at the next scale, from the picture shown."""
        self.stage += 1
        picture = self.scale_run.current.cpu()
        before = self.scale_run.optimizer if isinstance(self.scale_run.optimizer, optimizers.Adam) else None
        del self.scale_run
        devices.give_back(self.vgg.device)
        self.scale_run = self._scale_run(self.plan[self.stage], picture, before)

    def _scale_run(
        self, stage: Stage, picture: Tensor | None = None, before: optimizers.Adam | None = None
    ) -> ScaleRun:
        """The steps of a scale, from a picture of any size, the initial one if none is given."""
        while True:
            try:
                objective = self._objective(stage)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or stage.strip == MIN_STRIP or self.settings.padding == "circular":
                    raise
            stage = dataclasses.replace(stage, strip=narrower_strip(stage.strip, stage.frame[0]))
        self._keep_strip(stage.strip)
        if picture is None:
            picture = self.inputs.initial(stage.frame)
        picture = resize(picture, *stage.frame, self.settings.resampling)
        return ScaleRun(objective, picture.to(self.vgg.device), self.settings, before)

    def _keep_strip(self, strip: int | None) -> None:
        """Keep in the plan that the present scale is evaluated so: the plan goes into checkpoints and recipes."""
        if strip != self.plan[self.stage].strip:
            stages = list(self.plan)
            stages[self.stage] = dataclasses.replace(stages[self.stage], strip=strip)
            self.plan = tuple(stages)

    def _objective(self, stage: Stage) -> Objective:
        inputs, settings, content = self.inputs, self.settings, {}
        guides = inputs.guides(stage.frame)
        style = [self._manner(region, guide, stage) for region, guide in zip(inputs.regions, guides, strict=True)]
        if inputs.content is not None:  # large ones are no longer held when the next is made
            photo = inputs.at(inputs.content, stage.frame)
            content = content_targets(self._given, photo, settings.content_layers, strip=stage.strip)
        reached = Targets(content, style)
        weights = loss_weights(settings, reached)
        weights = dataclasses.replace(weights, content=weights.content * stage.scale.content)
        return Objective(self.vgg, reached, weights, strip=stage.strip)

    @property
    def _given(self) -> VGG19:
        """The network as it sees what was given, the edges of which do not meet."""
        padding = "replicate" if self.settings.padding == "circular" else self.settings.padding
        return self.vgg.configured(pooling=self.settings.pooling, padding=padding)

    def _manner(self, region: Region, guide: Tensor | None, stage: Stage) -> StyleTarget:
        """What a region is to be like."""
        inputs, settings = self.inputs, self.settings
        guides = {name: each.to(self.vgg.device) for name, each in layer_guides(guide, settings.style_layers).items()}
        # a small region may have no position of its own in a deep layer at a coarse scale
        wanted = [name for name in settings.style_layers if name not in guides or guides[name].any()]
        paintings = (
            (inputs.at(inputs.styles[number].picture, stage.styles[number]), share)
            for number, share in region.shares.items()
        )
        found = style_targets(
            self._given,
            paintings,
            wanted,
            loss=settings.style_loss,
            guides=guides,
            strip=stage.strip,
            inner=settings.padding == "circular",
        )
        return StyleTarget(found, 1.0 if guide is None else float(guide.mean()))

    def _plan(self, memory: int | None, strips: Sequence[int | None] | None) -> tuple[Stage, ...]:
        inputs = self.inputs
        guided = sum(guide is not None for guide in inputs.guides(inputs.stages[0].frame))
        needs = Needs(self.vgg, self.settings, inputs.wanted, inputs.held, guided)
        if strips is not None and len(strips) == len(inputs.stages):
            return tuple(map(needs.in_strips, inputs.stages, strips))
        limit = devices.memory(self.vgg.device) if memory is None else memory
        return tuple(needs.within(stage, limit) for stage in inputs.stages)

    @property
    def _rounding(self) -> Rounding:
        return Rounding(self.settings.depth, self.settings.dither)
