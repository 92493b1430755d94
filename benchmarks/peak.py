"""`python -m benchmarks.peak VARIANT CONTENT STYLE SIZE` runs a few steps and prints its peak memory in bytes.

Each variant imports only what it needs, so that the floor is torch alone.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

STEPS = 3
FLOOR, REFERENCE = "import torch", "plain autograd, float32"


def _torch(*_: object) -> None:
    import torch  # noqa: F401


def _impasto(precision: str, optimizer: str | None = None) -> Callable[[Path, Path, int], None]:
    """impasto at its default settings, with another optimizer if one is given."""

    def run(content: Path, style: Path, size: int) -> None:
        from benchmarks.plan import Plan
        from impasto import preset

        settings = preset().replace(size=size, steps=STEPS, scale_factor=1)
        if optimizer is not None:
            settings = settings.replace(optimizer=optimizer)
        for _ in Plan(content, style, size).run(settings, precision):
            pass

    return run


def _plain(content: Path, style: Path, size: int) -> None:
    from benchmarks.plain import Plain, adam
    from benchmarks.plan import Plan

    tensors = Plan(content, style, size).tensors()
    for _ in adam(Plain(*tensors), tensors[0], STEPS):
        pass


VARIANTS: dict[str, Callable[[Path, Path, int], None]] = {
    "impasto, bfloat16": _impasto("bfloat16"),
    "impasto with Adam, bfloat16": _impasto("bfloat16", "adam"),
    "impasto, float32": _impasto("float32"),
    REFERENCE: _plain,
    FLOOR: _torch,
}


def peak() -> int:
    """Peak resident memory of this process in bytes. On Linux, ru_maxrss includes the parent's peak, VmHWM does not."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))):
        return int(found[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _main(variant: str, content: str, style: str, size: str) -> None:
    VARIANTS[variant](Path(content), Path(style), int(size))
    print(peak())


if __name__ == "__main__":
    _main(*sys.argv[1:])
