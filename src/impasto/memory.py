"""The main memory of this machine: how much there is, and how much this process uses and may use."""

from pathlib import Path

import psutil

MEMORY_SHARE = 0.8
"""Share of the available memory that is planned for; the rest is left to other processes and to the plan's errors."""

BASE_BYTES = 500 * 2**20
"""Python, torch, the network's weights, and an evaluation's buffers other than feature maps; measured."""


def available_memory() -> int:
    """Bytes that this process may use, including those that it already uses: MEMORY_SHARE of those available."""
    # `available` counts what can be had without swapping, page cache included, for all processes but this one.
    system = int(psutil.virtual_memory().available) + resident_memory()
    # A container's limit, of cgroup v2 and v1; psutil reports the memory of the host. "max" is no limit.
    limits = [_read(f"/sys/fs/cgroup/{name}").strip() for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return round(MEMORY_SHARE * min([system, *(int(limit) for limit in limits if limit.isdigit())]))


def total_memory() -> int:
    """Bytes of main memory of this machine."""
    return int(psutil.virtual_memory().total)


def resident_memory() -> int:
    """Bytes of main memory that this process uses (RSS)."""
    return int(psutil.Process().memory_info().rss)


def memory_left(limit: int | None) -> int:
    """Bytes for images, if this process may use `limit` bytes in all, by default `available_memory`.

    BASE_BYTES are reserved: the network is loaded while the images are still in memory at their full size.
    """
    return (available_memory() if limit is None else limit) - max(resident_memory(), BASE_BYTES)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""
