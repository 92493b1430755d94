"""The losses: pure functions of the network's responses and of the picture.

F is the (C, M) matrix of a layer's responses: C filters, M = H * W positions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CHUNK = 256
"""Positions whose products are added up in the dtype of the responses."""

SEARCHED = 2**11
"""Positions whose nearest ones are searched for at a time."""

RIDGE = 1e-6
"""What is added to eigenvalues, as a share of those aimed at, so that the root of those that vanish has a slope."""

BAND = 2**20
"""Values of a picture whose differences are looked at at a time."""


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) responses -> (N, C, C) Gram matrices F F^T / M, at least float32.

    The expectation over positions of the products of filter responses (Gatys et al. 2015, eq. 3, divided by M).
    """
    return products(features) / (features.shape[2] * features.shape[3])


def products(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """(N, C, h, W) responses -> (N, C, C) F F^T, at least float32: what some rows add to the Gram matrix times M.

    A `guide` (N, 1, h, W) says how much each position counts. The products of CHUNK positions at a time are added up in
    the responses' own dtype, and these sums in float32: the eight bits of bfloat16 are too few for 10^5 positions.
    """
    flat = _flat(features)
    precise = torch.promote_types(flat.dtype, torch.float32)
    count, positions, channels = flat.shape
    whole = positions // CHUNK * CHUNK
    chunks, rest = flat[:, :whole].reshape(count, -1, CHUNK, channels), flat[:, whole:]
    counted, rest_counted = chunks, rest
    if guide is not None:
        flat = flat * _flat(guide).to(flat.dtype)
        counted, rest_counted = flat[:, :whole].reshape(chunks.shape), flat[:, whole:]
    return (counted.mT @ chunks).sum(1, dtype=precise) + (rest_counted.mT @ rest).to(precise)


def sums(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """(N, C, h, W) responses -> (N, C) their sums over positions, at least float32; `guide` as in `products`."""
    counted = features if guide is None else features * guide.to(features.dtype)
    return torch.sum(counted, dim=(2, 3), dtype=torch.promote_types(features.dtype, torch.float32))


def mass(guide: Tensor) -> Tensor:
    """(N, 1, h, W) -> how many positions count, a scalar, at least float32."""
    return torch.sum(guide, dtype=torch.promote_types(guide.dtype, torch.float32))


def moments_gradient(features: Tensor, second: Tensor, first: Tensor | None = None) -> Tensor:
    """The gradient at some rows of responses (N, C, h, W), of a loss that depends on their moments, in their dtype.

    `second` (N, C, C), symmetric, and `first` (N, C) are its gradients at F F^T / M and at the responses' means, over M
    of the whole picture: it is 2 second F + first.
    """
    count, channels, height, width = features.shape
    gradient = _flat(features) @ (2 * second).to(features.dtype)
    if first is not None:
        gradient += first.to(features.dtype)[:, None]
    return gradient.view(count, height, width, channels).permute(0, 3, 1, 2)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean of the squared differences of two tensors of one shape, at least float32, a scalar.

    Of responses it is the content loss (2015, eq. 1, as a mean), of Gram matrices a layer's style loss (eq. 4, too).
    """
    return squares(one, other) / one.numel()


def squares(one: Tensor, other: Tensor) -> Tensor:
    """Sum of the squared differences of two tensors, at least float32, a scalar: what some rows add to `distance`."""
    return (one.to(torch.promote_types(one.dtype, torch.float32)) - other).square().sum()


def root(covariance: Tensor) -> Tensor:
    """(N, C, C) symmetric, positive semi-definite -> its square root, which is so too, in float64."""
    values, vectors = torch.linalg.eigh(covariance.double())
    found: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None]) @ vectors.mT
    return found


def bures(covariance: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The squared Bures distance of two covariances: tr S + tr A - 2 tr (A^1/2 S A^1/2)^1/2, and its gradient at S.

    With the squared distance of the means it is the squared Wasserstein-2 distance of Gaussians (Dowson and Landau
    1982). Where eigenvalues of the product vanish the root has no slope; RIDGE of the mean of A^2's is added to all.

    Args:
        covariance: S, (1, C, C).
        other: A^1/2, as `root` gives it.

    Returns:
        A scalar and (1, C, C), in the dtype of `covariance`.
    """
    values, vectors = torch.linalg.eigh(other @ covariance.double() @ other)
    ridge = RIDGE * (other @ other).square().sum() / len(values[0]) + torch.finfo(values.dtype).tiny
    roots = (values.clamp_min(0) + ridge).sqrt()
    aligned = other @ vectors
    slope = (
        torch.eye(len(values[0]), dtype=values.dtype, device=values.device) - (aligned / roots[:, None]) @ aligned.mT
    )
    squared = covariance.diagonal(dim1=1, dim2=2).sum(dtype=values.dtype) + other.square().sum() - 2 * roots.sum()
    return squared.to(covariance.dtype), slope.to(covariance.dtype)


def nearest(features: Tensor, directions: Tensor, center: Tensor) -> Tensor:
    """(1, C, h, W) responses -> (1, h, W) numbers of the `directions` (N, C), unit vectors, nearest by the angle.

    Both are seen from `center` (C,). Some positions at a time, for the products with all directions are many.
    """
    flat = _flat(features)[0]
    # in bfloat16 `max` takes a third of the time of `argmax`
    found = [((some - center) @ directions.T).max(1).indices for some in torch.split(flat, SEARCHED)]
    return torch.cat(found).view(1, *features.shape[2:])


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
    """(N, 3, H, W) -> dx (N, 3, H, W-1) and dy (N, 3, H-1, W), each pixel less its left or upper neighbor."""
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
