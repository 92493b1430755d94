"""A run of the iterative method: inputs -> an iterator of steps."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.images.picture import Picture
from impasto.images.quantize import Quantization
from impasto.images.resize import resize
from impasto.images.sources import ImageSource, StyleSource, as_styles, optional_picture
from impasto.loss.objective import Objective, Terms
from impasto.optimize import checkpoint
from impasto.optimize.adam import Adam
from impasto.optimize.detail import settings_here, with_missing_note
from impasto.optimize.engine_plan import plan_run
from impasto.optimize.inputs import Inputs
from impasto.optimize.memory_plan import ScalePlan
from impasto.optimize.optimizer import State
from impasto.optimize.pace import PACE_EDGE, measure_pace
from impasto.optimize.scale_objective import fitting_objective
from impasto.optimize.scale_run import ScaleRun
from impasto.optimize.spec import make_spec, picture_record
from impasto.optimize.state_check import RunNumbers
from impasto.optimize.step import Step
from impasto.optimize.style_targets import StyleTargets, network_of
from impasto.settings.model import Settings
from impasto.settings.presets import settings_or_preset
from impasto.torch_state import isolated
from impasto.vgg import device as devices
from impasto.vgg.model import VGG19, network_or_default


class Run:
    """Optimizes an image, from the coarsest scale to the finest; iterate over it to take its steps.

    The loop may be left at any time: `picture` is the result so far, at the size of the current scale; that of the
    last scale is upsampled to the output size where `settings.last_scale` is below it.

    Args:
        content: the content image; None: texture synthesis.
        styles: the style images, optionally with weights and masks, or `StyleTargets`; none: the content image is
            reconstructed.
        settings: the settings, or the name of a preset.
        init: the initial image, if settings.init is neither "content" nor "noise".
        keep: protection mask: white areas keep the content image unchanged.
        detail: detail mask: white areas stay closer to the content image.
        vgg: the network; by default loaded, on the fastest device.
        memory: memory limit of the process in bytes; by default most of what is available.
        strips: for every scale the rows of the image that are evaluated at a time, None for all; by default as many as
            fit into the memory.

    Attributes:
        settings: those given; `faces` is "off" if it was "soft" and the face detector is not installed.
        plan: the scales, coarse to fine, each with its size and strips.
        steps: the number of steps after which the run ends; may be lowered.
        steps_done: the number of steps taken.
        parent: for the recipe: the id of the job whose image the run starts from.

    Raises:
        PictureError: an image is too small for the selected layers, or a mask does not fit.
        SettingError: the settings do not fit the images, or the memory limit is too low.
        DivergedError: (from the loop) the loss is not finite or has exploded.
    """

    @isolated
    def __init__(
        self,
        content: ImageSource | None,
        styles: StyleSource | Sequence[StyleSource],
        settings: Settings | str | None = None,
        *,
        init: ImageSource | None = None,
        keep: ImageSource | None = None,
        detail: ImageSource | None = None,
        vgg: VGG19 | None = None,
        memory: int | None = None,
        strips: Sequence[int | None] | None = None,
    ) -> None:
        chosen = settings_or_preset(settings)
        image = optional_picture(content, "content")
        weighted = styles if isinstance(styles, StyleTargets) else as_styles(styles)
        if image is None and not weighted:
            raise SettingError("no image given; give a content image, a style image or both")
        self.settings = settings = settings_here(image, weighted, chosen)
        self.inputs = inputs = Inputs(
            with_missing_note(image, chosen, settings),
            weighted,
            settings,
            init=optional_picture(init, "init"),
            keep=optional_picture(keep, "keep"),
            detail=optional_picture(detail, "detail"),
        )
        self.task, (self.height, self.width) = inputs.task, inputs.size
        self.vgg = network_or_default(network_of(styles, vgg)).configured(
            pooling=settings.pooling, padding=settings.padding
        )
        self.vgg, self.plan = plan_run(self.vgg, inputs, memory, strips)
        self.steps = sum(plan.scale.steps for plan in self.plan)
        self.steps_done, self.seconds = 0, 0.0
        self.parent: str | None = None
        self.scale_index = 0
        self.scale_run = self._scale_run()

    def __iter__(self) -> Iterator[Step]:
        """Take the remaining steps."""
        started = time.perf_counter() - self.seconds
        # after the last step of a scale, `picture` is still its result; the next scale begins with its first step
        ends = list(accumulate(plan.scale.steps for plan in self.plan))
        while self.steps_done < self.steps:
            terms, notes = self._step(ends)
            self.seconds = time.perf_counter() - started
            yield Step(self.steps_done - 1, max(self.current_plan.size), self.seconds, terms, notes, run=self)

    @isolated
    def _step(self, scale_ends: Sequence[int]) -> tuple[Terms, tuple[str, ...]]:
        """Take one step, at the next scale if all steps of the current one are taken."""
        if self.steps_done == scale_ends[self.scale_index]:
            self._next_scale()
        is_last = self.steps_done + 1 in {scale_ends[self.scale_index], self.steps}
        terms, notes = self.scale_run.step(self.steps_done, is_last=is_last)
        self._record_strip(self.scale_run.objective.strip)
        self.steps_done += 1
        return terms, notes

    @property
    def current_plan(self) -> ScalePlan:
        """The plan of the current scale."""
        return self.plan[self.scale_index]

    @property
    @isolated
    def picture(self) -> Picture:
        """The result so far, upsampled and postprocessed, with the content image's alpha if it has one."""
        image = self.inputs.postprocess(self.inputs.upsampled(self.scale_run.current.to("cpu", copy=True)))[0]
        alpha = self.inputs.alpha_at((image.shape[1], image.shape[2]))
        return Picture(image, alpha, rounding=self._rounding)

    @isolated
    def evaluate(self, picture: Picture) -> Terms:
        """The terms of the loss of a picture, resized to the current scale, such as the result rounded to 8 bits."""
        image = resize(picture.tensor[None], *self.current_plan.size, self.settings.resampling)
        return self.scale_run.objective(image.to(self.vgg.device))

    @property
    @isolated
    def initial_image(self) -> Tensor:
        """The initial image at the current scale, (1, 3, H, W) on the CPU."""
        return self.inputs.initial_image(self.current_plan.size)

    @isolated
    def equals_initial(self, rounded: Picture) -> bool:
        """Whether a rounded picture is what the run would return at that size after no step at all."""
        size = rounded.height, rounded.width
        if self.settings.color == "luminance":
            initial = self.inputs.postprocess(self.inputs.initial_image(size))[0]
            return torch.equal(rounded.tensor, self._rounding.round_trip(initial))
        # one channel at a time: the initial image of a large run takes a third of the memory
        channels = (slice(channel, channel + 1) for channel in range(3))
        initials = (self._rounding.round_trip(self.inputs.initial_image(size, channel)[0]) for channel in channels)
        return all(map(torch.equal, rounded.tensor[:, None], initials))

    @isolated
    def measure_pace(self) -> float:
        """Seconds per multiply-add of a forward and a backward pass, at the size of one of the scales."""
        small = [plan.size for plan in self.plan if plan.scale.edge <= PACE_EDGE] or [self.plan[0].size]
        return measure_pace(self.vgg, self.inputs.layer_names, small[-1])

    @property
    def spec(self) -> dict[str, Any]:
        """All that the result depends on besides `state()`, as JSON: inputs by hash, settings, versions."""
        pictures = {role: picture_record(picture) for role, picture in self.inputs.pictures.items()}
        mixture = [style.weight for style in self.inputs.styles]
        return make_spec(self.task, self.settings, pictures, mixture, self.vgg)

    @isolated
    def state(self) -> State:
        """All that later steps depend on besides `spec`."""
        tensors, numbers = self.scale_run.state()
        strips = [plan.strip for plan in self.plan]  # strips change the order of sums, and so the rounding
        return tensors, {
            "steps_done": self.steps_done,
            "seconds": self.seconds,
            "scale_index": self.scale_index,
            "strips": strips,
            "scale_run": numbers,
        }

    def to_bytes(self) -> bytes:
        """The state of the run: the contents of a checkpoint file, without the images and the network."""
        return checkpoint.to_bytes(self)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        content: ImageSource | None,
        styles: StyleSource | Sequence[StyleSource],
        *,
        init: ImageSource | None = None,
        keep: ImageSource | None = None,
        detail: ImageSource | None = None,
        vgg: VGG19 | None = None,
    ) -> "Run":
        """A run that continues from the state in `data`, of `to_bytes` or a checkpoint file, to the same bits.

        Args:
            content, styles, init, keep, detail: the images of that run. The settings are in the state.
            vgg: the network of that run; by default loaded, for the same kind of device, in the same precision.

        Raises:
            CheckpointError: other images or another network, damaged data, or those of another version.
        """
        saved = checkpoint.read(data)
        vgg = network_of(styles, vgg) or VGG19.load(device=saved.device, precision=saved.precision, engine=saved.ncnn)
        run = cls(
            content,
            styles,
            saved.settings,
            init=init,
            keep=keep,
            detail=detail,
            vgg=vgg.with_ncnn(saved.ncnn),
            strips=saved.strips,
        )
        checkpoint.resume(run, saved)
        return run

    @isolated
    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Continue from a state of a run with the same `spec` and the strips of that state."""
        RunNumbers.model_validate(numbers)
        if len(numbers["strips"]) != len(self.plan):
            raise ValueError(f"got {len(numbers['strips'])} strips for {len(self.plan)} scales")
        self.steps_done, self.seconds = numbers["steps_done"], numbers["seconds"]
        self.scale_index = numbers["scale_index"]
        first = sum(plan.scale.steps for plan in self.plan[: self.scale_index])
        if not first <= self.steps_done <= first + self.current_plan.scale.steps:
            raise ValueError(f"step {self.steps_done} does not belong to scale {self.scale_index}")
        if self.scale_index:  # the one of the first scale exists already; the state replaces its image
            self.scale_run = self._scale_run(tensors["optimizer.image"])
        on_device = {name: tensor.to(self.vgg.device) for name, tensor in tensors.items()}
        self.scale_run.restore(on_device, numbers["scale_run"])

    def _next_scale(self) -> None:
        """Continue at the next scale from the result so far."""
        self.scale_index += 1
        image = self.scale_run.current.cpu()
        optimizer = self.scale_run.optimizer
        coarser = optimizer if isinstance(optimizer, Adam) else None
        del self.scale_run, optimizer  # frees targets, feature maps and L-BFGS' history before the next allocations
        devices.release_memory(self.vgg.device)
        self.scale_run = self._scale_run(image, coarser)

    def _scale_run(self, image: Tensor | None = None, coarser: Adam | None = None) -> ScaleRun:
        """The optimization at the current scale, from an image of any size, by default from the initial image."""
        size, objective = self.current_plan.size, self._objective()
        if image is None:
            image = self.inputs.initial_image(size)
        image = resize(image, *size, self.settings.resampling)
        return ScaleRun(objective, image.to(self.vgg.device), self.settings, coarser)

    def _objective(self) -> Objective:
        """The objective of the current scale, in narrower strips than planned if memory runs out."""
        objective = fitting_objective(self.vgg, self.inputs, self.current_plan)
        self._record_strip(objective.strip)
        return objective

    def _record_strip(self, strip: int | None) -> None:
        """Record in the plan how the current scale is evaluated: checkpoints and recipes contain it."""
        if strip != self.current_plan.strip:
            plans = list(self.plan)
            plans[self.scale_index] = dataclasses.replace(self.current_plan, strip=strip)
            self.plan = tuple(plans)

    @property
    def _rounding(self) -> Quantization:
        return Quantization(self.settings.depth, self.settings.dither)
