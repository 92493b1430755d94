"""Detail: where a face or the detail mask is, the content counts more, and the deep layers of the style count less.

The deep layers decide on large shapes, which displace eyes and mouth; palette and strokes are those of shallow layers.
There the content image has the tone of the style images: otherwise the higher weight would also keep a pale face pale.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import Tensor

from impasto.errors import SettingError
from impasto.images.faces import weights as yunet
from impasto.images.faces.detector import Face, detect
from impasto.images.masks import layer_guides
from impasto.images.picture import Picture
from impasto.images.tone import Tone, mix_tones, tone
from impasto.loss.statistics import ContentFeatures
from impasto.optimize.memory_plan import Size
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import REFERENCE_EDGE

CONTENT_FACTOR = 3.0
"""Factor of the content error at full detail."""
LAYERS = {"block3_conv2": 0.4}
"""Further content layers, which count at full detail only: their weights, relative to those of the settings together.
They see less of the image at a position, and so place eyes and mouth more exactly."""
DEEP_STYLE = 0.4
"""Share of the style's weight that is left at full detail, from block DEEP_BLOCK on."""
LEAST_DEEP_STYLE = 0.2
"""What is left of it at more than full detail."""
DEEP_BLOCK = 4
FULL_DETAIL = 64
"""Pixels up to whose width a face gets full detail. Larger ones get less, in inverse proportion to their area: more
positions place eyes and mouth, and full detail would leave no strokes."""
LEAST_DETAIL = 0.25
"""What the largest faces get."""
SMALL_FACE, ORDINARY_FACE = 60, 100
"""Pixels if the long edge has REFERENCE_EDGE: a face up to the first width gets MOST_DETAIL times as much, as it has
few positions. One from the second width on gets once as much; between them it is interpolated. Only the width relative
to the image counts, at every scale: a small run is still the first part of a large one."""
MOST_DETAIL = 2.0
"""Factor on the detail of a small face."""


def settings_here(content: Picture | None, styles: Collection[object], settings: Settings) -> Settings:
    """The settings with which a run gives the same result anywhere: `faces` is "off" without the face detector."""
    is_used = content is not None and bool(styles) and settings.faces == "soft"
    return settings.replace(faces="off") if is_used and not yunet.is_installed() else settings


def with_missing_note(content: Picture | None, chosen: Settings, here: Settings) -> Picture | None:
    """The content image, with a note if its faces are not looked for although the settings `chosen` say so."""
    if content is None or chosen.faces == here.faces:
        return content
    note = f"faces are not looked for: the detector is not installed; {yunet.INSTALL}"
    return dataclasses.replace(content, notes=(*content.notes, note))


def find_faces(content: Picture | None, settings: Settings) -> tuple[Face, ...]:
    """The faces in the content image; none if the settings treat them like the rest.

    Raises:
        SettingError: the face detector is not installed.
        WeightsError: its weights are damaged.
    """
    if content is None or settings.faces == "off":
        return ()
    if not yunet.is_installed():
        raise SettingError(
            f"faces: got {settings.faces!r}, but the detector is not installed; {yunet.INSTALL}, or give 'off'"
        )
    return detect(content.composited()[None])


def with_face_note(content: Picture | None, faces: Collection[Face], settings: Settings) -> Picture | None:
    """The content image, with a note on the faces that were found in it."""
    if content is None or not faces:
        return content
    note = f"{len(faces)} {'face' if len(faces) == 1 else 'faces'} found; faces: {settings.faces}"
    return dataclasses.replace(content, notes=(*content.notes, note))


def amounts(faces: Iterable[Face], size: Size) -> list[float]:
    """How much detail each face gets in an image of that size, at most MOST_DETAIL; 1 is full detail."""
    pixels = [size[1] * (face.box[2] - face.box[0]) for face in faces]
    return [_share_of_full(each) * _factor(each * REFERENCE_EDGE / max(size)) for each in pixels]


def _share_of_full(pixels: float) -> float:
    """The share of full detail at a scale for a face of that width there."""
    return min(max((FULL_DETAIL / pixels) ** 2, LEAST_DETAIL), 1)


def _factor(pixels: float) -> float:
    """The factor on it for a face of that width at REFERENCE_EDGE, 1 to MOST_DETAIL."""
    smallness = min(max((ORDINARY_FACE - pixels) / (ORDINARY_FACE - SMALL_FACE), 0), 1)
    return 1 + (MOST_DETAIL - 1) * smallness


def tones(content: Picture | None, styles: Sequence[Tone]) -> tuple[Tone, Tone] | None:
    """The tone of the content image, and that of the style images together; None if either is missing."""
    return None if content is None or not styles else (tone(content), mix_tones(styles))


def with_detail_layers(settings: Settings) -> Settings:
    """The settings with the content layers that count at full detail only."""
    total = sum(settings.content_layers.values())
    return settings.replace(
        content_layers={**{name: weight * total for name, weight in LAYERS.items()}, **settings.content_layers}
    )


def weigh_content(
    targets: Mapping[str, ContentFeatures], detail: Tensor, everywhere: Collection[str]
) -> dict[str, ContentFeatures]:
    """The content targets, with more weight where there is detail.

    Args:
        detail: (1, 1, H, W) in [0, MOST_DETAIL], 1 for full detail.
        everywhere: the layers that count in the rest of the image, too.
    """
    weighted = {}
    for name, share in layer_guides(detail, targets).items():
        target = targets[name]
        weights = (1 + (CONTENT_FACTOR - 1) * share if name in everywhere else share).to(target.values.device)
        weighted[name] = dataclasses.replace(
            target, weights=weights if target.weights is None else weights * target.weights
        )
    return weighted


def style_guides(guide: Tensor | None, detail: Tensor | None, names: Iterable[str]) -> dict[str, Tensor | None]:
    """For every layer a region's share in each pixel, (1, 1, H, W): `guide`, less in deep layers where detail is."""
    if detail is None:
        return dict.fromkeys(names, guide)
    dimmed = (1 - (1 - DEEP_STYLE) * detail).clamp_min(LEAST_DEEP_STYLE)
    deep = dimmed if guide is None else guide * dimmed
    return {name: deep if layers.block_of(name) >= DEEP_BLOCK else guide for name in names}
