"""The device and precision that the network is evaluated in, and the memory that is available there."""

import ctypes
import sys
from typing import get_args

import torch

from impasto import memory
from impasto.errors import SettingError
from impasto.settings.model import Device, Precision


def select_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is the fastest kind available: cuda, then mps, then cpu.

    Raises:
        SettingError: the name is unknown, or this machine or this torch has no such device.
    """
    if name not in get_args(Device):
        raise SettingError(f"device: got {name!r}; give one of {', '.join(get_args(Device))}")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_available in available.items() if is_available)
    if not available[name]:
        raise SettingError(f"device: {name} is not available to torch {torch.__version__} on this machine; use cpu")
    if name == "cuda" and is_cuda_lost():  # otherwise torch fails later, with a traceback
        raise SettingError("device: a process forked after cuda was used cannot use it; start processes by spawn")
    return torch.device(name)


def is_cuda_lost() -> bool:
    """Whether this process was forked from one that had used CUDA, which cannot be used here then."""
    return bool(torch.cuda._is_in_bad_fork())  # noqa: SLF001 - torch has no public function for it


def select_dtype(precision: str, on: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is bfloat16 where the hardware has fast bfloat16 arithmetic, else float32.

    Raises:
        SettingError: the name is unknown.
    """
    if precision not in get_args(Precision):
        raise SettingError(f"precision: got {precision!r}; give one of {', '.join(get_args(Precision))}")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(on) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(on: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32."""
    if on.type == "cuda":
        # torch emulates bfloat16 on older cards, which is slower than float32.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return on.type == "cpu" and bool({"avx512_bf16", "amx_bf16"} & set(cpu_features()))


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
    if on.type == "cuda":
        # What torch has reserved but not allocated to a tensor counts as used for the driver, and torch reuses it.
        reusable = torch.cuda.memory_reserved(on) - torch.cuda.memory_allocated(on)
        return round(memory.MEMORY_SHARE * (torch.cuda.mem_get_info(on)[0] + reusable))
    if on.type == "mps":
        # Metal's recommendation is for the process as a whole.
        return round(memory.MEMORY_SHARE * (torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()))
    return memory.available_memory()


def main_memory_limit(limit: int | None, on: torch.device) -> int | None:
    """The limit of main memory for a run on a device with a memory limit: none if that is the limit of a GPU."""
    return limit if on.type == "cpu" else None


def release_memory(on: torch.device) -> None:
    """Return freed memory, which malloc and torch keep for reuse, to the system or the GPU."""
    if on.type == "cuda":
        torch.cuda.empty_cache()
    # malloc_trim exists in glibc only; psutil.heap_trim is newer than the oldest supported psutil.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
