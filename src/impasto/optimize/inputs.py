"""The input images of a run: content image, style images, initial image and masks, at each of its scales."""

import dataclasses
import math
from collections.abc import Hashable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from impasto.errors import SettingError
from impasto.images import color_transfer
from impasto.images.faces.mask import MARGIN, WHOLE_FACE, face_mask
from impasto.images.guided import guided_upsampling
from impasto.images.masks import (
    Style,
    group_regions,
    mask_values,
    pictures_by_role,
    region_guides,
    with_notes,
)
from impasto.images.picture import Picture
from impasto.images.recipe import Task
from impasto.images.resize import rotate
from impasto.images.tone import Tone, match_tone, tone
from impasto.optimize.detail import amounts, find_faces, tones, with_detail_layers, with_face_note
from impasto.optimize.input_checks import check_init, check_masks, used_layers
from impasto.optimize.memory_plan import Size
from impasto.optimize.scale_sizes import output_size, plan_sizes
from impasto.optimize.scaled_pictures import ALL_CHANNELS, FIRST_CHANNEL, ScaledPictures
from impasto.optimize.style_targets import StyleTargets, compute
from impasto.settings.model import Faces, Settings

_Maybe = TypeVar("_Maybe", Picture, Picture | None)


class Inputs:
    """The validated inputs of a run, no larger than it needs them.

    Attributes:
        settings: with the content layers that count only where there is detail, if there is any.
        task: what the run does, given the images that there are.
        own_content_layers: the content layers that count everywhere.
        layer_names: the layers that losses are computed in.
        scale_plans: the scales, coarse to fine, with the sizes of the result and of the style images.
        size: height and width of the result.
        content: the content image, with the colors of the style images if `color` is "match".
        styles: the style images, rotated, and with the colors of the content image if `color` is "content".
        faces: those found in the content image; none if they are treated like the rest.
        regions: the parts of the image with a style of their own.
        alpha: of the content image, (1, 1, H, W).
        kept: returns what `StyleTargets` keep of the style images, and otherwise computes it.

    Raises:
        PictureError: an image is too small for the layers, or a mask has another shape or leaves a region empty.
        SettingError: the settings do not fit the images.
    """

    def __init__(
        self,
        content: Picture | None,
        styles: Sequence[Style],
        settings: Settings,
        *,
        init: Picture | None,
        keep: Picture | None,
        detail: Picture | None,
    ) -> None:
        check_init(init, settings)
        # with the colors of a content image, the style images are others for each content image
        self.kept = styles.kept if isinstance(styles, StyleTargets) and settings.color != "content" else compute
        self.task: Task = "texture" if content is None else "stylize" if styles else "reconstruct"
        self.faces = find_faces(content, settings) if self.task == "stylize" else ()
        content = original = with_face_note(content, self.faces, settings)
        has_detail = detail is not None or (bool(self.faces) and settings.faces == "soft")
        self.own_content_layers = tuple(settings.content_layers)
        self.settings = settings = with_detail_layers(settings) if has_detail else settings
        self.layer_names = used_layers(settings, self.task)
        masks = [keep, detail, *(style.mask for style in styles)]
        check_masks(masks, content)
        # in the order of use: rotated before their colors are measured, so that what rotation crops does not count
        rotated = [self._rotated(style.picture) for style in styles]
        content, pictures = color_transfer.apply_color_setting(content, rotated, settings.color)
        fractions = [_long_edge(new) / _long_edge(old.picture) for new, old in zip(rotated, styles, strict=True)]
        self.scale_plans = plan_sizes(content, list(zip(pictures, fractions, strict=True)), settings, self.layer_names)
        self.size = output_size(content, self.scale_plans, settings)
        self._scaled = ScaledPictures(settings.resampling)
        sizes = [*(plan.size for plan in self.scale_plans), self.size]
        self.content, self.init = self._reduced(content, sizes), self._reduced(init, sizes)
        # protected areas keep the content's own colors, also where "match" changes those that the network gets
        self._original_content = self.content if original is content else self._reduced(original, sizes)
        self.keep, self.detail, *style_masks = self._reduced_masks(masks, sizes)
        self.styles = self._reduced_styles(styles, pictures, style_masks)
        self._tones = tones(content, self._style_tones(pictures)) if has_detail and settings.color == "style" else None
        self.regions = group_regions(self.styles)
        self.alpha = None if content is None or content.alpha is None else content.alpha[None]
        self._check_first_and_last_scale()

    @property
    def pictures(self) -> dict[str, Picture]:
        """All pictures by their role: content, style 1, mask 1, ..."""
        return pictures_by_role(self.content, self.styles, self.init, self.keep, self.detail)

    @property
    def nbytes(self) -> int:
        """Memory of all pictures."""
        alpha = 0 if self.alpha is None else self.alpha.nbytes
        return sum(picture.tensor.nbytes for picture in self.pictures.values()) + self._scaled.nbytes + alpha

    @property
    def is_adaptive(self) -> bool:
        """Whether weak features of the content image weigh less; a reconstruction has no style for such areas."""
        return self.settings.adaptive_content > 0 and self.task == "stylize"

    @property
    def upsampled_bytes(self) -> int:
        """Memory of the upsampled result and of its rounded copy; 0: the last scale has the size of the output."""
        return 0 if self.size == self.scale_plans[-1].size else 2 * 4 * 3 * math.prod(self.size)

    @property
    def guided_regions(self) -> int:
        """The number of regions that have a guide: all of them if there is any mask or face, else none."""
        masks = [self.keep, self.detail, *(style.mask for style in self.styles)]
        return len(self.regions) if self.faces or any(mask is not None for mask in masks) else 0

    def guides(self, size: Size) -> list[Tensor | None]:
        """For every region its share in each pixel, (1, 1, H, W) in [0, 1]; None: the whole image.

        Raises:
            PictureError: a region is empty at this size.
        """
        masks = [
            None if region.mask is None else self._scaled.at(region.mask, size, FIRST_CHANNEL)
            for region in self.regions
        ]
        return region_guides(self.regions, masks, self._with_faces(self.keep, "keep", size))

    def detail_at(self, size: Size) -> Tensor | None:
        """The detail mask with the faces that are cared for, (1, 1, H, W), small ones above 1; None: there is none."""
        return self._with_faces(self.detail, "soft", size, amounts(self.faces, size))

    def _with_faces(
        self, mask: Picture | None, choice: Faces, size: Size, amounts: Sequence[float] = ()
    ) -> Tensor | None:
        """A mask at a size, (1, 1, H, W), with the faces added if they are treated as by `choice`; None: no mask."""
        values = None if mask is None else self._scaled.at(mask, size, FIRST_CHANNEL)
        if not self.faces or self.settings.faces != choice:
            return values
        faces = face_mask(self.faces, *size, amounts, WHOLE_FACE if choice == "keep" else MARGIN)
        return faces if values is None else torch.maximum(values, faces)

    def content_at(self, size: Size) -> Tensor | None:
        """The content image at the size of a scale, (1, 3, H, W); None if there is none.

        Where there is detail it has the tone of the style images, unless `color` says otherwise.
        """
        if self.content is None:
            return None
        image, toned = self._scaled.at(self.content, size), self._with_faces(self.detail, "soft", size)
        if toned is None or self._tones is None:
            return image
        return torch.lerp(image, match_tone(image[0], *self._tones)[None], toned)

    def style_key(self, number: int) -> tuple[Hashable, ...]:
        """What the pixels of style image `number`, from 0, depend on besides their size, if its colors are its own."""
        return number, self.settings.style_rotation, self.settings.resampling

    def style_at(self, number: int, size: Size) -> Tensor:
        """Style image `number`, from 0, at one of its sizes, (1, 3, H, W)."""
        return self._scaled.at(self.styles[number].picture, size)

    def alpha_at(self, size: Size) -> Tensor | None:
        """The content image's alpha at a size, (1, H, W)."""
        return None if self.alpha is None else self._scaled.resize(self.alpha, size)[0]

    def initial_image(self, size: Size, channels: slice = ALL_CHANNELS) -> Tensor:
        """The image that a run starts from, or some of its channels: (1, C, H, W) in [0, 1]."""
        if self.init is not None:
            return self._scaled.at(self.init, size, channels)
        if self.settings.init == "noise":
            # uniform in [0, 1), from a generator of its own, on the CPU: the same noise on every device, and the
            # caller's random numbers are not affected
            generator = torch.Generator().manual_seed(self.settings.seed)
            return torch.rand(1, 3, *size, generator=generator)[:, channels]
        if self.settings.init != "content":
            raise SettingError(f"init: got {self.settings.init!r}, but no such image; pass it to the run as `init`")
        if self.content is None:
            raise SettingError(
                "init: got 'content', but texture synthesis has no content image; give 'noise' or an image"
            )
        return self._scaled.at(self.content, size, channels)

    def upsampled(self, image: Tensor) -> Tensor:
        """The result of the last scale, (1, 3, h, w), at the size of the output; that of another scale as it is."""
        small, last = (image.shape[2], image.shape[3]), self.scale_plans[-1].size
        if small != last or last == self.size or self.content is None:
            return image
        return guided_upsampling(image, self._scaled.at(self.content, small), self._scaled.at(self.content, self.size))

    def postprocess(self, image: Tensor) -> Tensor:
        """The optimized image (1, 3, H, W) with the colors asked for, and protected areas as in the content image."""
        size = image.shape[2], image.shape[3]
        if self.settings.color == "luminance" and self.content is not None:
            image = color_transfer.transfer_luminance(image[0], self._scaled.at(self.content, size)[0])[None]
        keep = self._with_faces(self.keep, "keep", size)
        if keep is not None and self._original_content is not None:
            # (1 - keep) image + keep content: gray areas of the protection mask are blended
            image = torch.lerp(image, self._scaled.at(self._original_content, size), keep)
        return image

    def _check_first_and_last_scale(self) -> None:
        """Refuse a missing initial image and regions that are empty, before the network is loaded.

        A region is most likely to vanish at the coarsest scale; the last one is checked as it is what the user sees.
        """
        for plan in (self.scale_plans[0], self.scale_plans[-1]):
            self.guides(plan.size)
        self.initial_image(self.scale_plans[0].size)

    def _reduced_styles(
        self, styles: Sequence[Style], pictures: Sequence[Picture], masks: Sequence[Picture | None]
    ) -> tuple[Style, ...]:
        """The style images and their masks at the sizes of the scales."""
        sizes = zip(*(plan.style_sizes for plan in self.scale_plans), strict=True)  # per style, not per scale
        return tuple(
            Style(self._reduced_style(number, picture, own), style.weight, mask)
            for number, (style, picture, own, mask) in enumerate(zip(styles, pictures, sizes, masks, strict=True))
        )

    def _rotated(self, style: Picture) -> Picture:
        """A style image, rotated as the settings say."""
        if not self.settings.style_rotation:
            return style
        tensor = rotate(style.composited()[None], self.settings.style_rotation)[0]
        return dataclasses.replace(style, tensor=tensor, alpha=None)

    def _style_tones(self, styles: Sequence[Picture]) -> list[Tone]:
        return [self.kept(("tone", *self.style_key(number)), partial(tone, each)) for number, each in enumerate(styles)]

    def _reduced(self, picture: _Maybe, sizes: Sequence[Size]) -> _Maybe:
        """The picture, composited, at the sizes of the scales."""
        if picture is None:
            return None
        return self._scaled.add(self._scaled.reduce(picture, picture.composited(), sizes))

    def _reduced_style(self, number: int, style: Picture, sizes: Sequence[Size]) -> Picture:
        key = ("image", *self.style_key(number), *sizes)
        return self._scaled.add(self.kept(key, lambda: self._scaled.reduce(style, style.composited(), sizes)))

    def _reduced_masks(self, masks: Sequence[Picture | None], sizes: Sequence[Size]) -> list[Picture | None]:
        """The values of the masks at the sizes of the scales; a mask that is given several times is reduced once."""
        distinct = dict.fromkeys(mask for mask in masks if mask is not None)
        reduced = {
            mask: self._scaled.add(self._scaled.reduce(with_notes(mask), mask_values(mask), sizes)) for mask in distinct
        }
        return [None if mask is None else reduced[mask] for mask in masks]


def _long_edge(picture: Picture) -> int:
    return max(picture.height, picture.width)
