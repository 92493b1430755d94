"""Space-to-depth: convolutions on cells of 2x2 pixels, `F.pixel_unshuffle(images, 2)`, instead of on pixels.

A convolution with few channels is slow, since processors multiply and add many channels at once. At half resolution the
same convolution has four times the channels. Cells have the channel order of `F.pixel_unshuffle`: channel, row, column.

Below, a kernel of size k reads the pixels x + o with offsets o from -(k // 2) to k // 2. Output x = 2 p + phase then
reads pixel 2 p + phase + o = 2 (p + cell) + its own phase. In a kernel padded with zeros so that its first offset is
even, `F.pixel_unshuffle` sorts the weights by just these cells and phases.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cell_kernel(kernel: Tensor) -> Tensor:
    """A kernel of stride 1 on pixels, (O, I, k, k), k = 4 n + 1 -> on cells, (4 O, 4 I, 2 n + 1, 2 n + 1)."""
    # offsets from -2 n, even, plus the phase of the output pixel
    phases = [F.pad(kernel, (column, 1 - column, row, 1 - row)) for row in (0, 1) for column in (0, 1)]
    return torch.stack([F.pixel_unshuffle(phase, 2) for phase in phases], 1).flatten(0, 1)


def stride_2_cell_kernel(kernel: Tensor) -> Tensor:
    """A kernel of stride 2 on pixels, (O, I, 3, 3) -> on cells, (O, 4 I, 2, 2), the cells p - 1 and p for output p."""
    return F.pixel_unshuffle(F.pad(kernel, (1, 0, 1, 0)), 2)  # offsets from -2 instead of -1


def upsampling_kernel(kernel: Tensor) -> Tensor:
    """A kernel on an image upsampled 2x (nearest), (O, I, 3, 3) -> on the image, with cells as output, (4 O, I, 3, 3).

    The four pixels of an upsampled cell are equal, so that their weights add up.
    """
    # offsets from -2 instead of -1, plus the phase of the output pixel
    phases = [F.pad(kernel, (1 + column, 2 - column, 1 + row, 2 - row)) for row in (0, 1) for column in (0, 1)]
    return torch.stack([F.avg_pool2d(phase, 2, divisor_override=1) for phase in phases], 1).flatten(0, 1)


def reflected_indices(indices: Tensor, padded: int, length: int) -> Tensor:
    """Indices of an axis of `padded` pixels, possibly beyond its ends -> indices of an axis of `length` pixels.

    Both axes continue by reflection: indices beyond `padded` first, then those beyond `length`, which is the size of
    the image before it was padded to `padded`.
    """
    inside = torch.where(indices < padded, indices.abs(), 2 * (padded - 1) - indices)
    return torch.where(inside < length, inside, 2 * (length - 1) - inside)


def reflect_pad_cells(values: Tensor, top: int, bottom: int) -> Tensor:
    """Cells (1, 4 C, h, w), channels_last -> padded by reflection of pixels, (1, 4 C, top + h + bottom, w + 4).

    The padding is two cells, which are four pixels, on the left and right, and at the top and bottom where `top` and
    `bottom` are 2 instead of 0. Reflection maps pixel -i to i and keeps the phase: cells -2 and -1 take their even
    pixels (-4 and -2) from the cells 2 and 1, their odd ones (-3 and -1) from the cells 1 and 0. Likewise at the end.
    """
    _, channels, height, width = values.shape
    cells = values.permute(0, 2, 3, 1).view(height, width, channels // 4, 2, 2)
    padded = cells.new_empty(top + height + bottom, width + 4, channels // 4, 2, 2)
    rows = padded[top : top + height]
    rows[:, 2:-2] = cells
    # slices, not lists of indices, which would be copied to the device
    for phase in (0, 1):
        rows[:, :2, ..., phase] = cells[:, 1 - phase : 3 - phase, ..., phase].flip(1)
        rows[:, -2:, ..., phase] = cells[:, width - 2 - phase : width - phase, ..., phase].flip(1)
    for phase in (0, 1):
        if top:
            padded[:2, ..., phase, :] = rows[1 - phase : 3 - phase, ..., phase, :].flip(0)
        if bottom:
            padded[-2:, ..., phase, :] = rows[height - 2 - phase : height - phase, ..., phase, :].flip(0)
    return padded.view(1, top + height + bottom, width + 4, channels).permute(0, 3, 1, 2)
