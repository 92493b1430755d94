"""Whose colors a picture has: a palette moved to another's, or lightness from one picture and chroma from another."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import PictureError, SettingError
from impasto.images import oklab
from impasto.images.picture import Picture
from impasto.images.recipe import Recolor
from impasto.images.resize import resize, scaled_size
from impasto.images.samples import bands

_SPREAD = 1 / 255
"""Standard deviation below which a palette has none in some direction: what differs less is the rounding of a file."""
_GAIN = 5.0
"""How many times a palette is spread out at most: beyond, the stains of paper and the blocks of JPEG become colors."""


@dataclass(frozen=True, eq=False)
class Palette:
    """The colors of a picture: their `mean` (3,) and `covariance` (3, 3), float64, sRGB in [0, 1], RGB order."""

    mean: Tensor
    covariance: Tensor


def palette(picture: Picture) -> Palette:
    """The palette of what can be seen of a picture: a pixel counts as much as its alpha says."""
    alpha = picture.alpha if picture.alpha is not None and bool(picture.alpha.any()) else None
    weight, total, products = 0.0, torch.zeros(3).double(), torch.zeros(3, 3).double()
    for rows in bands(picture.height, picture.width):
        colors = picture.tensor[:, rows].flatten(1).double()
        seen = torch.ones_like(colors[0]) if alpha is None else alpha[0, rows].flatten().double()
        weight += float(seen.sum())
        total += colors @ seen
        products += (colors * seen) @ colors.T
    mean = total / weight
    return Palette(mean, products / weight - mean.outer(mean))


def mixed(palettes: Sequence[Palette]) -> Palette:
    """The palette of pictures seen together, each in an equal share whatever its size."""
    means = torch.stack([each.mean for each in palettes])
    mean = means.mean(0)
    within = torch.stack([each.covariance for each in palettes]).mean(0)
    return Palette(mean, within + (means - mean).T @ (means - mean) / len(palettes))


def match(tensor: Tensor, own: Palette, wanted: Palette) -> Tensor:
    """`tensor` (3, H, W) float32 sRGB in [0, 1], of the palette `own`, moved to the palette `wanted`; in [0, 1].

    A linear map gives the colors the mean and covariance wanted (Gatys, Bethge, Hertzmann, Shechtman, Preserving Color
    in Neural Artistic Style Transfer, arXiv 1606.05897, 2016, section 2): of all such maps the one that moves them
    least (F. Pitié, A. Kokaram, The linear Monge-Kantorovitch linear color mapping for example-based color transfer,
    2007). The colors that it takes beyond sRGB are brought in with less chroma.
    """
    motion, mean, goal = (each.to(tensor) for each in (_least_motion(own, wanted), own.mean, wanted.mean))
    moved = torch.empty_like(tensor)
    for rows in bands(*tensor.shape[1:]):
        centerd = tensor[:, rows] - mean[:, None, None]
        moved[:, rows] = oklab.brought_in(oklab.weighed(motion, centerd) + goal[:, None, None])
    return moved


def luminance(light: Tensor, chroma: Tensor) -> Tensor:
    """The lightness of `light` with the chroma of `chroma`, by Oklab; all (3, H, W) float32 sRGB in [0, 1].

    Where sRGB has less chroma at this lightness than wanted, lightness and hue are kept.

    Raises:
        PictureError: pictures of two sizes.
    """
    if light.shape != chroma.shape:
        sizes = f"{tuple(light.shape)} and {tuple(chroma.shape)}"
        raise PictureError(f"lightness and chroma are of one height and width; got {sizes}; resize one of them")
    both = torch.empty_like(light)
    for rows in bands(*light.shape[1:]):
        lightness, colors = oklab.from_srgb(light[:, rows])[:1], oklab.from_srgb(chroma[:, rows])[1:]
        both[:, rows] = oklab.to_srgb(torch.cat([lightness, colors]))
    return both


def moved(content: Picture | None, styles: Sequence[Picture], color: str) -> tuple[Picture | None, tuple[Picture, ...]]:
    """Photograph and paintings as a run is to see them, by the setting `color`.

    "content": each painting in the photograph's palette; "match": the photograph in that of the paintings' mixture.
    They keep their names and hashes: what is moved are the same files.

    Raises:
        SettingError: a color that needs a photograph or a painting where there is none.
    """
    if color != "style" and content is None:
        raise SettingError(f"color: got {color!r} but a texture has no photograph; leave it at 'style'")
    if color in {"content", "match"} and not styles:
        raise SettingError(f"color: got {color!r} but a reconstruction has no painting; give 'style' or 'luminance'")
    if color == "content" and content is not None:
        goal = palette(content)
        return content, tuple(_moved(style, goal) for style in styles)
    if color == "match" and content is not None:
        return _moved(content, mixed([palette(style) for style in styles])), tuple(styles)
    return content, tuple(styles)


def recolored(picture: Picture, photo: Picture, color: Recolor) -> Picture:
    """`picture` in the colors of `photo`, with its own alpha.

    "luminance": its lightness with the chroma of `photo`, which is resized to it; "content": its palette moved to that
    of `photo`. `notes` tells where `photo` had to be stretched.
    """
    if color == "content":
        tensor = match(picture.tensor, palette(picture), palette(photo))
        return Picture(tensor, picture.alpha, rounding=picture.rounding)
    height, width = picture.height, picture.width
    tensor = luminance(picture.tensor, resize(photo.matted()[None], height, width)[0])
    notes = () if _is_alike(photo, height, width) else (_stretched(photo, height, width),)
    return Picture(tensor, picture.alpha, notes=notes, rounding=picture.rounding)


def _is_alike(photo: Picture, height: int, width: int) -> bool:
    """Whether a photograph scaled to this size keeps its shape, but for the rounding to whole pixels."""
    own = scaled_size(photo.height, photo.width, max(height, width))
    return max(abs(own[0] - height), abs(own[1] - width)) <= 1


def _stretched(photo: Picture, height: int, width: int) -> str:
    sizes = f"{photo.width}x{photo.height} pixels stretched to {width}x{height}"
    return f"{photo.name or 'the photograph'}: {sizes}, its colors may lie beside the forms"


def _moved(picture: Picture, goal: Palette) -> Picture:
    return dataclasses.replace(picture, tensor=match(picture.tensor, palette(picture), goal))


def _least_motion(own: Palette, wanted: Palette) -> Tensor:
    """(3, 3) float64, symmetric: T with T S T = W, where S and W are the covariances: S^-½ (S^½ W S^½)^½ S^-½.

    Directions in which there is nothing to spread out, as in gray pictures, are taken to be spread out a little.
    """
    root, inverse = (_power(own.covariance, exponent, _SPREAD**2) for exponent in (0.5, -0.5))
    motion = inverse @ _power(root @ wanted.covariance @ root, 0.5) @ inverse
    values, vectors = torch.linalg.eigh(motion)
    return _composed(values.clamp(0, _GAIN), vectors)


def _power(matrix: Tensor, exponent: float, floor: float = 0.0) -> Tensor:
    """A power of a symmetric (3, 3) matrix, its eigenvalues `floor` or more: rounding may leave them below 0."""
    values, vectors = torch.linalg.eigh(matrix)
    return _composed(values.clamp_min(floor).pow(exponent), vectors)


def _composed(values: Tensor, vectors: Tensor) -> Tensor:
    """The symmetric (3, 3) matrix of these eigenvalues and eigenvectors."""
    return (vectors * values).matmul(vectors.T)
