"""Where the network is evaluated, and in what precision."""

from typing import get_args

import torch

from impasto.errors import SettingError
from impasto.settings import Device, Precision


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
