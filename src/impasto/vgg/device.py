"""The device and precision that the network is evaluated in, and the memory that is available there."""

import contextlib
import ctypes
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any, get_args

import torch
from torch.backends import cuda, cudnn

from impasto import memory
from impasto.errors import SettingError
from impasto.settings.model import Precision
from impasto.torch_state import device_kinds


def select_device(device: torch.device | str = "auto") -> torch.device:
    """A device, by torch's name for it: "cpu", "cuda", "cuda:1", "mps" or another one that this torch has.

    "auto" is the first kind that is available of cuda, mps, torch's other accelerators, and cpu.

    Raises:
        SettingError: the name is unknown, or this machine or this torch has no such device.
    """
    known, name = device_kinds(), str(device)
    if name == "auto":
        name = next((kind for kind in known if kind != "cpu" and _device_count(kind)), "cpu")
    kind, _, index = name.partition(":")
    # The index is checked here: torch itself keeps 8 bits of it, so that 257 would be 1.
    if kind not in known or not re.fullmatch("([a-z]+)(:[0-9]{1,4})?", name):
        raise SettingError(f"device: got {name!r}; give auto, {', '.join(known)}, or one with an index such as cuda:1")
    if not (count := _device_count(kind)):
        raise SettingError(f"device: {kind} is not available to torch {torch.__version__} on this machine; use cpu")
    if index and int(index) >= count:
        raise SettingError(f"device: got {name!r}; this machine has {count} of that kind, give {_names(kind, count)}")
    if kind == "cuda" and is_cuda_lost():  # otherwise torch fails later, with a traceback
        raise SettingError("device: a process forked after cuda was used cannot use it; start processes by spawn")
    return torch.device(f"{kind}:{int(index)}" if index else kind)


def _device_count(kind: str) -> int:
    """How many devices of a kind torch can use."""
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = getattr(torch, kind)  # torch.cuda, torch.xpu, ...: all have these two functions
    return int(module.device_count()) if module.is_available() else 0


def _names(kind: str, count: int) -> str:
    return kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}"


def is_cuda_lost() -> bool:
    """Whether this process was forked from one that had used CUDA, which cannot be used here then."""
    return bool(torch.cuda._is_in_bad_fork())  # noqa: SLF001 - torch has no public function for it


def select_dtype(precision: str, on: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is bfloat16 where the hardware has fast bfloat16 arithmetic, else float32.

    "tf32" is float32, see `arithmetic`.

    Raises:
        SettingError: the name is unknown, or the device has no TF32.
    """
    if precision not in get_args(Precision):
        raise SettingError(f"precision: got {precision!r}; give one of {', '.join(get_args(Precision))}")
    if precision == "tf32" and not has_tf32(on):
        raise SettingError(f"precision: got 'tf32', which {on} does not have; give float32 or bfloat16")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(on) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(on: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32."""
    if on.type == "cuda":  # torch emulates bfloat16 on older GPUs of NVIDIA, which is slower than float32
        return torch.version.hip is not None or has_tf32(on)
    return on.type == "cpu" and bool({"avx512_bf16", "amx_bf16"} & set(cpu_features()))


def has_tf32(on: torch.device) -> bool:
    """Whether the hardware multiplies float32 values rounded to TF32: NVIDIA GPUs from compute capability 8 on."""
    return on.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(on)[0] >= 8


_arithmetic_lock = threading.RLock()


@contextlib.contextmanager
def arithmetic(on: torch.device, *, tf32: bool) -> Iterator[None]:
    """Within the block cuDNN uses deterministic kernels, on a CUDA device, and selects them without a trial.

    A trial selects others in the next process, whose results then differ in the last bits, and after some steps
    visibly. It found none that were faster (H100), and took a second and the memory of the largest candidate.

    With `tf32`, convolutions and matrix products round their float32 factors to TF32, 10 bits of mantissa; without,
    they keep all 23, which is not torch's default for convolutions. Afterwards torch's settings are the caller's.
    """
    if on.type != "cuda":
        yield
        return
    changes: list[tuple[object, str, object]] = [(cudnn, "benchmark", False), (cudnn, "deterministic", True)]
    if hasattr(cudnn, "conv"):  # torch 2.9, where reading the older settings fails if the caller uses the newer ones
        changes += [(owner, "fp32_precision", "tf32" if tf32 else "ieee") for owner in (cudnn.conv, cuda.matmul)]
    else:
        changes += [(owner, "allow_tf32", tf32) for owner in (cudnn, cuda.matmul)]
    # The settings belong to the process: of several threads, one at a time launches kernels.
    with _arithmetic_lock, contextlib.ExitStack() as stack:
        for owner, name, value in changes:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def is_synchronous(on: torch.device) -> bool:
    """Whether values can be read without waiting for queued work: only on a CPU, which queues nothing."""
    return on.type == "cpu"


def has_float64(on: torch.device) -> bool:
    """Whether tensors on a device can be float64: on Apple's GPU they cannot."""
    return on.type != "mps"


def accumulation_dtype(on: torch.device) -> torch.dtype:
    """The most precise dtype of a device, for sums in which terms of both signs cancel."""
    return torch.float64 if has_float64(on) else torch.float32


def cpu_features() -> tuple[str, ...]:
    """The instruction sets of this processor that speed up the network, as far as torch reports them."""
    # torch.cpu.get_capabilities is newer than the oldest supported torch.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return tuple(
        name
        for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "amx_fp16", "sve", "sve2", "bf16")
        if capabilities.get(name)
    )


def available_memory(on: torch.device) -> int:
    """Bytes that this process may use on a device, a share of those available.

    On a CPU the bytes that it already uses count as available. On a GPU its tensors do not: they may be others'.
    """
    accelerator: Any = getattr(torch, on.type, None)
    if hasattr(accelerator, "mem_get_info"):  # torch.cuda, torch.xpu
        free, total = accelerator.mem_get_info(on)
        allocated = accelerator.memory_allocated(on)
        # What torch has reserved but not allocated to a tensor counts as used for the driver, and torch reuses it.
        reusable = accelerator.memory_reserved(on) - allocated
        # The share of the GPU that the caller has given this process; older versions of torch cannot tell.
        index = accelerator.current_device() if on.index is None else on.index
        fraction: float = getattr(accelerator, "get_per_process_memory_fraction", lambda _: 1.0)(index)
        left: float = min(free + reusable, fraction * total - allocated)
        return round(memory.MEMORY_SHARE * max(left, 0))
    if on.type == "mps":
        # Metal's recommendation is for the process as a whole.
        return round(memory.MEMORY_SHARE * (torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()))
    return memory.available_memory()


def main_memory_limit(limit: int | None, on: torch.device) -> int | None:
    """The limit of main memory for a run on a device with a memory limit: none if that is the limit of a GPU."""
    return limit if on.type == "cpu" else None


def release_memory(on: torch.device) -> None:
    """Return freed memory, which malloc and torch keep for reuse, to the system or the GPU."""
    accelerator: Any = getattr(torch, on.type, None)
    if hasattr(accelerator, "empty_cache"):  # torch.cuda, torch.xpu, torch.mps
        accelerator.empty_cache()
    # malloc_trim exists in glibc only; psutil.heap_trim is newer than the oldest supported psutil.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
