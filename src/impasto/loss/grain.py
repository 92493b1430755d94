"""Grain: the local variance of an image in dark areas, compared with that of the style images, with its gradient.

The Gram matrices of the first layers are means over the whole image. Fine detail of light areas can make up for that of
dark ones: an image may match the style and still have single bright pixels in the dark, where they are seen best. The
grain loss compares dark areas with dark areas.

With m the mean of the 3x3 pixels around a pixel x, v = sum_c (x_c - m_c)^2 over the color channels is the variance at
the pixel, and l, the luma of m, its lightness. w_b(l) are the shares of the pixel in bands b of lightness. The loss is

    sum_b max(0, ln E_b - ln T_b)^2,    E_b = sum w_b v / sum w_b

over the pixels of the image, with T_b the same for the style images. It depends on the ratio of both only, and its
logarithm stays small for style images of flat areas, whose T_b is almost 0. Only an excess counts: the dark pixels of a
pencil drawing are thin lines, whose variance would be noise in the dark areas of another image.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.loss import functional

NODES = (0.0, 0.15, 0.35, 0.65)
"""The lightness of full share in each band, and that at which the last band ends; in between, shares are linear."""
LEAST_SHARE = 0.002
"""Bands with a smaller share of the pixels, in the image or in the style images, are not compared."""
LEAST_VARIANCE = 1e-5
"""Added to all variances: of differences of 0.5 of 255 in each channel, which are not seen."""

_LUMA = (0.299, 0.587, 0.114)
_WIDTHS = tuple(stop - start for start, stop in itertools.pairwise(NODES))


class Moments(NamedTuple):
    """Sums over pixels for each band (B,): of w_b v, and of w_b; and the number of pixels, or the sum of a guide."""

    variance: Tensor
    weight: Tensor
    pixels: Tensor

    @property
    def mean(self) -> Tensor:
        """E_b (B,); 0 for a band without pixels."""
        return self.variance / self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)

    @property
    def logarithm(self) -> Tensor:
        """ln E_b (B,)."""
        return (self.mean + LEAST_VARIANCE).log()

    @property
    def is_used(self) -> Tensor:
        """Whether the bands have enough pixels, (B,) bool."""
        return self.weight >= LEAST_SHARE * self.pixels


def moments(image: Tensor, guide: Tensor | None = None) -> Moments:
    """(1, 3, H, W) in [0, 1] -> its moments. A `guide` (1, 1, H, W) weights the pixels."""
    parts = []
    for rows in functional.row_bands(image):
        local = _Local.at(image, rows)
        shares = torch.cat([1 - local.ramps[0], *(start - stop for start, stop in itertools.pairwise(local.ramps))], 1)
        if guide is not None:
            shares *= guide[:, :, rows]
        parts.append(torch.stack([(shares * local.variance).sum((0, 2, 3)), shares.sum((0, 2, 3))]))
    variance, weight = torch.stack(parts).sum(0)
    pixels = image.new_full((), image.shape[2] * image.shape[3]) if guide is None else functional.guide_sum(guide)
    return Moments(variance, weight, pixels)


def mixed(parts: Iterable[tuple[float, Moments]]) -> Moments:
    """The moments of an image that is composed of such shares of others."""
    shares = [Moments(*(share / part.pixels * each for each in part)) for share, part in parts]
    return Moments(*(torch.stack(each).sum(0) for each in zip(*shares, strict=True)))


@dataclass(frozen=True, eq=False)
class Grain:
    """The grain of the style in a region.

    Attributes:
        style: the moments of the style images.
        guide: the region's share in each pixel, (1, 1, H, W); None: the whole image.
        share: the region's share of the area, a factor on its loss.
    """

    style: Moments
    guide: Tensor | None = None
    share: float = 1.0

    def compare(self, image: Tensor) -> "GrainComparison":
        """Compare an image (1, 3, H, W) with it."""
        return GrainComparison(self, image, moments(image, self.guide))


class GrainComparison(NamedTuple):
    """An image (1, 3, H, W) and its moments, which are compared with those of a style."""

    grain: Grain
    image: Tensor
    found: Moments

    @property
    def errors(self) -> Tensor:
        """max(0, ln E_b - ln T_b) (B,), 0 for bands that are not compared."""
        style, found = self.grain.style, self.found
        return (found.logarithm - style.logarithm).clamp_min(0) * (style.is_used & found.is_used)

    def loss(self) -> Tensor:
        """The loss, a scalar."""
        return self.grain.share * self.errors.square().sum()

    def add_gradient(self, weight: float, gradient: Tensor, rows: slice) -> None:
        """Add the gradient of `weight` times the loss to that of some rows, (1, 3, h, W)."""
        # d loss / d E_b, divided by sum w_b: the slope for what a pixel adds to sum w_b v; 0 for bands without pixels
        slopes = 2 * weight * self.grain.share * self.errors / (self.found.mean + LEAST_VARIANCE)
        slopes /= self.found.weight.clamp_min(1)
        for band in functional.row_bands(gradient):
            stop = min(band.stop, gradient.shape[2])
            gradient[:, :, band] += self._gradient(slopes, slice(rows.start + band.start, rows.start + stop))

    def _gradient(self, slopes: Tensor, rows: slice) -> Tensor:
        # a pixel has a part in the means of its neighbors
        wider = slice(max(rows.start - 1, 0), min(rows.stop + 1, self.image.shape[2]))
        local = _Local.at(self.image, wider)
        # Where a ramp rises, it moves a share of the pixel from a band to the next one; the last one leads out of all.
        steps, offsets = (F.pad(each, (0, 1)).diff() for each in (slopes, slopes * self.found.mean))
        of_variance, of_lightness = slopes[0].expand_as(local.variance), torch.zeros_like(local.variance)
        for ramp, step, offset, width in zip(local.ramps, steps, offsets, _WIDTHS, strict=True):
            of_variance = torch.addcmul(of_variance, ramp, step)
            inside = (ramp > 0) & (ramp < 1)
            of_lightness += (local.variance * step - offset) * inside / width
        if self.grain.guide is not None:
            of_variance, of_lightness = (each * self.grain.guide[:, :, wider] for each in (of_variance, of_lightness))
        of_difference = local.difference.mul_(2 * of_variance)  # v is the sum of (x - m)^2
        of_mean = torch.cat([of_lightness * weight for weight in _LUMA], 1).sub_(of_difference)
        # the mean of 3x3 pixels with replicated borders is a symmetric matrix: it is its own adjoint
        return of_difference.add_(_mean(of_mean))[:, :, rows.start - wider.start :][:, :, : rows.stop - rows.start]


class _Local(NamedTuple):
    """Some rows: x - m (1, 3, h, W), v (1, 1, h, W), and the ramps of l, which rise from 0 to 1 between two nodes."""

    difference: Tensor
    variance: Tensor
    ramps: list[Tensor]

    @classmethod
    def at(cls, image: Tensor, rows: slice) -> "_Local":
        start = max(rows.start - 1, 0)
        inside = slice(rows.start - start, min(rows.stop, image.shape[2]) - start)
        around = image[:, :, start : rows.stop + 1]
        mean = _mean(around)[:, :, inside]
        difference = around[:, :, inside] - mean
        lightness = mean[:, :1] * _LUMA[0] + mean[:, 1:2] * _LUMA[1] + mean[:, 2:] * _LUMA[2]
        ramps = [((lightness - node) / width).clamp_(0, 1) for node, width in zip(NODES, _WIDTHS, strict=False)]
        return cls(difference, difference.square().sum(1, keepdim=True), ramps)


def _mean(images: Tensor) -> Tensor:
    """(1, C, h, W) -> the mean of the 3x3 pixels around each, those of the border replicated."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).mul_(1 / 9)
