"""Losses as pure functions of a network's features and of an image.

F is the (C, M) matrix of a layer's features: C channels, M = H * W positions. Functions that end in `_sum` add up over
some rows of a layer, so that a layer can be read strip by strip. In channels_last memory F^T is a view, (M, C).
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CHUNK = 256
"""Positions whose products are added up in the dtype of the features, before float32 takes over."""
LARGE_PRODUCTS = 16
"""Products that an accelerator divides the positions of a layer into: CHUNK positions would be too few to fill it, and
their products, one C x C matrix each, would take more memory than the features."""

SEARCH_CHUNK = 2**10
"""Positions whose nearest neighbors are searched at a time: their cosines with 8192 samples take 32 MB in float32."""

LEAST_SHARE = 5e-5
"""Least eigenvalue of a covariance, as a share of its norm, for which `transport_maps` converges."""

BAND = 2**20
"""Values of an image whose differences are computed at a time: 4 MB in float32."""


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) features -> (N, C, C) Gram matrices G = F F^T / M, at least float32.

    Gatys et al. 2015 (arXiv 1508.06576), eq. 3, divided by M: the paper's sum grows with the image, the mean does not.
    """
    return gram_sum(features) / (features.shape[2] * features.shape[3])


def gram_sum(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """(N, C, h, W) features -> (N, C, C) F F^T, at least float32: what some rows add to M times the Gram matrix.

    A `guide` (N, 1, h, W) weights the positions: F diag(guide) F^T.
    """
    flat = _flat(features)
    weighted = flat if guide is None else flat * _flat(guide).to(flat.dtype)
    positions = flat.shape[1]
    chunk = CHUNK if flat.device.type == "cpu" else max(positions // LARGE_PRODUCTS, CHUNK)
    return product_sum(weighted, flat, chunk)


def product_sum(left: Tensor, right: Tensor, chunk: int) -> Tensor:
    """(N, M, C) twice -> (N, C, C) left^T right, at least float32, as a sum of products of `chunk` positions."""
    # Products of a chunk are added up in the dtype of the features, where the hardware is fastest, and these sums in
    # float32: the 8 significant bits of bfloat16 cannot hold a sum over 10^5 positions.
    precise = torch.promote_types(left.dtype, torch.float32)
    count, positions, channels = left.shape
    whole = positions // chunk * chunk
    chunks = [each[:, :whole].reshape(-1, chunk, channels) for each in (left, right)]
    sums = _products(*chunks).view(count, -1, channels, channels).sum(1, dtype=precise)
    return sums if whole == positions else sums + _products(left[:, whole:], right[:, whole:]).to(precise)


def _products(left: Tensor, right: Tensor) -> Tensor:
    """(B, M, C) and (B, M, C) -> (B, C, C) left^T right, in float32 where the hardware adds up bfloat16 in float32."""
    # torch 2.8, CUDA only: elsewhere the products are rounded to bfloat16.
    if left.is_cuda and left.dtype == torch.bfloat16 and torch.version.cuda and hasattr(torch.ops.aten.bmm, "dtype"):
        products: Tensor = torch.ops.aten.bmm.dtype(left.mT, right, torch.float32)
        return products
    return left.mT @ right


def feature_sum(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """(N, C, h, W) features -> (N, C) sums over positions, at least float32; `guide` as in `gram_sum`."""
    weighted = features if guide is None else features * guide.to(features.dtype)
    return torch.sum(weighted, dim=(2, 3), dtype=torch.promote_types(features.dtype, torch.float32))


def guide_sum(guide: Tensor) -> Tensor:
    """(N, 1, h, W) weights of positions -> their sum, a scalar, at least float32: M of the positions that count."""
    return torch.sum(guide, dtype=torch.promote_types(guide.dtype, torch.float32))


def moments_gradient(features: Tensor, second: Tensor, first: Tensor | None = None) -> Tensor:
    """(N, C, h, W) features -> the gradient of a loss of their moments with respect to them, same shape and dtype.

    Args:
        features: some rows of a layer.
        second: (N, C, C), symmetric: the gradient S with respect to F F^T / M, divided by M of the whole layer.
        first: (N, C): the gradient s with respect to the mean of the features, divided by M as well.
    """
    # d/dF of a function of F F^T is 2 S F for symmetric S; of a function of the sum over positions it is s everywhere.
    # For the Gram loss, S is proportional to G - A: eq. 6 of Gatys et al. 2015.
    count, channels, height, width = features.shape
    gradient = _flat(features) @ (2 * second).to(features.dtype)
    if first is not None:
        gradient += first.to(features.dtype)[:, None]
    return gradient.view(count, height, width, channels).permute(0, 3, 1, 2)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared error of two tensors of the same shape, at least float32, a scalar.

    Of features: the content loss (Gatys et al. 2015, eq. 1, as a mean instead of half the sum). Of Gram matrices: the
    style loss of a layer (eq. 4, whose factors are in `conventions`).
    """
    return squared_error_sum(one, other) / one.numel()


def squared_error_sum(one: Tensor, other: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum of squared errors of two tensors, at least float32, a scalar: what some rows add to a mean squared error.

    `weights` (N, 1, h, W) are factors on the errors at each position.
    """
    errors = (one.to(torch.promote_types(one.dtype, torch.float32)) - other).square()
    return errors.sum() if weights is None else (errors * weights).sum()


def transport_maps(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The map T of least motion between centered Gaussians of covariances S and A, and that back, both (C, C).

    T = A^1/2 (A^1/2 S A^1/2)^-1/2 A^1/2, symmetric, so that T S T = A; the map back is its inverse.

    Args:
        source, target: S and A, (C, C), symmetric, positive definite: the eigenvalues of S A are at least LEAST_SHARE^2
            times the product of their Frobenius norms. With smaller ones T is less accurate, with negative ones the
            iteration diverges.
    """
    # T and T^-1 are the blocks of the matrix sign of [[0, A], [S, 0]] (Higham 2008, Functions of Matrices, chapter 5),
    # which the Newton-Schulz iteration X (3 - X^2) / 2 finds by products alone: a GPU is slow at decompositions, and
    # the host waits for them. float32 suffices, since the condition of A^1/2 S A^1/2, which is that of S times that of
    # A, never enters a sum. Each step is scaled for the interval [least, 1] that holds the singular values (Chen and
    # Chow 2014, A stable scaling of Newton-Schulz), which halves their number; it depends on the dtype alone.
    identity = torch.eye(len(source), dtype=source.dtype, device=source.device)
    norms = torch.linalg.matrix_norm(target), torch.linalg.matrix_norm(source)
    forth, back, least = target / norms[0], source / norms[1], LEAST_SHARE
    while 1 - least > torch.finfo(source.dtype).eps:
        scale = (3 / (1 + least + least**2)) ** 0.5
        factor = torch.addmm(identity, back, forth, beta=1.5 * scale, alpha=-0.5 * scale**3)
        forth, back = forth @ factor, factor @ back
        least = 1.5 * scale * least - 0.5 * (scale * least) ** 3
    stretch = (norms[0] / norms[1]).sqrt()
    return (forth + forth.T) * (stretch / 2), (back + back.T) / (2 * stretch)


def squared_bures_distance(source: Tensor, target: Tensor, transport: Tensor) -> Tensor:
    """The squared Bures distance of covariances S and A (C, C), a scalar, given the map from `transport_maps`.

    tr S + tr A - 2 tr (A^1/2 S A^1/2)^1/2: together with the squared distance of the means it is the squared
    Wasserstein-2 distance of two Gaussians (Dowson and Landau 1982, J. Multivariate Analysis 12, 450-455). The gradient
    with respect to S is 1 - T.
    """
    return source.trace() + target.trace() - 2 * (transport * source).sum()


def nearest_indices(features: Tensor, directions: Tensor, center: Tensor) -> Tensor:
    """(1, C, h, W) features -> (1, h, W) indices of the nearest of `directions` (N, C), unit vectors, by cosine.

    The cosine is that of the features minus `center` (C,) (Kolkin et al. 2022, arXiv 2203.13215, section 3.3).
    """
    # The length of a feature scales all of its products alike and does not change which is the largest. In bfloat16
    # `max` takes a third of the time of `argmax`.
    flat = _flat(features)[0]
    chunks = [((chunk - center) @ directions.T).max(1).indices for chunk in torch.split(flat, SEARCH_CHUNK)]
    return torch.cat(chunks).view(1, *features.shape[2:])


def total_variation(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> mean |dx| + mean |dy|, a scalar, which does not grow with the number of pixels."""
    across, down = difference_counts(images)
    return _sum_over_rows(images, lambda dx, dy: dx.abs().sum() / across + dy.abs().sum() / down)


def total_variation_sum(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> sum |dx| + sum |dy|, a scalar: `tf.image.total_variation`. Grows with the number of pixels."""
    return _sum_over_rows(images, lambda dx, dy: dx.abs().sum() + dy.abs().sum())


def total_variation_squares(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> 1/2 sum (dx^2 + dy^2) in 0..255, without the last row and column, a scalar.

    The function whose gradient neural-style's TVLoss computes (neural_style.lua codes the gradient only).
    """
    squares = _sum_over_rows(
        images, lambda dx, dy: dx[:, :, : dy.shape[2]].square().sum() + dy[..., :-1].square().sum()
    )
    return squares * 255**2 / 2


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) -> dx (N, 3, H, W-1) and dy (N, 3, H-1, W): each pixel minus its left or upper neighbor."""
    return images.diff(dim=3), images.diff(dim=2)


def difference_counts(images: Tensor) -> tuple[int, int]:
    """The number of differences dx and dy in (N, 3, H, W), at least 1: the mean of none, along an edge of 1, is 0."""
    count, channels, height, width = images.shape
    return max(count * channels * height * (width - 1), 1), max(count * channels * (height - 1) * width, 1)


def row_bands(images: Tensor) -> Iterator[slice]:
    """Bands of about `BAND` values: the differences of a whole image would take twice its memory."""
    rows = max(BAND // (images.shape[1] * images.shape[3]), 1)
    return (slice(start, start + rows) for start in range(0, images.shape[2], rows))


def band_differences(images: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """dx of a band of rows, and dy from each of its rows to the next row, which may be the first of the next band."""
    return images[:, :, rows].diff(dim=3), images[:, :, rows.start : rows.stop + 1].diff(dim=2)


def _sum_over_rows(images: Tensor, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The sum of `measure(dx, dy)` over bands of rows."""
    total = images.new_zeros(())
    for rows in row_bands(images):
        total = total + measure(*band_differences(images, rows))
    return total


def _flat(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, M, C): F^T, in channels_last memory a view."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)
