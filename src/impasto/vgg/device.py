"""Where the network is evaluated, and in what precision."""

import ctypes
import os
import re
from pathlib import Path
from typing import get_args

import torch

from impasto.errors import SettingError
from impasto.settings.model import Device, Precision


def device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is the fastest kind at hand.

    Raises:
        SettingError: another name, or a device that this machine or this torch does not have.
    """
    if name not in get_args(Device):
        raise SettingError(f"device: got {name!r}; give one of {', '.join(get_args(Device))}")
    at_hand = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, present in at_hand.items() if present)
    if not at_hand[name]:
        raise SettingError(f"device: {name} is not available to torch {torch.__version__} on this machine; use cpu")
    return torch.device(name)


def dtype(precision: str, on: torch.device) -> torch.dtype:
    """What the network computes in; "auto" is bfloat16 where the hardware multiplies it, float32 elsewhere.

    Raises:
        SettingError: another name.
    """
    if precision not in get_args(Precision):
        raise SettingError(f"precision: got {precision!r}; give one of {', '.join(get_args(Precision))}")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(on) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def has_bfloat16(on: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32."""
    if on.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return on.type == "cpu" and bool({"avx512_bf16", "amx_bf16"} & set(cpu_features()))


def cpu_features() -> tuple[str, ...]:
    """The instruction sets of this processor that speed up the network, as far as torch tells."""
    capabilities: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # newer than the oldest torch that will do
    return tuple(
        name
        for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "amx_fp16", "sve", "sve2", "bf16")
        if capabilities.get(name)
    )


SHARE = 0.8
"""Of the memory at hand, what a run may take: others want some, too."""


def memory(on: torch.device) -> int:
    """Bytes that this process may have on a device, those that it has already included: as good as the system tells."""
    if on.type == "cuda":
        return round(SHARE * torch.cuda.mem_get_info(on)[0])
    if on.type == "mps":
        return round(SHARE * torch.mps.recommended_max_memory())
    meminfo = _read("/proc/meminfo")
    if found := re.search(r"MemAvailable:\s+(\d+) kB", meminfo):
        at_hand = int(found[1]) * 1024 + resident()
    else:
        at_hand = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_read(f"/sys/fs/cgroup/{name}").strip() for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return round(SHARE * min([at_hand, *(int(limit) for limit in limits if limit.isdigit())]))


def give_back(on: torch.device) -> None:
    """Return freed memory to the system or the card, which malloc and torch keep for later."""
    if on.type == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # glibc's
        trim(0)


def resident() -> int:
    """Bytes of memory that this process takes; 0 where the system does not tell."""
    found = re.search(r"VmRSS:\s+(\d+) kB", _read("/proc/self/status"))
    return int(found[1]) * 1024 if found else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
