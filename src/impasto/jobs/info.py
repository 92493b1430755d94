"""What this machine offers, and what a run would need on it."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch

from impasto.errors import SettingError
from impasto.images.picture import Picture
from impasto.memory import total_memory
from impasto.optimize.run import Run
from impasto.settings.model import Settings
from impasto.settings.presets import settings_or_preset
from impasto.version import __version__
from impasto.vgg import device as devices
from impasto.vgg.model import VGG19, network_or_default

_GIGA = 1e9


@dataclass(frozen=True)
class ScaleCost:
    """What one scale of a run needs.

    Attributes:
        width, height: of the image at this scale, in pixels.
        steps: the number of optimizer steps.
        strip: the rows that are evaluated at a time; None for all.
        memory: peak memory in bytes.
        operations: floating-point operations of a step.
        seconds: time of a step, extrapolated from a trial step.
    """

    width: int
    height: int
    steps: int
    strip: int | None
    memory: int
    operations: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The entry of `impasto info --json`, with the units in the names."""
        return {
            "size": f"{self.width}x{self.height}",
            "steps": self.steps,
            "evaluated": "whole" if self.strip is None else f"in strips of {self.strip} rows",
            "GB": round(self.memory / _GIGA, 1),
            "GFLOP a step": round(self.operations / _GIGA),
            "seconds a step": float(f"{self.seconds:.2g}"),
        }


@dataclass(frozen=True)
class Info:
    """Versions and hardware, and what a run needs.

    Attributes:
        impasto, python, torch, pillow: versions.
        platform: operating system and its version.
        device, precision: of the network: cpu, cuda, mps, ...; float32, tf32 or bfloat16.
        engine: the packages that evaluate its convolutions: torch, or torch and ncnn.
        processor: its name.
        processor_features: the instruction sets that torch reports; empty if unknown.
        threads: of torch.
        memory, available_memory: of the machine, and what a run may take, in bytes.
        scales: what each scale of the run needs, coarse to fine.
    """

    impasto: str
    python: str
    torch: str
    pillow: str
    platform: str
    device: str
    precision: str
    engine: str
    processor: str
    processor_features: tuple[str, ...]
    threads: int
    memory: int
    available_memory: int
    scales: tuple[ScaleCost, ...]

    @property
    def seconds(self) -> float:
        """Time of all steps, extrapolated from a trial step."""
        return sum(scale.seconds * scale.steps for scale in self.scales)

    def as_dict(self) -> dict[str, Any]:
        """The object that `impasto info --json` prints, with the units in the names."""
        versions = {name: getattr(self, name) for name in ("impasto", "python", "torch", "pillow", "platform")}
        return {
            **versions,
            "device": self.device,
            "precision": self.precision,
            "engine": self.engine,
            "processor": self.processor,
            "processor features": ", ".join(self.processor_features) or "unknown",
            "threads": self.threads,
            "memory in GB": round(self.memory / _GIGA, 1),
            "available memory in GB": round(self.available_memory / _GIGA, 1),
            "scales": [scale.as_dict() for scale in self.scales],
        }


def info(settings: Settings | None = None, *, vgg: VGG19 | None = None, memory: int | None = None) -> Info:
    """Versions, hardware, and what a run needs for a content image of 4:3 and one style image; takes a trial step.

    Args:
        settings: of the run; by default those of the preset "painterly".
        vgg: the network; by default on the fastest device available.
        memory: memory limit of the run in bytes; by default most of what is available.

    Raises:
        SettingError: the one-pass method, which has no steps, or a memory limit that is too low.
    """
    settings = settings_or_preset(settings)
    if settings.method == "fast":
        raise SettingError("method: got 'fast', which takes a second and needs no plan; leave it out")
    network = network_or_default(vgg)
    return Info(
        impasto=__version__,
        python=platform.python_version(),
        torch=str(torch.__version__),
        pillow=metadata.version("pillow"),
        platform=platform.platform(),
        device=network.device.type,
        precision=network.precision,
        engine=network.engine,
        processor=platform.processor() or platform.machine(),
        processor_features=devices.cpu_features(),
        threads=torch.get_num_threads(),
        memory=total_memory(),
        available_memory=devices.available_memory(network.device),
        scales=tuple(_scale_costs(settings, network, memory)),
    )


def _scale_costs(settings: Settings, vgg: VGG19, memory: int | None) -> Iterator[ScaleCost]:
    generator = torch.Generator().manual_seed(0)  # the caller's random numbers are not affected
    content, style = (Picture(torch.rand(3, *size, generator=generator)) for size in ((96, 128), (128, 128)))
    run = Run(content, [style], settings.replace(init="content"), vgg=vgg, memory=memory)
    pace = run.measure_pace()
    for plan in run.plan:
        height, width = plan.size
        steps = plan.scale.steps
        operations = round(2 * plan.multiply_adds / steps)
        yield ScaleCost(width, height, steps, plan.strip, plan.memory, operations, plan.seconds(pace) / steps)
