"""Convolutions by ncnn on a CPU, in float32: Winograd's F(4x4, 3x3), Lavin and Gray 2015 (arXiv 1509.09308).

It multiplies a quarter as often as the direct convolution; the relative error is 1e-6 to 3e-6, torch's is 4e-7 to 1e-6.

ncnn keeps feature maps in packed layout: (C/p, h, w, p), p channels of a position side by side, as many as a register
holds. Here they are channels_last, (h, w, C), so that a conversion copies runs of p numbers. Small bands of rows are
converted and convolved at a time, which stay in the processor's cache.
"""

import ctypes
import functools
import os
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from impasto.settings import layers
from impasto.torch_state import release_threads
from impasto.vgg.convolution import Direction, Padding2d

MULTIPLE = 16
"""The channels of a layer must be a multiple of this, the largest p."""
KERNEL_GROWTH = 4
"""Bytes of a transformed kernel, 6x6, by those of the kernel, 3x3."""
TRANSFORMATION_BYTES = 48 * 2**20
"""Temporaries while a kernel of 512 by 512 channels is transformed."""
BAND_COPIES = 5.25
"""Memory of a convolution by that of its input: the input twice, 6x6 numbers for each 4x4, the output twice."""
TILES = 12
"""Rows of a band are a multiple of this; the tiles of F(4x4, 3x3) are 4 rows high."""

_EXACT = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed")
"""Options of ncnn that must be off for float32."""


@functools.cache
def ncnn_module() -> ModuleType | None:
    """The package ncnn; None if it is not installed, or does not load."""
    try:
        import ncnn
    except ImportError:
        return None
    if sys.platform == "linux":
        os.register_at_fork(before=functools.partial(release_threads, ncnn.ncnn.__file__))
    module: ModuleType = ncnn
    return module


def has_own_openmp() -> bool:
    """Whether ncnn was imported before torch: on Linux it uses torch's OpenMP threads if they are there, else its own.

    Idle threads of the one then wait in a loop while those of the other work.
    """
    modules = list(sys.modules)
    return "ncnn" in modules and modules.index("ncnn") < modules.index("torch")


def supports(kernel: Tensor) -> bool:
    """Whether ncnn convolves with a kernel (out, in, 3, 3), as far as the numbers of channels go."""
    return all(channels % MULTIPLE == 0 for channels in kernel.shape[:2])


class NcnnConvolution:
    """A convolution by ncnn, see `convolution.Convolution`; may be used by several threads at once.

    The transformed kernels of a direction are created at its first use.

    Args:
        kernel: (out, in, 3, 3) float32 on the CPU.
        bias: (out,).
    """

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        self._kernel, self._bias = kernel, bias
        self._nets: dict[Direction, _Net] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return NcnnConvolution, (self._kernel, self._bias)  # the transformed kernels cannot be pickled

    def forward(self, values: Tensor, padding: Padding2d, out: Tensor) -> None:
        """See `convolution.Convolution`."""
        self._net("forward")(values, padding, out)

    def gradient(self, values: Tensor, padding: Padding2d) -> Tensor:
        """See `convolution.Convolution`."""
        (y, x), (height, width) = padding, values.shape[2:]
        shape = 1, self._kernel.shape[1], height + 2 * y - 2, width + 2 * x - 2
        result = torch.empty(shape, memory_format=torch.channels_last)
        self._net("gradient")(values, padding, result)
        return result

    def _net(self, direction: Direction) -> "_Net":
        """The net of a direction for torch's number of threads: ncnn arranges the kernels for theirs."""
        threads = torch.get_num_threads()
        net = self._nets.get(direction)
        if net is None or net.threads != threads:
            if direction == "forward":
                net = _Net(self._kernel, self._bias, threads)
            else:
                net = _Net(self._kernel.flip(2, 3).transpose(0, 1), None, threads)
            self._nets[direction] = net
        return net


class _Net:
    """One convolution; with a bias if there is one, and then with its ReLU."""

    def __init__(self, kernel: Tensor, bias: Tensor | None, threads: int) -> None:
        ncnn: Any = ncnn_module()
        (filters, channels), self.threads = kernel.shape[:2], threads
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        options.use_winograd63_convolution = False  # twice the memory, and not faster
        for name in _EXACT:
            setattr(options, name, False)
        has_bias = int(bias is not None)
        definition = (
            "7767517\n2 2\nInput input 0 1 values\n"
            f"Convolution convolution 1 1 values features 0={filters} 1=3 5={has_bias} 6={kernel.numel()} 9={has_bias}"
            "\n"
        )
        tensors = [kernel.contiguous()] if bias is None else [kernel.contiguous(), bias]
        # The weights begin with a zero: they are float32.
        data = bytes(4) + b"".join(tensor.detach().numpy().tobytes() for tensor in tensors)
        if self._net.load_param_mem(definition) or self._net.load_model(_reader_class()(data)):
            raise MemoryError("ncnn: not enough memory for the kernels")
        channels = max(filters, channels)
        self._band = threads * _band_bytes(channels) / (4 * channels)  # in positions

    def __call__(self, values: Tensor, padding: Padding2d, out: Tensor) -> None:
        (y, x), pack = padding, _pack()
        source, target = _packed(values, pack), _packed(out, pack)
        (groups, height), (rows_out, columns) = source.shape[:2], target.shape[1:3]
        rows = max(round(self._band / columns / TILES), 1) * TILES
        buffer = torch.zeros(groups, min(rows, rows_out) + 2, columns + 2, pack)
        inside = buffer[:, :, x : columns + 2 - x]
        for start in range(0, rows_out, rows):
            stop = min(start + rows, rows_out)
            first, last = max(start - y, 0), min(stop - y + 2, height)
            above = first + y - start
            inside[:, :above] = 0
            inside[:, above : above + last - first] = source[:, first:last]
            inside[:, above + last - first :] = 0
            self._convolve(buffer, stop - start + 2, target[:, start:stop])

    def _convolve(self, buffer: Tensor, rows: int, out: Tensor) -> None:
        """Convolve the first rows of a packed tensor, without padding."""
        ncnn: Any = ncnn_module()
        groups, height, width, pack = buffer.shape
        mat = ncnn.Mat(buffer.view(groups, height, width * pack).numpy())
        mat.w, mat.h, mat.cstep, mat.elempack, mat.elemsize = width, rows, height * width, pack, 4 * pack
        out.copy_(_unpacked(self.evaluate(mat)).view(out.shape))

    def evaluate(self, mat: Any) -> Any:
        """The output of the convolution for a matrix of ncnn, in packed layout."""
        with self._net.create_extractor() as extractor:
            extractor.set_blob_allocator(_allocator())
            extractor.set_workspace_allocator(_allocator())
            extractor.input("values", mat)
            status, result = extractor.extract("features", 1)  # 1: leave it packed
        if status:
            raise MemoryError("ncnn: not enough memory for a convolution")
        return result


def _packed(values: Tensor, pack: int) -> Tensor:
    """(1, C, h, w) in channels_last memory -> (C/p, h, w, p): a view."""
    channels, height, width = values.shape[1:]
    return values[0].permute(1, 2, 0).view(height, width, channels // pack, pack).permute(2, 0, 1, 3)


def _unpacked(mat: Any) -> Tensor:
    """A matrix of ncnn in packed layout as a tensor (C/p, h, w p) without a copy."""
    pack, step = mat.elempack, mat.cstep
    mat.elempack, mat.elemsize, mat.w, mat.cstep = 1, 4, mat.w * pack, step * pack
    return torch.from_numpy(mat.numpy())


@functools.cache
def _pack() -> int:
    """p, the number of channels that ncnn packs on this processor."""
    ncnn: Any = ncnn_module()
    net = _Net(torch.zeros(MULTIPLE, MULTIPLE, 3, 3), None, 1)
    return int(net.evaluate(ncnn.Mat(torch.zeros(MULTIPLE, 4, 4).numpy())).elempack)


def workspace_bytes(width: int) -> int:
    """Memory besides the transformed kernels that all layers of an image of that width take together."""
    band = max(torch.get_num_threads() * _band_bytes(layers.WIDTHS[-1]), TILES * 4 * layers.WIDTHS[0] * width)
    return TRANSFORMATION_BYTES + round(BAND_COPIES * band)


def _band_bytes(channels: int) -> int:
    """Size of a band for each thread: 1 MiB, and more with the channels, since each band reads all kernels."""
    return 2**20 + 2**12 * channels


@functools.cache
def _allocator() -> Any:
    """Where ncnn takes memory for feature maps and temporaries from. (By default every net keeps its own.)"""
    ncnn: Any = ncnn_module()
    return ncnn.PoolAllocator()


@functools.cache
def _reader_class() -> Any:
    """ncnn's reader of weights in memory. (`Net.load_model_mem` would go on referring to memory that is freed.)"""
    ncnn: Any = ncnn_module()
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

    class Reader(ncnn.DataReader):  # type: ignore[misc]
        def __init__(self, data: bytes) -> None:
            super().__init__()
            self.data, self.position = data, 0

        def read(self, buffer: object, size: int) -> int:
            ctypes.memmove(address(buffer, None), self.data[self.position : self.position + size], size)
            self.position += size
            return size

    return Reader
