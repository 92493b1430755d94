"""The losses: pure functions of the network's responses and of the picture.

F is the (C, M) matrix of a layer's responses: C filters, M = H * W positions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 256
"""Positions whose products are added up in the dtype of the responses."""

BAND = 2**20
"""Values of a picture whose differences are looked at at a time."""


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) responses -> (N, C, C) Gram matrices F F^T / M, at least float32.

    The expectation over positions of the products of filter responses (Gatys et al. 2015, eq. 3, divided by M).
    """
    return products(features) / (features.shape[2] * features.shape[3])


def products(features: Tensor) -> Tensor:
    """(N, C, h, W) responses -> (N, C, C) F F^T, at least float32: what some rows add to the Gram matrix times M.

    The products of CHUNK positions at a time are added up in the responses' own dtype, and these sums in float32:
    the eight bits of bfloat16 are too few to add up 10^5 positions in.
    """
    flat = _flat(features)
    precise = torch.promote_types(flat.dtype, torch.float32)
    count, positions, channels = flat.shape
    whole = positions // CHUNK * CHUNK
    chunks, rest = flat[:, :whole].reshape(count, -1, CHUNK, channels), flat[:, whole:]
    return (chunks.mT @ chunks).sum(1, dtype=precise) + (rest.mT @ rest).to(precise)


def gram_gradient(features: Tensor, upstream: Tensor) -> Tensor:
    """(N, C, h, W) responses, dL/dG (N, C, C) symmetric, over M -> dL/dF (N, C, h, W), in the responses' dtype.

    As G = F F^T / M, it is 2 dL/dG F / M; and as M is that of the whole picture, any rows of it will do.
    """
    count, channels, height, width = features.shape
    gradient = _flat(features) @ (2 * upstream).to(features.dtype)
    return gradient.view(count, height, width, channels).permute(0, 3, 1, 2)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean of the squared differences of two tensors of one shape, at least float32, a scalar.

    Of responses it is the content loss (2015, eq. 1, as a mean), of Gram matrices a layer's style loss (eq. 4, too).
    """
    return squares(one, other) / one.numel()


def squares(one: Tensor, other: Tensor) -> Tensor:
    """Sum of the squared differences of two tensors, at least float32, a scalar: what some rows add to `distance`."""
    return (one.to(torch.promote_types(one.dtype, torch.float32)) - other).square().sum()


def total_variation(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> mean |dx| + mean |dy|, a scalar: the same for a picture and an enlargement of its detail."""
    count, channels, height, width = images.shape
    across, down = (max(count * channels * each, 1) for each in (height * (width - 1), (height - 1) * width))
    return _over_rows(images, lambda dx, dy: dx.abs().sum() / across + dy.abs().sum() / down)


def total_variation_sum(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> sum |dx| + sum |dy|, a scalar: `tf.image.total_variation`. Grows with the picture."""
    return _over_rows(images, lambda dx, dy: dx.abs().sum() + dy.abs().sum())


def total_variation_squares(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> 1/2 sum (dx^2 + dy^2) of the 0..255 picture less its last row and column, a scalar.

    What neural-style's TVLoss descends (it codes the gradient only).
    """
    squares = _over_rows(images, lambda dx, dy: dx[:, :, : dy.shape[2]].square().sum() + dy[..., :-1].square().sum())
    return squares * 255**2 / 2


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) -> dx (N, 3, H, W-1) and dy (N, 3, H-1, W), each pixel less its left or upper neighbour."""
    return images.diff(dim=3), images.diff(dim=2)


def _over_rows(images: Tensor, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The sum of what is measured at the differences, some rows at a time: they would take twice the picture's memory.

    `measure` gets dx of the rows and dy from each of them to the next; the last row of the picture has no dy.
    """
    rows = max(BAND // (images.shape[1] * images.shape[3]), 1)
    total = images.new_zeros(())
    for start in range(0, images.shape[2], rows):
        band = images[:, :, start : start + rows + 1]
        dx, _ = differences(band[:, :, :rows])
        total = total + measure(dx, differences(band)[1])
    return total


def _flat(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, M, C): in channels_last a view."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)
