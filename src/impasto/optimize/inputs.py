"""The pictures that go into a run, and what they are at each of its scales."""

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from impasto.errors import PictureError, SettingError
from impasto.images import color_transfer
from impasto.images.masks import Style, by_role, check_mask_shape, group_regions, mask_levels, region_guides
from impasto.images.picture import Picture
from impasto.images.recipe import Task
from impasto.images.resize import resize, rotate, scaled_size
from impasto.optimize.memory_plan import Size, Stage
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale, scales

ALL, GRAY = slice(3), slice(1)
"""Colors of a picture, and the one of a mask."""

_Maybe = TypeVar("_Maybe", Picture, Picture | None)


class Inputs:
    """Photograph, paintings, masks: checked, and no larger than the run needs them.

    Attributes:
        wanted: the layers that are compared.
        stages: the scales that no picture is too narrow at, coarse to fine, with the sizes of picture and styles.

    Raises:
        PictureError: a picture that is too narrow for the layers asked for, or a mask that fits nowhere.
        SettingError: settings that do not fit the pictures given.
    """

    def __init__(
        self,
        content: Picture | None,
        styles: Sequence[Style],
        settings: Settings,
        *,
        init: Picture | None,
        keep: Picture | None,
    ) -> None:
        self.settings = settings
        self.task: Task = "texture" if content is None else "stylize" if styles else "reconstruct"
        self.wanted = self._wanted()
        turned = [dataclasses.replace(style, picture=self._turned(style.picture)) for style in styles]
        # what is left of a painting's long edge, so that its strokes keep their size
        self._left = [
            _edge(after.picture) / _edge(before.picture) for before, after in zip(styles, turned, strict=True)
        ]
        photo, (content, pictures) = (
            content,
            color_transfer.moved(content, [each.picture for each in turned], settings.color),
        )
        styles = [dataclasses.replace(style, picture=each) for style, each in zip(turned, pictures, strict=True)]
        masks = {id(each): each for each in (keep, *(style.mask for style in styles)) if each is not None}
        _check_masks(masks.values(), content)
        self.stages = self._stages(content, [style.picture for style in styles])
        self.frame = self.stages[-1].frame
        self._coarse: dict[tuple[int, Size], Tensor] = {}  # by the id of a picture that is kept below
        frames = [stage.frame for stage in self.stages]
        self.content, self.init = self._fitting(content, frames), self._fitting(init, frames)
        self._photo = self.content if photo is content else self._fitting(photo, frames)  # in its own colors
        fitted = {key: self._fitted(mask, mask_levels(mask), frames) for key, mask in masks.items()}
        self.keep = None if keep is None else fitted[id(keep)]
        self.styles = tuple(
            Style(self._fitting(style.picture, own), style.weight, style.mask and fitted[id(style.mask)])
            for style, *own in zip(styles, *(stage.styles for stage in self.stages), strict=True)
        )
        self.regions = group_regions(self.styles)
        self.alpha = None if content is None or content.alpha is None else content.alpha[None]
        for stage in (self.stages[0], self.stages[-1]):  # refused before the network is loaded, if they are to be
            self.guides(stage.frame)
        self.initial(self.stages[0].frame)

    @property
    def pictures(self) -> dict[str, Picture]:
        """All of them, by what they are."""
        return by_role(self.content, self.styles, self.init, self.keep)

    @property
    def held(self) -> int:
        """Bytes that they take."""
        tensors = [each.tensor for each in self.pictures.values()]
        alpha = [] if self.alpha is None else [self.alpha]
        return sum(each.nbytes for each in [*tensors, *self._coarse.values(), *alpha])

    def at(self, picture: Picture, frame: Size, colors: slice = ALL) -> Tensor:
        """One of the pictures, or some of its colors, at a scale's size: (1, 3, H, W)."""
        coarse = self._coarse.get((id(picture), frame))
        return self._resized(picture.tensor[None, colors], frame) if coarse is None else coarse[:, colors]

    def alpha_at(self, frame: Size) -> Tensor | None:
        """The content's alpha at a size, (1, H, W)."""
        return None if self.alpha is None else self._resized(self.alpha, frame)[0]

    def guides(self, frame: Size) -> list[Tensor | None]:
        """For every region its share in each pixel, (1, 1, H, W); None: all of the picture."""
        levels = [None if part.mask is None else self.at(part.mask, frame, GRAY) for part in self.regions]
        kept = None if self.keep is None else self.at(self.keep, frame, GRAY)
        return region_guides(self.regions, levels, kept)

    def finished(self, painted: Tensor) -> Tensor:
        """The picture (1, 3, H, W) in the colors asked for, and with what is to be left alone as the photograph is."""
        frame = painted.shape[2], painted.shape[3]
        if self.settings.color == "luminance" and self.content is not None:
            painted = color_transfer.luminance(painted[0], self.at(self.content, frame)[0])[None]
        if self.keep is not None and self._photo is not None:
            painted = torch.lerp(painted, self.at(self._photo, frame), self.at(self.keep, frame, GRAY))
        return painted

    def initial(self, frame: Size, colors: slice = ALL) -> Tensor:
        """What is painted over, or some of its colors: (1, 3, H, W)."""
        if self.init is not None:
            return self.at(self.init, frame, colors)
        if self.settings.init == "noise":
            generator = torch.Generator().manual_seed(self.settings.seed)
            return torch.rand(1, 3, *frame, generator=generator)[:, colors]
        if self.settings.init != "content":
            raise SettingError(f"init: got {self.settings.init!r} but no such picture; hand it to the run as init")
        if self.content is None:
            raise SettingError("init: got 'content' but a texture has none; give 'noise' or a picture")
        return self.at(self.content, frame, colors)

    def _wanted(self) -> tuple[str, ...]:
        settings = self.settings
        contents = settings.content_layers if self.task != "texture" else {}
        manners = settings.style_layers if self.task != "reconstruct" else {}
        weights = settings.content_weight * sum(contents.values()), settings.style_weight * sum(manners.values())
        if not any((*weights, settings.tv_weight)):
            raise SettingError(f"all weights that matter to a {self.task} are 0; raise the content, style or tv weight")
        return tuple({**contents, **manners})

    def _stages(self, content: Picture | None, styles: Sequence[Picture]) -> list[Stage]:
        """The scales that no picture is too narrow at; the last one is asked for, and there all must fit."""
        *coarse, last = scales(self.settings)
        stages = []
        for scale in coarse:
            with contextlib.suppress(PictureError):
                stages.append(self._stage(scale, content, styles))
        return [*stages, self._stage(last, content, styles)]

    def _stage(self, scale: Scale, content: Picture | None, styles: Sequence[Picture]) -> Stage:
        model, role = (styles[0], "style 1") if content is None else (content, "content")
        frame = self._tiling(self._frame(model, role, scale.edge))
        edge = scale.edge * self.settings.style_scale
        frames = [
            self._frame(style, f"style {number}", round(edge * share))
            for number, (style, share) in enumerate(zip(styles, self._left, strict=True), 1)
        ]
        return Stage(scale, frame, tuple(frames))

    def _frame(self, picture: Picture, role: str, edge: int) -> Size:
        """Height and width at which a picture enters the network."""
        height, width = scaled_size(picture.height, picture.width, edge, self.settings.resampling)
        smallest = layers.min_edge(self.wanted)
        if min(height, width) < smallest:
            raise PictureError(
                f"{picture.name or role}: {picture.width}x{picture.height} pixels become {width}x{height}, "
                f"the layers asked for need {smallest} or more; crop it or give a larger --size"
            )
        return height, width

    def _tiling(self, frame: Size) -> Size:
        """The frame, or the nearest one that pools leave nothing of: a seamless picture has no row to spare."""
        if self.settings.padding != "circular":
            return frame
        cell = layers.min_edge(self.wanted)
        return cell * max(round(frame[0] / cell), 1), cell * max(round(frame[1] / cell), 1)

    def _turned(self, painting: Picture) -> Picture:
        """A painting with its strokes in the direction asked for."""
        if not self.settings.style_rotation:
            return painting
        tensor = rotate(painting.matted()[None], self.settings.style_rotation)[0]
        return dataclasses.replace(painting, tensor=tensor, alpha=None)

    def _fitting(self, picture: _Maybe, frames: Sequence[Size]) -> _Maybe:
        """The picture without its alpha, as the scales need it."""
        return None if picture is None else self._fitted(picture, picture.matted(), frames)

    def _fitted(self, picture: Picture, tensor: Tensor, frames: Sequence[Size]) -> Picture:
        """`tensor` (C, H, W) as the picture, no larger than at the last scale; at coarser ones it is kept beside that.

        Resized twice it would not be the same: a small run would not be the beginning of a large one.
        """
        last = min(frames[-1], (picture.height, picture.width))
        whole = tensor[None]
        fitted = dataclasses.replace(picture, tensor=self._resized(whole, last)[0].expand(3, -1, -1), alpha=None)
        if last != (picture.height, picture.width):
            self._coarse |= {(id(fitted), frame): self._resized(whole, frame) for frame in frames if frame != last}
        return fitted

    def _resized(self, images: Tensor, frame: Size) -> Tensor:
        return resize(images, *frame, self.settings.resampling)


def _edge(picture: Picture) -> int:
    return max(picture.height, picture.width)


def _check_masks(masks: Iterable[Picture], content: Picture | None) -> None:
    for mask in masks:
        if content is None:
            raise SettingError("mask: a texture has no photograph that it could lie over; give no masks")
        check_mask_shape(mask, content)
