"""The convolutions of the network behind one interface: those of torch, and those of ncnn in `ncnn_convolution`."""

from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Direction = Literal["forward", "gradient"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "gradient")

Padding2d = tuple[int, int]
"""Rows of zeros above and below, and columns of zeros left and right, that are still to be added to an input."""


class Convolution(Protocol):
    """A 3x3 convolution with fixed kernels, its ReLU, and the gradient with respect to its input.

    Tensors are (1, C, h, w) in channels_last memory.
    """

    def forward(self, values: Tensor, padding: Padding2d, out: Tensor) -> None:
        """Write the features, after the ReLU, to `out`."""

    def gradient(self, values: Tensor, padding: Padding2d) -> Tensor:
        """The gradient with respect to the input from that with respect to the output, before the ReLU.

        It is the convolution of `values` with the kernels flipped and transposed, and `padding` is that of this one.
        """


class TorchConvolution:
    """A convolution by torch, in the dtype and on the device of its kernel.

    Args:
        kernel: (out, in, 3, 3), in channels_last memory.
        bias: (out,).
    """

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        self._kernel, self._bias = kernel, bias

    def forward(self, values: Tensor, padding: Padding2d, out: Tensor) -> None:
        """See `Convolution`."""
        torch.clamp_min(F.conv2d(values, self._kernel, self._bias, padding=padding), 0, out=out)

    def gradient(self, values: Tensor, padding: Padding2d) -> Tensor:
        """See `Convolution`."""
        y, x = padding
        # A full transposed 3x3 convolution adds two rows and columns on each side; its own `padding` crops them.
        return F.conv_transpose2d(values, self._kernel, padding=(2 - y, 2 - x))
