"""The gradients of what is not a convolution: the pools, and the preparation of the image. No autograd is involved.

They agree with autograd to the last bit, since they call the same kernels or add in the same order.
"""

import torch
from torch import Tensor

from impasto.vgg.model import VGG19, Padding

ATEN = torch.ops.aten
CELL, NO_PADDING, NO_DILATION = (2, 2), (0, 0), (1, 1)
"""Size and stride of the pools, in the form that the operators below take."""


def pool_gradient(vgg: VGG19, values: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with respect to the input `values` (N, C, h, W) of a pool, from that of its output.

    An average pool spreads it over the 2x2 cell. A max pool passes it to the maximum of the cell, of equal ones to the
    first. The maxima are searched again: their indices for a whole layer would take 8 bytes a value. An odd last row or
    column has no gradient.
    """
    if not gradient.shape[2]:
        return torch.zeros_like(values)
    result: Tensor
    if vgg.pooling == "avg":
        result = ATEN.avg_pool2d_backward(gradient, values, CELL, CELL, NO_PADDING, False, True, None)
    else:
        _, indices = ATEN.max_pool2d_with_indices(values, CELL)
        result = ATEN.max_pool2d_with_indices_backward(
            gradient, values, CELL, CELL, NO_PADDING, NO_DILATION, False, indices
        )
    return result


def preprocess_gradient(
    vgg: VGG19, gradient: Tensor, dtype: torch.dtype, *, top: bool = True, bottom: bool = True
) -> Tensor:
    """The gradient with respect to the images that `VGG19.preprocess` gets, from that of its output (N, 3, h+2, W+2).

    Args:
        dtype: of the images.
        top, bottom: as for `VGG19.preprocess`.
    """
    # preprocess(x) = pad(flip(255 x - mean)): transposed, and in the opposite order.
    return _unpad(gradient.to(dtype), vgg.padding, top=top, bottom=bottom).flip(1).mul_(255)


def _unpad(gradient: Tensor, padding: Padding, *, top: bool, bottom: bool) -> Tensor:
    """The gradient at the image from that at the padded image: what was copied to the padding adds up at its origin."""
    stop = gradient.shape[2] - int(bottom)
    inside = gradient[:, :, int(top) : stop, 1:-1]
    if padding == "zeros":
        return inside
    if padding == "circular":
        return _unwrap(_unwrap(gradient, 2), 3)
    result = torch.zeros_like(inside, memory_format=torch.contiguous_format)
    height = inside.shape[2]
    if top:
        _add_clamped(result[:, :, :1], gradient[:, :, :1])
    _add_clamped(result, gradient[:, :, int(top) : stop])
    if bottom:
        _add_clamped(result[:, :, height - 1 :], gradient[:, :, stop:])
    return result


def _add_clamped(rows: Tensor, padded_rows: Tensor) -> None:
    """Add rows of a gradient with replicated first and last columns; in the order of columns, as autograd does."""
    rows[..., :1] += padded_rows[..., :1]
    rows += padded_rows[..., 1:-1]
    rows[..., -1:] += padded_rows[..., -1:]


def _unwrap(gradient: Tensor, dim: int) -> Tensor:
    """The gradient without the first and last entry of a dimension, which continue the opposite edge."""
    size = gradient.shape[dim] - 2
    inside = gradient.narrow(dim, 1, size).clone(memory_format=torch.contiguous_format)
    inside.narrow(dim, 0, 1).add_(gradient.narrow(dim, size + 1, 1))
    inside.narrow(dim, size - 1, 1).add_(gradient.narrow(dim, 0, 1))
    return inside
