"""Space-to-depth: every cell of 2x2 pixels becomes one position with four times the channels, and kernels to match.

A convolution with few channels is slow, since processors multiply many at once. On cells the same one has enough.
The channels of a cell are ordered by row, column, and channel of the pixel.
"""

import torch
from torch import Tensor


def cell_kernel(kernel: Tensor) -> Tensor:
    """A kernel (O, I, k, k) of k = 4n + 1 on pixels -> the same on cells of 2x2, (4 O, 4 I, 2n + 1, 2n + 1)."""
    reach = kernel.shape[2] // 2
    return _on_cells(kernel, range(-reach, reach + 1), outputs=2, inputs=2)


def stride_2_cell_kernel(kernel: Tensor) -> Tensor:
    """A kernel (O, I, 3, 3) of stride 2 on pixels -> the same on cells before and at a place, (O, 4 I, 2, 2)."""
    return _on_cells(kernel, range(-1, 2), outputs=1, inputs=2)


def upsampling_kernel(kernel: Tensor) -> Tensor:
    """A kernel (O, I, 3, 3) on a picture doubled by its nearest pixels -> the same before that, (4 O, I, 3, 3)."""
    return _on_cells(kernel, range(-1, 2), outputs=2, inputs=1)


def _on_cells(kernel: Tensor, offsets: range, *, outputs: int, inputs: int) -> Tensor:
    """The kernel's entries where they lie between cells; channels are (row, column, channel) in a cell."""
    out, into = kernel.shape[:2]

    def places(phase: int) -> list[tuple[int, int]]:
        """The cell, and the row or column in it, that each entry lies on for a row or column of the output's cell."""
        return [((phase + offset) // 2, (phase + offset) % inputs) for offset in offsets]

    cells = [cell for phase in range(outputs) for cell, _ in places(phase)]
    low, size = min(cells), max(cells) - min(cells) + 1
    found = kernel.new_zeros(outputs, outputs, out, inputs, inputs, into, size, size)
    for above in range(outputs):
        for left in range(outputs):
            for row, (vertical, inner) in enumerate(places(above)):
                for column, (horizontal, across) in enumerate(places(left)):
                    place = found[above, left, :, inner, across, :, vertical - low, horizontal - low]
                    place += kernel[:, :, row, column]
    return found.reshape(outputs**2 * out, inputs**2 * into, size, size)


def reflected_indices(indices: Tensor, padded: int, length: int) -> Tensor:
    """Places beyond `length` mirrored at its ends, and what is then beyond `of`, which is a little less, once more."""
    inside = torch.where(indices < padded, indices.abs(), 2 * (padded - 1) - indices)
    return torch.where(inside < length, inside, 2 * (length - 1) - inside)


def depth_to_space(values: Tensor) -> Tensor:
    """(1, 4 C, h, w) in cells of 2x2 -> (1, C, 2 h, 2 w)."""
    _, channels, height, width = values.shape
    cells = values.permute(0, 2, 3, 1).reshape(height, width, 2, 2, channels // 4)
    return cells.permute(0, 2, 1, 3, 4).reshape(1, 2 * height, 2 * width, channels // 4).permute(0, 3, 1, 2)


def reflect_pad_cells(values: Tensor, top: int, bottom: int) -> Tensor:
    """(1, 4 C, h, w) in cells, mirrored by four pixels, which are two cells: always across, above and below if asked.

    What lies in the upper row of a cell stays there: rows -4 to -1 are 4 to 1, so that upper ones come from the cells 2
    and 1, and lower ones from 1 and 0.
    """
    _, channels, height, width = values.shape
    inside = values.permute(0, 2, 3, 1).view(height, width, 2, 2, channels // 4)
    found = inside.new_empty(height + top + bottom, width + 4, 2, 2, channels // 4)
    found[top : top + height, 2:-2] = inside
    for phase in range(2):
        rows = found[top : top + height]
        rows[:, :2, :, phase] = inside[:, 1 - phase : 3 - phase, :, phase].flip(1)
        rows[:, -2:, :, phase] = inside[:, width - 2 - phase : width - phase, :, phase].flip(1)
    for phase in range(2):
        if top:
            found[:2, :, phase] = found[3 - phase : 5 - phase, :, phase].flip(0)
        if bottom:
            last = top + height - phase
            found[-2:, :, phase] = found[last - 2 : last, :, phase].flip(0)
    return found.reshape(1, height + top + bottom, width + 4, channels).permute(0, 3, 1, 2)
