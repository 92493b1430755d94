"""Images as NumPy arrays and tensors of any common layout, and as (C, H, W) float32 tensors in [0, 1]."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from impasto.errors import PictureError
from impasto.images.bands import Array

Layout = Literal["HWC", "CHW"]
"""Where an array of three dimensions has its channels: in the last dimension or in the first one."""

TOLERANCE = 2**-10
"""How far outside of [0, 1] a value may be to be clamped: it is a rounding error.

One step of float16 above 1, and a quarter of a level of 8 bits, which nobody sees. Values in another range, such as
[-1, 1] or [0, 255], are farther away and refused.
"""

_CHANNELS = (1, 3, 4)
_LAYOUTS = "(H, W), (H, W, C) or (C, H, W) with C = 1, 3 or 4 channels"


def split(array: Array | Tensor, layout: Layout | None = None) -> tuple[Tensor, Tensor | None]:
    """An image in an array of any supported layout and dtype -> (3, H, W) and alpha (1, H, W) or None, both float32.

    Both are copies. Integers are scaled to [0, 1]; the range of floating-point values is not checked.

    Args:
        layout: of an array whose shape does not tell it.

    Raises:
        PictureError: another shape or dtype.
    """
    samples = _channels_last(_as_numpy(array), layout)
    if samples.dtype.kind not in "bf" and samples.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise PictureError(f"got an array of {samples.dtype}; give uint8, uint16, bool, or floating point in [0, 1]")
    colors = np.broadcast_to(samples[..., :3], (*samples.shape[:2], 3))
    alpha = to_tensor(samples[..., 3:]) if samples.shape[2] == 4 else None
    return to_tensor(colors), None if alpha is None or bool((alpha == 1).all()) else alpha


def to_tensor(samples: Array) -> Tensor:
    """(H, W, C) uint8, uint16, bool or floating point -> (C, H, W) float32, integers in [0, 1]; no temporary copy."""
    height, width, channels = samples.shape
    tensor = torch.empty(channels, height, width, dtype=torch.float32)
    np.copyto(tensor.numpy(), np.moveaxis(samples, 2, 0), casting="same_kind")
    return tensor.div_(np.iinfo(samples.dtype).max) if samples.dtype.kind == "u" else tensor


def checked(what: str, tensor: object, channels: int) -> Tensor:
    """A (C, H, W) float32 tensor on the CPU, without autograd; rounding errors outside of [0, 1] are clamped.

    A copy only if the tensor is elsewhere, was made in inference mode, or has to be clamped.

    Raises:
        PictureError: another type, dtype, shape or range.
    """
    expected = f"{what} is a ({channels}, H, W) float32 tensor in [0, 1]"
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise PictureError(f"{expected}; got {got}; convert it to float32, or give it to impasto.Picture.from_array")
    if tensor.ndim != 3 or tensor.shape[0] != channels or tensor.numel() == 0:
        raise PictureError(
            f"{expected}; got the shape {tuple(tensor.shape)}; reshape it, or give it to impasto.Picture.from_array"
        )
    plain = (tensor.detach() if tensor.requires_grad else tensor).cpu()
    low, high = float(plain.amin()), float(plain.amax())  # aminmax copies non-contiguous tensors
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # in this form NaN is refused, too
        raise PictureError(f"{expected}; got values from {low:g} to {high:g}; scale or clamp them")
    if low < 0 or high > 1:
        return plain.clamp(0, 1)
    return plain.clone() if plain.is_inference() else plain


def _as_numpy(array: object) -> Array:
    if isinstance(array, Tensor):
        # NumPy has no bfloat16
        plain = array.detach().cpu()
        return (plain.float() if plain.is_floating_point() else plain).numpy()
    if not isinstance(array, np.ndarray):
        raise PictureError(f"got {type(array).__name__}; give a NumPy array or a tensor")
    return array


def _channels_last(array: Array, layout: Layout | None) -> Array:
    """The image as a view (H, W, C)."""
    shape = array.shape
    if len(shape) == 4:
        if shape[0] != 1:
            raise PictureError(f"got an array of shape {shape}, {shape[0]} images; give them one at a time: array[0]")
        array = array[0]
    if array.ndim == 2:
        array, layout = array[..., None], "HWC"
    if array.ndim != 3 or not array.size:
        raise PictureError(f"got an array of shape {shape}; give {_LAYOUTS}")
    found = layout or _layout(array.shape, shape)
    if found not in ("HWC", "CHW"):
        raise PictureError(f"layout: got {found!r}; give 'HWC' or 'CHW'")
    samples = array if found == "HWC" else np.moveaxis(array, 0, 2)
    if samples.shape[2] not in _CHANNELS:
        raise PictureError(f"got an array of shape {shape}, {samples.shape[2]} channels; give {_LAYOUTS}")
    return samples


def _layout(shape: Sequence[int], given: Sequence[int]) -> Layout:
    """The layout of an image of that shape, from its number of channels."""
    first, last = shape[0] in _CHANNELS, shape[2] in _CHANNELS
    if first and last:
        raise PictureError(
            f"got an array of shape {given}, which may be (H, W, C) or (C, H, W); say which: "
            "impasto.Picture.from_array(array, layout='HWC') or 'CHW'"
        )
    return "CHW" if first else "HWC"
