"""Device, precision, threads and memory of a worker, which are not part of a job."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.vgg.model import VGG19

Load = Callable[..., "Picture"]

CHECKPOINT_SECONDS = 300.0
"""Default time from one checkpoint to the next."""


@dataclass(frozen=True)
class Compute:
    """Device, precision, weights, threads and memory. The result differs by rounding only; of other weights, entirely.

    Where it leaves something open ("auto", None), a run that is resumed gets what it had before.

    Attributes:
        device, precision, engine, weights: as for `VGG19.load`.
        threads: of torch on a CPU; None: one per core.
        memory: limit of the process in bytes; None: most of what is available.
        checkpoint_seconds: time from one checkpoint to the next.
    """

    device: str = "auto"
    precision: str = "auto"
    engine: str | Sequence[str] = "auto"
    weights: str = "auto"
    threads: int | None = None
    memory: int | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    def threads_for(self, resume_from: "Checkpoint | None") -> int | None:
        """The number of threads, or that of the run that is resumed: the order of sums, and so the rounding, depends
        on it."""
        return resume_from.threads if self.threads is None and resume_from is not None else self.threads

    def engine_for(self, resume_from: "Checkpoint | None") -> str | Sequence[str]:
        """The engine, or that of the run that is resumed."""
        return resume_from.ncnn if self.engine == "auto" and resume_from is not None else self.engine

    def set_threads(self, resume_from: "Checkpoint | None" = None) -> None:
        """Set torch's number of threads, if there is one to set."""
        import torch

        if (threads := self.threads_for(resume_from)) is not None:
            torch.set_num_threads(threads)

    def load_network(self, resume_from: "Checkpoint | None" = None) -> "VGG19":
        """The network.

        Raises:
            WeightsError, SettingError: see `VGG19.load`.
        """
        from impasto.vgg.model import VGG19

        precision = self.precision
        if precision == "auto" and resume_from is not None:
            precision = resume_from.precision
        engine = self.engine_for(resume_from)
        return VGG19.load(self.weights, device=self.device, precision=precision, engine=engine)

    def loader(self) -> Load:
        """The function that reads an image within the memory limit."""
        from impasto.images.loading import load
        from impasto.vgg.device import main_memory_limit, select_device

        return functools.partial(load, memory=main_memory_limit(self.memory, select_device(self.device)))
