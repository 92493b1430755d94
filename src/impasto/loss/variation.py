"""Total variation with its gradient: of a mean or a sum of absolute differences, or of squares."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.loss import functional

Slopes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(dx, dy) of some rows -> the derivatives of a variation with respect to them."""


@dataclass(frozen=True)
class Variation:
    """A total variation of images (N, 3, H, W): its value, a scalar, and its gradient.

    Attributes:
        value: images -> a scalar.
        derivatives: (images, weight, a scalar) -> the gradient of `weight` times the value, shaped like the images.
        factor: on both.
    """

    value: Callable[[Tensor], Tensor]
    derivatives: Callable[[Tensor, Tensor], Tensor]
    factor: float = 1.0

    def __call__(self, images: Tensor) -> Tensor:
        """The value."""
        return self.value(images) * self.factor

    def gradient(self, images: Tensor, weight: float) -> Tensor:
        """The gradient of `weight` times the value, shaped like the images."""
        return self.derivatives(images, images.new_full((), weight) * self.factor)


def _of_means(images: Tensor, weight: Tensor) -> Tensor:
    across, down = functional.difference_counts(images)
    return _gradient(images, lambda dx, dy: (dx.sign() * (weight / across), dy.sign() * (weight / down)))


def _of_sums(images: Tensor, weight: Tensor) -> Tensor:
    return _gradient(images, lambda dx, dy: (dx.sign() * weight, dy.sign() * weight))


def _of_squares(images: Tensor, weight: Tensor) -> Tensor:
    def slopes(dx: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
        # 1/2 sum (dx^2 + dy^2) of all differences but dx of the last row and dy of the last column
        factor = weight / 2 * 255**2
        dx[:, :, dy.shape[2] :] = 0
        dy[..., dx.shape[3] :] = 0
        return dx * 2 * factor, dy * 2 * factor

    return _gradient(images, slopes)


def _gradient(images: Tensor, slopes: Slopes) -> Tensor:
    """The gradient of a function of the differences dx and dy, in bands of rows as `functional` adds it up.

    A difference is a pixel minus its left or upper neighbor: its derivative counts for the one, and negatively for the
    other. Addends are summed in the order in which autograd sums them, so that the bits are the same.
    """
    gradient = torch.zeros_like(images)
    for rows in functional.row_bands(images):
        band, total = images[:, :, rows.start : rows.stop + 1], gradient[:, :, rows.start : rows.stop + 1]
        dx, dy = functional.band_differences(images, rows)
        across, down = slopes(dx, dy)
        of_dx, of_dy = torch.zeros_like(band), torch.zeros_like(band)
        of_dx[:, :, : across.shape[2], 1:] = across
        of_dx[:, :, : across.shape[2], :-1] -= across
        of_dy[:, :, 1:] = down
        of_dy[:, :, :-1] -= down
        total += of_dx.add_(of_dy)
    return gradient


MEANS = Variation(functional.total_variation, _of_means)
SUMS = Variation(functional.total_variation_sum, _of_sums)
SQUARES = Variation(functional.total_variation_squares, _of_squares)
