"""Color transfer: match the mean and covariance of colors, or combine the lightness of one image with another's chroma.

The two methods of Gatys, Bethge, Hertzmann, Shechtman, Preserving Color in Neural Artistic Style Transfer, arXiv
1606.05897, 2016: color histogram matching and luminance-only transfer.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import PictureError, SettingError
from impasto.images import oklab
from impasto.images.bands import row_bands
from impasto.images.picture import Picture
from impasto.images.recipe import Recolor
from impasto.images.resize import resize, scaled_size

# Smallest standard deviation that counts, one 8-bit level: smaller ones are rounding noise, and dividing by them would
# amplify it.
_MIN_STD = 1 / 255

# Largest factor by which colors are spread out in any direction: with more, stains of paper and JPEG blocks get colors.
_MAX_GAIN = 5.0


@dataclass(frozen=True, eq=False)
class Palette:
    """The color statistics of an image: `mean` (3,) and `covariance` (3, 3), float64, of sRGB in [0, 1], RGB order."""

    mean: Tensor
    covariance: Tensor


def palette(picture: Picture) -> Palette:
    """The color statistics of a picture, its pixels weighted by alpha; unweighted if all are transparent."""
    alpha = picture.alpha if picture.alpha is not None and bool(picture.alpha.any()) else None
    total_weight, total, products = 0.0, torch.zeros(3).double(), torch.zeros(3, 3).double()
    for rows in row_bands(picture.height, picture.width):
        colors = picture.tensor[:, rows].flatten(1).double()
        weight = torch.ones_like(colors[0]) if alpha is None else alpha[0, rows].flatten().double()
        total_weight += float(weight.sum())
        total += colors @ weight
        products += (colors * weight) @ colors.T
    mean = total / total_weight
    return Palette(mean, products / total_weight - mean.outer(mean))  # E[x x^T] - E[x] E[x]^T, in float64


def mix_palettes(palettes: Sequence[Palette]) -> Palette:
    """The color statistics of several images together, in equal shares whatever their sizes.

    By the law of total covariance: the mean of the covariances plus the covariance of the means.
    """
    means = torch.stack([each.mean for each in palettes])
    mean = means.mean(0)
    within = torch.stack([each.covariance for each in palettes]).mean(0)
    return Palette(mean, within + (means - mean).T @ (means - mean) / len(palettes))


def match_palette(image: Tensor, source: Palette, target: Palette) -> Tensor:
    """`image` (3, H, W) float32 sRGB in [0, 1] with the statistics `source`, mapped to those of `target`; in [0, 1].

    The linear map x -> T (x - source mean) + target mean of Gatys et al. 2016, section 2. Of all T that give the
    target covariance, this is the one that changes colors least, the optimal transport between normal distributions (F.
    Pitié, A. Kokaram, The linear Monge-Kantorovitch linear color mapping for example-based color transfer, 2007).
    Colors that leave the sRGB gamut are mapped into it by reducing their chroma.
    """
    transport = _transport_matrix(source, target).to(image)
    mean, target_mean = source.mean.to(image)[:, None, None], target.mean.to(image)[:, None, None]
    matched = torch.empty_like(image)
    for rows in row_bands(*image.shape[1:]):
        centered = image[:, rows] - mean
        matched[:, rows] = oklab.map_to_gamut(oklab.apply_matrix(transport, centered) + target_mean)
    return matched


def transfer_luminance(lightness: Tensor, chroma: Tensor) -> Tensor:
    """The Oklab lightness of one image with the chroma and hue of another; all (3, H, W) float32 sRGB in [0, 1].

    The luminance-only transfer of Gatys et al. 2016, in Oklab instead of YIQ. Where the sRGB gamut has less chroma at
    this lightness, chroma is reduced; lightness and hue are kept.

    Raises:
        PictureError: images of different sizes.
    """
    if lightness.shape != chroma.shape:
        sizes = f"{tuple(lightness.shape)} and {tuple(chroma.shape)}"
        raise PictureError(f"lightness and chroma must have the same height and width; got {sizes}; resize one of them")
    combined = torch.empty_like(lightness)
    for rows in row_bands(*lightness.shape[1:]):
        values, colors = oklab.from_srgb(lightness[:, rows])[:1], oklab.from_srgb(chroma[:, rows])[1:]
        combined[:, rows] = oklab.to_srgb(torch.cat([values, colors]))
    return combined


def apply_color_setting(
    content: Picture | None, styles: Sequence[Picture], color: str
) -> tuple[Picture | None, tuple[Picture, ...]]:
    """Content and style images as a run with the setting `color` uses them.

    "content": every style image gets the palette of the content image; "match": the content image gets the mixed
    palette of the style images; otherwise both are unchanged. Names and hashes stay those of the files.

    Raises:
        SettingError: a color that needs a content or style image if there is none.
    """
    if color != "style" and content is None:
        raise SettingError(f"color: got {color!r} but a texture has no content image; leave it at 'style'")
    if color in {"content", "match"} and not styles:
        raise SettingError(f"color: got {color!r} but a reconstruction has no style image; give 'style' or 'luminance'")
    if color == "content" and content is not None:
        target = palette(content)
        return content, tuple(_match(style, target) for style in styles)
    if color == "match" and content is not None:
        return _match(content, mix_palettes([palette(style) for style in styles])), tuple(styles)
    return content, tuple(styles)


def recolor_picture(picture: Picture, reference: Picture, color: Recolor) -> Picture:
    """`picture` in the colors of `reference`, with its own alpha.

    "luminance": its lightness with the chroma of `reference`, which is resized to it; "content": its palette matched to
    that of `reference`. `notes` says if `reference` was stretched.
    """
    if color == "content":
        tensor = match_palette(picture.tensor, palette(picture), palette(reference))
        return Picture(tensor, picture.alpha, rounding=picture.rounding)
    height, width = picture.height, picture.width
    tensor = transfer_luminance(picture.tensor, resize(reference.composited()[None], height, width)[0])
    notes = () if _same_shape(reference, height, width) else (_stretch_note(reference, height, width),)
    return Picture(tensor, picture.alpha, notes=notes, rounding=picture.rounding)


def _same_shape(picture: Picture, height: int, width: int) -> bool:
    """Whether resizing to `height` x `width` keeps the aspect ratio, up to rounding to whole pixels."""
    own = scaled_size(picture.height, picture.width, max(height, width))
    return max(abs(own[0] - height), abs(own[1] - width)) <= 1


def _stretch_note(picture: Picture, height: int, width: int) -> str:
    sizes = f"{picture.width}x{picture.height} pixels stretched to {width}x{height}"
    return f"{picture.name or 'the content image'}: {sizes}, its colors may not line up with the shapes"


def _match(picture: Picture, target: Palette) -> Picture:
    return dataclasses.replace(picture, tensor=match_palette(picture.tensor, palette(picture), target))


def _transport_matrix(source: Palette, target: Palette) -> Tensor:
    """(3, 3) float64, symmetric: T = S^-½ (S^½ W S^½)^½ S^-½, so that T S T = W for the covariances S and W.

    Eigenvalues of S are floored, since the colors of a gray image lie on a line and S has no inverse; those of T, the
    gains along its axes, are limited.
    """
    root, inverse = (_matrix_power(source.covariance, exponent, _MIN_STD**2) for exponent in (0.5, -0.5))
    transport = inverse @ _matrix_power(root @ target.covariance @ root, 0.5) @ inverse
    values, vectors = torch.linalg.eigh(transport)
    return _from_eigen(values.clamp(0, _MAX_GAIN), vectors)


def _matrix_power(matrix: Tensor, exponent: float, floor: float = 0.0) -> Tensor:
    """A power of a symmetric (3, 3) matrix, its eigenvalues at least `floor`: rounding may make them negative."""
    values, vectors = torch.linalg.eigh(matrix)
    return _from_eigen(values.clamp_min(floor).pow(exponent), vectors)


def _from_eigen(values: Tensor, vectors: Tensor) -> Tensor:
    """V diag(values) V^T, (3, 3)."""
    return (vectors * values).matmul(vectors.T)
