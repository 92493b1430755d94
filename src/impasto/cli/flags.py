"""Settings -> flags: the fields of `Settings`, and how a run is carried out, as cyclopts' parameters."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import CoercionError, CycloptsError, Group, MissingArgumentError, Parameter, Token, UnusedCliTokensError
from pydantic.fields import FieldInfo

from impasto.errors import SettingError
from impasto.settings.model import MAX_THREADS, Device, Precision, Settings
from impasto.settings.presets import preset

RUNNING = Group("How it is carried out", sort_key=1)
SETTINGS = Group("Settings (what is painted; defaults are those of --preset painterly)", sort_key=2)


def _whole(_: object, tokens: list[Token]) -> int:
    """The number in a flag's value, which is not rounded: 1.5 steps are a mistake."""
    try:
        return int(tokens[0].value)
    except ValueError as error:
        raise CoercionError(token=tokens[0], target_type=int) from error


WholeNumber = Annotated[int, Parameter(converter=_whole)]


def _range(field: FieldInfo) -> str:
    """The numbers a field allows, as text: "0..1", empty if there is no bound."""
    low = next((str(each.ge) for each in field.metadata if isinstance(each, Ge)), "")
    low = next((f"above {each.gt}" for each in field.metadata if isinstance(each, Gt)), low)
    high = next((f"{each.le:g}" for each in field.metadata if isinstance(each, Le)), "")
    high = next((f"below {each.lt:g}" for each in field.metadata if isinstance(each, Lt)), high)
    return f"{low}..{high}" if low and high else low


def _default(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight:g}" for name, weight in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def flag(name: str) -> str:
    """How a setting is called on the command line."""
    extra = Settings.model_fields[name].json_schema_extra
    return f"--{extra['flag']}" if isinstance(extra, dict) else f"--{name.replace('_', '-')}"


def _parameter(name: str, field: FieldInfo, default: str) -> Any:
    """The type of a setting's flag, None where it is not given; `default` says what it is then."""
    is_layers = get_origin(field.annotation) is dict
    bounds = "NAME[=WEIGHT]" if is_layers else _range(field)
    notes = "; ".join(filter(None, [bounds, f"default {default}"]))
    kind: Any = list[str] if is_layers else field.annotation
    return Annotated[
        kind | None,
        Parameter(
            name=flag(name),
            help=f"{field.description} [{notes}]",
            group=SETTINGS,
            negative=(),
            show_default=False,
            converter=_whole if kind is int else None,
        ),
    ]


def settings_flags(called: str, names: Iterable[str], base: Settings, **defaults: str) -> type[Any]:
    """A dataclass with a field for every setting named, so that a setting is written once, in `Settings`.

    What holds where a flag is not given is that of `base`, or as `defaults` says in words.
    """
    told = {name: _default(getattr(base, name)) for name in names} | defaults
    fields = {name: _parameter(name, Settings.model_fields[name], told[name]) for name in told}
    body = {"__annotations__": fields, "__module__": __name__, "__doc__": "The settings.", **dict.fromkeys(fields)}
    return Parameter(name="*")(dataclass(frozen=True)(type(called, (), body)))


if TYPE_CHECKING:

    class SettingsFlags:
        """A field for every setting, None where its flag is not given."""

        content_layers: list[str] | None
else:
    SettingsFlags = settings_flags("SettingsFlags", Settings.model_fields, preset())


_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _quantity(flag: str, text: str, units: Mapping[str, int], wanted: str) -> float:
    """A number and its unit.

    Raises:
        SettingError: it is none.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([a-z])(?:i?b)?", text.strip().lower())
    if found is None or found[2] not in units:
        raise SettingError(f"{flag}: got {text!r}; give {wanted}")
    return float(found[1]) * units[found[2]]


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class ComputeFlags:
    """What there is to compute with."""

    device: Annotated[Device, Parameter(help="Where the network is evaluated.")] = "auto"
    precision: Annotated[Precision, Parameter(help="auto: bfloat16 where the hardware has it.")] = "auto"
    threads: Annotated[WholeNumber | None, Parameter(help="Threads that compute; one a core if not given.")] = None
    memory_limit: Annotated[
        str | None, Parameter(help="Memory to make do with: 4G, 800M; what is at hand if not given.")
    ] = None

    def __post_init__(self) -> None:
        """The check at the door."""
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise SettingError(f"--threads: got {self.threads}; give 1 to {MAX_THREADS}")
        if self.memory is not None and self.memory < 1:
            raise SettingError(f"--memory-limit: got {self.memory_limit!r}; give more than nothing")

    @property
    def memory(self) -> int | None:
        """Bytes that the process may take."""
        if self.memory_limit is None:
            return None
        return round(_quantity("--memory-limit", self.memory_limit, _BYTES, "a size such as 4G or 800M"))


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class MachineFlags(ComputeFlags):
    """What a run has to compute with."""

    weights: Annotated[str, Parameter(help="auto, bundled, or a FILE (Keras .h5, .safetensors).")] = "auto"


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class KeepFlags(MachineFlags):
    """How a run is told of, and kept from being lost."""

    checkpoint_every: Annotated[str, Parameter(help="Time from one checkpoint to the next: 30s, 5m, 1h.")] = "5m"
    resume: Annotated[bool, Parameter(help="Go on from the checkpoint if there is one.")] = False
    json: Annotated[bool, Parameter(help="Write every event as a line of JSON to standard output.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], help="Say nothing but errors.")] = False
    overwrite: Annotated[bool, Parameter(help="Replace files that exist.")] = False

    def __post_init__(self) -> None:
        """The check at the door."""
        super().__post_init__()
        _ = self.checkpoint_seconds

    @property
    def checkpoint_seconds(self) -> float:
        """Seconds from one checkpoint to the next."""
        return _quantity("--checkpoint-every", self.checkpoint_every, _SECONDS, "a time such as 30s, 5m or 1h")


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class RunFlags(KeepFlags):
    """How a run is carried out; nothing here changes what is aimed at."""

    checkpoint: Annotated[
        Path | None, Parameter(help="FILE to go on from after an interruption; OUT.checkpoint if not given.")
    ] = None
    preview: Annotated[Path | None, Parameter(help="FILE that shows the picture as it comes to be.")] = None
    preview_every: Annotated[WholeNumber, Parameter(help="Steps from one preview to the next, 1 or more.")] = 25
    timelapse: Annotated[
        Path | None, Parameter(help="FILE.gif or FILE.webp that shows the painting come to be, written at the end.")
    ] = None
    log: Annotated[Path | None, Parameter(help="FILE.jsonl that gets one JSON object a step.")] = None

    def __post_init__(self) -> None:
        """The check at the door."""
        super().__post_init__()
        if self.preview_every < 1:
            raise SettingError(f"--preview-every: got {self.preview_every}; give 1 or more steps")


@Parameter(name="*", negative=())
@dataclass(frozen=True)
class MaskFlags:
    """Where each painting goes, and where none does."""

    mask: Annotated[
        tuple[Path, ...],
        Parameter(
            help="FILE, white where the first PAINTING goes; again for the second, ... One without a mask gets what is "
            "left. alpha: where PHOTO is not transparent.",
            consume_multiple=False,
            show_default=False,
        ),
    ] = ()
    keep: Annotated[Path | None, Parameter(help="FILE, white where PHOTO is left alone.")] = None

    def matched(self, paintings: int) -> list[Path | None]:
        """A mask, or None, for each of so many paintings.

        Raises:
            SettingError: there are more masks.
        """
        if len(self.mask) > paintings:
            raise SettingError(f"--mask: got {len(self.mask)} for {paintings} paintings; give one a painting at most")
        return [*self.mask, *(None for _ in range(paintings - len(self.mask)))]


def share_of(painting: Path) -> tuple[Path, float]:
    """A painting's file and its weight, from FILE or FILE=WEIGHT; a file that is really called so goes first."""
    name, equals, weight = str(painting).rpartition("=")
    if not equals or os.path.lexists(painting):
        return painting, 1.0
    try:
        return Path(name), float(weight)
    except ValueError:
        return painting, 1.0  # that there is no such file is told when it is read


ImageArgument = Annotated[Path, Parameter(help="PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF.", negative=())]
StyleArgument = Annotated[Path, Parameter(help="The same; FILE=0.7 for its weight in a mixture.", negative=())]
AsJson = Annotated[bool, Parameter(help="As JSON.", negative=())]
PresetName = Annotated[str, Parameter(help="NAME (see `impasto presets`) or FILE.toml.", group=RUNNING)]


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class PaintFlags(RunFlags):
    """The same, and where settings come from that no flag gives."""

    preset: PresetName = "painterly"


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class SweepFlags(KeepFlags):
    """How the runs of a sweep are carried out, and where settings come from that neither flag nor grid gives."""

    preset: Annotated[
        str | None,
        Parameter(help="NAME (see `impasto presets`) or FILE.toml; painterly, or the prepared sweep's, if not given."),
    ] = None


def given(flags: SettingsFlags) -> dict[str, Any]:
    """The settings that flags were given for."""
    return {name: value for name in Settings.model_fields if (value := getattr(flags, name, None)) is not None}


def resolve(flags: SettingsFlags, base: Settings) -> Settings:
    """`base`, changed by the flags given.

    Raises:
        SettingError: a value out of its range, by the name of its flag.
    """
    for name, value in given(flags).items():
        base = changed(base, name, value)
    return base


def changed(base: Settings, name: str, value: object) -> Settings:
    """`base` with one setting changed; raises as `resolve` does."""
    try:
        return base.replace(**{name: value})
    except SettingError as error:
        complaint = str(error).removeprefix(name).lstrip(".: ")
        raise SettingError(f"{flag(name)}: {complaint}") from error


def misuse(error: CycloptsError) -> str:
    """A complaint about the command line in one line: what, got, and what to do."""
    command = " ".join(["impasto", *(error.command_chain or ())])
    match error:
        case MissingArgumentError(argument=argument) if argument is not None:
            given = error.keyword
            what = f"{given}: got no value; give {given}=VALUE" if given else f"{argument.name} is missing"
        case UnusedCliTokensError(unused_tokens=[str(first), *_]):
            what = f"got {first!r}, which is one argument too many"
        case CoercionError(token=Token(keyword=str(name), value=got), target_type=kind) if kind in _KINDS:
            what = f"{name}: got {got!r}; give {_KINDS[kind]}"
        case _:
            what = " ".join(str(error).split())
            what = what if what.endswith("...") else what.removesuffix(".")
    return f"{what} (see `{command} --help`)"


_KINDS: dict[Any, str] = {int: "a whole number", float: "a number such as 1.5", bool: "the flag alone, without a value"}
