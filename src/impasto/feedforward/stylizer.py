"""Pictures painted in one pass, by a feed-forward network, instead of step by step."""

import dataclasses
import os
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.errors import PictureError, SettingError, is_out_of_memory
from impasto.events import Noted, OnEvent, Painted
from impasto.feedforward import network as networks
from impasto.feedforward import weights
from impasto.feedforward.inference import SMALLEST, StripInference
from impasto.feedforward.network import STYLE_EDGE, Affines, Transformer
from impasto.feedforward.style_file import DistilledStyle, is_distilled, load_style
from impasto.images import color_transfer
from impasto.images.masks import Style
from impasto.images.picture import Picture
from impasto.images.quantize import Quantization
from impasto.images.recipe import Recipe, StyleRecord, environment
from impasto.images.resize import resize, scaled_size
from impasto.images.sources import ImageSource, StyleSource, as_list, as_picture, as_styles, input_record, style_record
from impasto.settings.model import Settings
from impasto.settings.presets import preset
from impasto.vgg import device as devices

NARROW = 16
"""Rows at a quarter of the size that are evaluated at a time where there was not enough memory for more."""


class _Painter:
    """A network that paints in one pass, ready on a device.

    Attributes:
        device, dtype: where and in what it is evaluated.
        sha256: of the file with its weights.
    """

    def __init__(self, transformer: Transformer, sha256: str, device: str, precision: str) -> None:
        self.device = devices.select_device(device)
        self.dtype = devices.select_dtype(precision, self.device)
        self.sha256 = sha256
        self._one_pass = StripInference(transformer, device=self.device, dtype=self.dtype)

    @property
    def precision(self) -> str:
        """What it is evaluated in."""
        return str(self.dtype).removeprefix("torch.")

    def paint(self, photo: Tensor, style: Affines, memory: int | None = None, into: Tensor | None = None) -> Tensor:
        """(3, H, W) float32 sRGB in [0, 1] -> the same, painted, in strips if `memory` bytes are not enough.

        `into` is where it goes, which may be the photograph itself.
        """
        limit = devices.available_memory(self.device) if memory is None else memory
        at_hand = max(limit - devices.resident_memory(), 0) if self.device.type == "cpu" else limit
        try:
            return self._one_pass(photo, style, at_hand, into)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or into is not None:  # some of the photograph may be painted over
                raise
        devices.release_memory(self.device)
        return self._one_pass.in_strips(photo, style, NARROW)


class FastNetwork(_Painter):
    """Magenta's network for any style: load it once, paint any number of pictures."""

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        """Load it.

        Raises:
            WeightsError: its weights are not at hand.
            SettingError: a device or precision that there is not.
        """
        self._predictor, self._conditioner, self.transformer = networks.load()
        super().__init__(self.transformer, weights.SHA256[weights.TRANSFORMER], device, precision)

    def code(self, of: Picture) -> Tensor:
        """The style of a picture, (100,): of the square in its midst."""
        side = min(of.height, of.width)
        top, left = (of.height - side) // 2, (of.width - side) // 2
        square = of.composited()[None, :, top : top + side, left : left + side]
        with torch.no_grad():
            code: Tensor = self._predictor(resize(square, STYLE_EDGE, STYLE_EDGE))[0]
        return code

    def style(self, styles: Sequence[Style], photo: Picture, strength: float) -> Affines:
        """What the network is to paint like: the styles in a mixture, as far from the photograph's own as `strength`.

        At 0 the photograph's, at 0.5 the paintings', as the paper interpolates (section 3.4), at 1 half as far again:
        beyond that nothing is left of the photograph.
        """
        total = sum(each.weight for each in styles)
        code = sum((each.weight / total * self.code(each.picture) for each in styles), torch.zeros(()))
        if strength != 0.5:
            own = self.code(photo)
            code = own + min(2 * strength, 0.5 + strength) * (code - own)
        with torch.no_grad():
            affines: Affines = self._conditioner(code)
        return affines


class StyleNetwork(_Painter):
    """A network that was distilled from one painting: it knows one style, and no strength of it."""

    def __init__(self, distilled: DistilledStyle, device: str = "auto", precision: str = "auto") -> None:
        super().__init__(distilled.network.transformer, distilled.sha256, device, precision)
        self.name = distilled.name
        self.affines = distilled.network.style


def network_for(
    styles: StyleSource | Sequence[StyleSource], device: str = "auto", precision: str = "auto"
) -> FastNetwork | StyleNetwork:
    """The network that paints like `styles`: any paintings, or the one file that `distill` wrote.

    Raises:
        SettingError: such a file among others.
        WeightsError: it cannot be used, or Magenta's weights are not at hand.
    """
    given = as_list(styles)
    files = [os.fspath(each) for each in given if isinstance(each, str | os.PathLike) and is_distilled(each)]
    if not files:
        return FastNetwork(device, precision)
    if len(given) > 1:
        raise SettingError(f"styles: got {len(given)}; a distilled style cannot be mixed, give it alone")
    return StyleNetwork(load_style(files[0]), device, precision)


def fast(
    content: ImageSource,
    styles: StyleSource | Sequence[StyleSource],
    settings: Settings | None = None,
    *,
    network: FastNetwork | StyleNetwork | None = None,
    memory: int | None = None,
    reuse: bool = False,
    on_event: OnEvent | None = None,
) -> Picture:
    """`content` painted in the manner of `styles` in one pass (Ghiasi et al., arXiv 1705.06830).

    Args:
        styles: in equal shares, or `Style`s with weights: their codes are mixed. Or the file that `distill` wrote.
        settings: of these, size, strength, color, depth and dither matter; by default the photograph keeps its size.
        network: loaded once for several pictures, by `network_for(styles)`; by default it is loaded now.
        memory: bytes that the process may take; a picture that needs more is painted in strips, to the same numbers.
        reuse: `content` is not needed any more, and its memory may be used for the painting.
        on_event: called with notes, and with `Painted` in the end.

    Raises:
        ImpastoError: one of its kinds, see `impasto.errors`.
    """
    network = network_for(styles) if network is None else network
    photo = as_picture(content)
    given = [] if isinstance(network, StyleNetwork) else as_styles(styles)
    settings = (settings or preset().replace(size=max(photo.height, photo.width))).replace(method="fast")
    _check(photo, given, settings, network)
    began = time.perf_counter()
    seen, style = _seen(photo, given, settings, network)
    spare = seen.is_contiguous() and network.device.type == "cpu" and settings.color != "luminance"
    owned = reuse or not isinstance(content, Picture)
    painted = network.paint(seen, style, memory, seen if spare and owned else None)
    if settings.color == "luminance":
        painted = color_transfer.transfer_luminance(painted, seen)
    alpha = None if photo.alpha is None else resize(photo.alpha[None], *painted.shape[1:])[0]
    if on_event is not None:
        for each in (photo, *(style.picture for style in given)):
            for note in each.notes:
                on_event(Noted(f"{each.name}: {note}"))
        on_event(Painted(photo.name, painted.shape[2], painted.shape[1], time.perf_counter() - began))
    recipe = _recipe(photo, given, settings, network).model_dump(mode="json")
    return Picture(painted, alpha, recipe=recipe, rounding=Quantization(settings.depth, settings.dither))


def _check(photo: Picture, given: Sequence[Style], settings: Settings, network: FastNetwork | StyleNetwork) -> None:
    if isinstance(network, StyleNetwork):
        if settings.color in {"content", "match"}:
            raise SettingError(f"color: got {settings.color!r}, which needs the painting; give 'style' or 'luminance'")
        if settings.strength != 0.5:
            raise SettingError(f"strength: got {settings.strength:g}, but a distilled style has but one; leave it out")
    elif not given:
        raise SettingError("styles: got none; give a painting")
    if any(each.mask for each in given):
        raise SettingError("mask: got one, but one pass paints all of the picture in one style; leave it out")
    height, width = scaled_size(photo.height, photo.width, settings.size)
    if min(height, width) < SMALLEST:
        size = f"{photo.width}x{photo.height} pixels become {width}x{height}"
        raise PictureError(f"{photo.name or 'content'}: {size}, {SMALLEST} are needed; crop it or give a larger --size")


def _seen(
    photo: Picture, given: Sequence[Style], settings: Settings, network: FastNetwork | StyleNetwork
) -> tuple[Tensor, Affines]:
    """The photograph as the network sees it, (3, H, W) in [0, 1], and the style to paint it in."""
    frame = scaled_size(photo.height, photo.width, settings.size)
    if isinstance(network, StyleNetwork):
        return resize(photo.composited()[None], *frame)[0], network.affines
    moved, pictures = color_transfer.apply_color_setting(photo, [each.picture for each in given], settings.color)
    moved = moved or photo
    styles = [dataclasses.replace(style, picture=each) for style, each in zip(given, pictures, strict=True)]
    return resize(moved.composited()[None], *frame)[0], network.style(styles, moved, settings.strength)


def _recipe(photo: Picture, given: Sequence[Style], settings: Settings, network: FastNetwork | StyleNetwork) -> Recipe:
    if isinstance(network, StyleNetwork):
        styles = [StyleRecord(name=network.name, sha256=network.sha256, weight=1.0)]
    else:
        styles = [style_record(each) for each in given]
    return Recipe(
        **environment(),
        task="stylize",
        settings=settings,
        steps_done=0,
        content=input_record(photo),
        styles=tuple(styles),
        init=None,
        weights=network.sha256,
        device=network.device.type,
        precision=network.precision,
        strips=(),
        loss={},
    )
