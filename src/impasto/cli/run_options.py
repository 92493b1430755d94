"""Options of a run that do not change what is optimized: device, checkpoints, progress, preset."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.option_groups import MAIN, OUTPUT, RUN
from impasto.cli.settings_options import WholeNumber
from impasto.cli.streams import PIPE
from impasto.errors import SettingError
from impasto.jobs.compute import Compute
from impasto.jobs.job import JobOutputs
from impasto.settings.model import MAX_THREADS, Engine, Precision

PresetName = Annotated[
    str,
    Parameter(
        metavar="PRESET",
        group=MAIN,
        help="Values of all settings that are not given: NAME (see `impasto presets`) or FILE.toml. The defaults shown "
        "here are those of painterly.",
    ),
]
_flag = Parameter(negative=(), show_default=False)
JsonEvents = Annotated[
    bool, _flag, Parameter(group=RUN, help="Print events to standard output, one JSON object per line.")
]
Quiet = Annotated[bool, _flag, Parameter(name=["--quiet", "-q"], group=RUN, help="Print nothing but errors.")]
Overwrite = Annotated[bool, _flag, Parameter(group=OUTPUT, help="Overwrite existing files.")]
AsJson = Annotated[bool, _flag, Parameter(help="Print JSON.")]


def _shown_default(value: object) -> str | None:
    """No text for flags that are off, and for None, which the help text explains."""
    return None if value is False or value is None else str(value)


options_class = Parameter(name="*", group=RUN, negative=(), show_default=_shown_default)


@options_class
@dataclass(frozen=True)
class ComputeOptions:
    """Device, precision, threads and memory."""

    device: Annotated[
        str,
        Parameter(
            metavar="DEVICE", help="Device of the network: auto, cpu, cuda, cuda:1, mps or another PyTorch device."
        ),
    ] = "auto"
    precision: Annotated[Precision, Parameter(help="auto: the fastest; tf32: NVIDIA GPUs only.")] = "auto"
    threads: Annotated[WholeNumber | None, Parameter(help="CPU threads; default: one per core.")] = None
    memory_limit: Annotated[
        str | None, Parameter(metavar="SIZE", help="Memory limit: 4G, 800M; default: the available memory.")
    ] = None

    def __post_init__(self) -> None:
        """Validate the values."""
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise SettingError(f"--threads: got {self.threads}; give 1 to {MAX_THREADS}")
        if self.memory is not None and self.memory < 1:
            raise SettingError(f"--memory-limit: got {self.memory_limit!r}; give more than 0")

    @property
    def compute(self) -> Compute:
        """The same as a value."""
        return Compute(self.device, self.precision, threads=self.threads, memory=self.memory)

    @property
    def memory(self) -> int | None:
        """The memory limit in bytes."""
        if self.memory_limit is None:
            return None
        return parse_bytes("--memory-limit", self.memory_limit)


@options_class
@dataclass(frozen=True)
class NetworkOptions(ComputeOptions):
    """The same, and the weights of VGG19."""

    weights: Annotated[
        str,
        Parameter(metavar="WEIGHTS", help="VGG19 weights: auto, bundled, or a FILE (Keras .h5, .safetensors)."),
    ] = "auto"
    engine: Annotated[
        Engine,
        Parameter(
            help="Package that evaluates the convolutions; auto: the fastest for each, by a benchmark of a second. "
            "ncnn computes in float32 on a CPU and is left out where memory is short."
        ),
    ] = "auto"

    @property
    def compute(self) -> Compute:
        """The same as a value."""
        return dataclasses.replace(super().compute, engine=self.engine, weights=self.weights)


@options_class
@dataclass(frozen=True)
class CheckpointOptions(NetworkOptions):
    """The same, and checkpoints and progress."""

    checkpoint_every: Annotated[str, Parameter(metavar="TIME", help="Time between two checkpoints: 30s, 5m, 1h.")] = (
        "5m"
    )
    resume: Annotated[bool, Parameter(help="Resume from the checkpoint if there is one.")] = False
    json: JsonEvents = False
    quiet: Quiet = False
    overwrite: Overwrite = False

    def __post_init__(self) -> None:
        """Validate the values."""
        super().__post_init__()
        _ = self.checkpoint_seconds

    @property
    def compute(self) -> Compute:
        """The same as a value."""
        return dataclasses.replace(super().compute, checkpoint_seconds=self.checkpoint_seconds)

    @property
    def checkpoint_seconds(self) -> float:
        """Seconds between two checkpoints."""
        return parse_seconds("--checkpoint-every", self.checkpoint_every)


@options_class
@dataclass(frozen=True)
class RerunOptions(CheckpointOptions):
    """Options of a run; none of them changes what is optimized."""

    checkpoint: Annotated[
        Path | None, Parameter(metavar="FILE", help="Checkpoint file; default: OUTPUT.checkpoint.")
    ] = None
    preview: Annotated[
        Path | None,
        Parameter(
            metavar="FILE", group=OUTPUT, help="FILE updated with the current image every --preview-every steps."
        ),
    ] = None
    preview_every: Annotated[WholeNumber, Parameter(group=OUTPUT, help="Steps between two previews, 1 or more.")] = 25
    timelapse: Annotated[
        Path | None,
        Parameter(metavar="FILE", group=OUTPUT, help="Animation of the optimization: .gif or .webp, saved at the end."),
    ] = None
    log: Annotated[
        Path | None,
        Parameter(metavar="FILE", group=OUTPUT, help="FILE.jsonl with the losses of every step, one JSON object each."),
    ] = None

    def __post_init__(self) -> None:
        """Validate the values."""
        super().__post_init__()
        if self.preview_every < 1:
            raise SettingError(f"--preview-every: got {self.preview_every}; give 1 or more steps")
        for name in ("checkpoint", "preview", "timelapse", "log"):
            if getattr(self, name) == PIPE:
                raise SettingError(f"--{name}: got -, but only the result can go to a pipe; give the name of a file")

    def outputs(self, result: Path) -> JobOutputs:
        """The files that a run with these options writes."""
        return JobOutputs(
            result=str(result),
            checkpoint=_text(self.checkpoint),
            log=_text(self.log),
            preview=_text(self.preview),
            preview_every=self.preview_every,
            timelapse=_text(self.timelapse),
        )


@options_class
@dataclass(frozen=True)
class RunOptions(RerunOptions):
    """The same, the preset, and whether the job is only printed."""

    preset: PresetName = "painterly"
    print_job: Annotated[
        bool, Parameter(group=OUTPUT, help="Print the job as JSON instead of running it; `impasto run` runs it.")
    ] = False


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_bytes(option: str, text: str) -> int:
    """A size such as 4G in bytes.

    Raises:
        SettingError: anything else.
    """
    return round(_parse_quantity(option, text, _BYTES, "a size such as 4G or 800M"))


def parse_seconds(option: str, text: str) -> float:
    """A time such as 5m in seconds.

    Raises:
        SettingError: anything else.
    """
    return _parse_quantity(option, text, _SECONDS, "a time such as 30s, 5m or 1h")


def parse_minutes(option: str, text: str) -> int:
    """A time such as 4h in minutes, at least 1.

    Raises:
        SettingError: anything else.
    """
    return max(1, round(_parse_quantity(option, text, _SECONDS, "a time such as 30m or 4h") / 60))


def _parse_quantity(option: str, text: str, units: Mapping[str, int], wanted: str) -> float:
    """A number with a unit.

    Raises:
        SettingError: anything else.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([a-z])(?:i?b)?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None or (unit := match[2].lower()) not in units:
        raise SettingError(f"{option}: got {text!r}; give {wanted}")
    return float(match[1]) * units[unit]
