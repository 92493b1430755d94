"""What all rows share: the device, the images, a run on the device, its time and its memory."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from benchmarks.gpu.rows import FailedError, SkippedError
from impasto import VGG19, FastNetwork, Picture, Run, Settings, load, preset
from impasto.optimize import step_graph
from impasto.optimize.lbfgs import LBFGS
from impasto.vgg.device import release_memory

_Result = TypeVar("_Result")

BATCH = 10
"""Steps between two looks at the time, which wait for the GPU."""
RATE_EDGE = 8192
"""Edge of the matrices whose product measures the GPU's rate in bfloat16."""


@dataclass(frozen=True)
class Bench:
    """The device and the images of all rows.

    Attributes:
        content, style: the image files.
        out: folder for the images.
        check_size: long edge in pixels of the checks of correctness.
        timed_sizes: of the timed steps.
        complete_sizes: of the complete runs.
        fast_sizes: of the one-pass method.
    """

    device: torch.device
    content: Path
    style: Path
    out: Path
    check_size: int = 128
    timed_sizes: tuple[int, ...] = (512, 1024, 2048)
    complete_sizes: tuple[int, ...] = (512, 1024, 4096)
    fast_sizes: tuple[int, ...] = (1024, 4096)
    _kept: dict[object, object] = field(default_factory=dict, repr=False)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU that CUDA knows."""
        return self.device.type == "cuda"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those that the device has, the fastest first."""
        return ("bfloat16", "tf32", "float32") if self.on_gpu else ("bfloat16", "float32")

    def settings(self, size: int, **changes: object) -> Settings:
        """The default settings at a single scale."""
        return preset().replace(size=size, scale_factor=1, **changes)

    def vgg(self, precision: str = "auto", *, on_cpu: bool = False) -> VGG19:
        """The network; loaded once."""
        device = torch.device("cpu") if on_cpu else self.device
        return self.once(("vgg", precision, str(device)), lambda: VGG19.load(device=device, precision=precision))

    def network(self, precision: str = "auto") -> FastNetwork:
        """The network of the one-pass method; loaded once."""
        return self.once(("fast", precision), lambda: FastNetwork(self.device, precision))

    def images(self) -> tuple[Picture, Picture]:
        """The content image and the style image."""
        return load(self.content), load(self.style)

    def run(self, settings: Settings, precision: str = "auto", *, on_cpu: bool = False) -> Run:
        """A run of the iterative method."""
        content, style = self.images()
        return Run(content, [style], settings, vgg=self.vgg(precision, on_cpu=on_cpu))

    def now(self) -> float:
        """The time in seconds when all work that this thread has queued on the device is done."""
        if self.on_gpu:  # not the device as a whole: another thread may be capturing a graph
            torch.cuda.current_stream(self.device).synchronize()
        return time.perf_counter()

    def forget_memory(self) -> int:
        """Return freed memory to the GPU, and count the peak from here on; the bytes that are still allocated."""
        gc.collect()  # a run may be part of a reference cycle
        release_memory(self.device)
        if not self.on_gpu:
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def peak(self) -> dict[str, float] | None:
        """MB that were allocated to tensors and reserved from the driver at the peak; None on a CPU."""
        if not self.on_gpu:
            return None
        allocated, reserved = torch.cuda.max_memory_allocated(self.device), torch.cuda.max_memory_reserved(self.device)
        return {"peak MB": round(allocated / 1e6), "reserved MB": round(reserved / 1e6)}

    def rate(self) -> float:
        """FLOP/s of a large product of bfloat16 matrices: what the device can reach at most."""
        return self.once("rate", self._measure_rate)

    def _measure_rate(self) -> float:
        edge = RATE_EDGE if self.on_gpu else 512
        left, right = (torch.randn(edge, edge, device=self.device).bfloat16() for _ in range(2))
        times = []
        for _ in range(12):
            started = self.now()
            torch.mm(left, right)
            times.append(self.now() - started)
        return 2 * edge**3 / min(times)

    def once(self, name: object, compute: Callable[[], _Result]) -> _Result:
        """The result of `compute`, which is called the first time only."""
        if name not in self._kept:
            self._kept[name] = compute()
        return self._kept[name]  # type: ignore[return-value]


@contextlib.contextmanager
def graphs(bench: Bench, *, captured: bool) -> Iterator[None]:
    """Within the block steps are captured as CUDA graphs, or not."""
    if captured and not bench.on_gpu:
        raise SkippedError("graphs exist on CUDA only")
    with contextlib.nullcontext() if captured else step_graph.disabled():
        yield


class Taken(NamedTuple):
    """What steps have given: the losses of those of L-BFGS, and the notes.

    The other steps are Adam's, which continues where L-BFGS can lower the loss no further.
    """

    losses: list[float]
    notes: list[str]


def take_steps(bench: Bench, run: Run, seconds: float = float("inf")) -> Taken:
    """Take all steps, or those of some seconds; check that the loss of L-BFGS falls within every scale."""
    losses: list[tuple[int, Tensor]] = []
    notes: list[str] = []
    started = bench.now()
    for step in run:
        notes += step.notes
        if isinstance(run.scale_run.optimizer, LBFGS):
            losses.append((step.scale, step.terms.total.clone()))  # read at the end: reading waits for the GPU
        if step.number % BATCH == BATCH - 1 and bench.now() - started > seconds:
            break
    numbers = [(scale, float(loss)) for scale, loss in losses]
    for (scale, before), (next_scale, after) in pairwise(numbers):
        if scale == next_scale and not after <= before:
            raise FailedError(f"at {scale} px the loss rises from {before:.7g} to {after:.7g}")
    return Taken([loss for _, loss in numbers], notes)


def check_image(picture: Picture) -> None:
    """Check that all values are finite and within [0, 1]."""
    low, high = float(picture.tensor.min()), float(picture.tensor.max())
    if not (bool(torch.isfinite(picture.tensor).all()) and low >= 0 and high <= 1):
        raise FailedError(f"the image has values from {low} to {high}")
