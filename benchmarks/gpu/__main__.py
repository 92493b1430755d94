"""`python -m benchmarks.gpu`, see the package."""

import argparse
import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import torch

import impasto
from benchmarks.gpu import complete, correctness, speed
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.rows import Report, Section
from impasto.errors import SettingError
from impasto.vgg.device import select_device

SMALL = 1024
"""Long edge of the largest complete run that precedes the timed steps, which select the kernels of its sizes."""


def main() -> int:
    """Measure everything; return the exit status."""
    arguments = _parser().parse_args()
    try:
        device = select_device(arguments.device)
    except SettingError as error:
        print(f"{error}; nothing was measured")
        return 2
    out = arguments.out or Path(os.environ.get("OUT") or tempfile.mkdtemp(prefix="impasto-gpu-"))
    out.mkdir(parents=True, exist_ok=True)
    with bench_on(device, arguments.size, out) as bench:
        report = Report(_machine(bench), out / "results.json")
        report.open()
        for section in _sections(bench):
            report.measure(section)
    print(f"\n{report.failures} rows failed or were left out; results in {out}")
    return int(report.failures > 0)


@contextlib.contextmanager
def bench_on(device: torch.device, size: int | None, out: Path) -> Iterator[Bench]:
    """The bench of a device, with one size for all rows if it is given."""
    with resources.as_file(resources.files("impasto") / "demo") as demo:
        images = demo / "portrait.jpg", demo / "swirls.jpg"
        if size is None:
            yield Bench(device, *images, out)
        else:
            yield Bench(device, *images, out, size, (size,), (size,), (size,))


def _sections(bench: Bench) -> Iterator[Section]:
    """All sections, the most important ones first."""
    small = [size for size in bench.complete_sizes if size <= SMALL]
    yield from correctness.sections(bench)
    yield complete.complete_runs(bench, small, 30)
    yield from speed.sections(bench)
    yield complete.complete_runs(bench, [size for size in bench.complete_sizes if size > SMALL], 60)
    yield complete.one_pass(bench)
    yield complete.reproducibility(bench)
    yield correctness.variants(bench)
    yield from speed.more_sections(bench)


def _machine(bench: Bench) -> dict[str, object]:
    device = torch.cuda.get_device_name(bench.device) if bench.on_gpu else f"{bench.device} ({platform.machine()})"
    versions = {"torch": torch.__version__, "CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    return {"device": device, **versions, "impasto": impasto.__version__, "python": platform.python_version()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.gpu", description="Check and measure impasto on an NVIDIA GPU; prints a Markdown table."
    )
    parser.add_argument("--device", default="cuda", help="a device of torch; cpu: a test without a GPU")
    parser.add_argument("--size", type=int, help="long edge in pixels for all rows; by default 128 to 4096 pixels")
    parser.add_argument("--out", type=Path, help="folder for results.json and the images; by default that in OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
