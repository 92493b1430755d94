"""Settings -> flags: the fields of `Settings`, and how a run is carried out, as cyclopts' parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import Group, Parameter
from pydantic.fields import FieldInfo

from impasto.presets import preset
from impasto.settings import Device, Precision, Settings

RUNNING = Group("How it is carried out", sort_key=1)
SETTINGS = Group("Settings (what is painted; defaults are those of --preset painterly)", sort_key=2)


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


def _flag(name: str, field: FieldInfo) -> Any:
    """The type of a setting's flag, None where it is not given."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    flag = f"--{extra.get('flag', name.replace('_', '-'))}"
    is_layers = get_origin(field.annotation) is dict
    bounds = "NAME[=WEIGHT]" if is_layers else _range(field)
    notes = "; ".join(filter(None, [bounds, f"default {_default(getattr(preset(), name))}"]))
    kind: Any = list[str] if is_layers else field.annotation
    return Annotated[
        kind | None,
        Parameter(name=flag, help=f"{field.description} [{notes}]", group=SETTINGS, negative=(), show_default=False),
    ]


def _settings_flags() -> type[Any]:
    """A dataclass with a field for every setting, so that a setting is written once, in `Settings`."""
    fields = {name: _flag(name, field) for name, field in Settings.model_fields.items()}
    body = {"__annotations__": fields, "__module__": __name__, "__doc__": "The settings.", **dict.fromkeys(fields)}
    return Parameter(name="*")(dataclass(frozen=True)(type("SettingsFlags", (), body)))


if TYPE_CHECKING:

    class SettingsFlags:
        """A field for every setting, None where its flag is not given."""
else:
    SettingsFlags = _settings_flags()


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class RunFlags:
    """How a run is carried out; nothing here changes what is aimed at."""

    preset: Annotated[str, Parameter(help="NAME (see `impasto presets`) or FILE.toml.")] = "painterly"
    device: Annotated[Device, Parameter(help="Where the network is evaluated.")] = "auto"
    precision: Annotated[Precision, Parameter(help="auto: bfloat16 where the hardware has it.")] = "auto"
    weights: Annotated[str, Parameter(help="auto, bundled, or a FILE (Keras .h5, .safetensors).")] = "auto"
    preview: Annotated[Path | None, Parameter(help="FILE that shows the picture as it comes to be.")] = None
    preview_every: Annotated[int, Parameter(help="Steps from one preview to the next.")] = 25
    log: Annotated[Path | None, Parameter(help="FILE.jsonl that gets one JSON object a step.")] = None
    json: Annotated[bool, Parameter(help="Write every event as a line of JSON to standard output.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], help="Say nothing but errors.")] = False
    overwrite: Annotated[bool, Parameter(help="Replace files that exist.")] = False


def resolve(flags: SettingsFlags, preset_name: str, **changes: object) -> Settings:
    """The settings of the preset, with `changes`, changed by the flags given.

    Raises:
        SettingError: an unknown preset or a value out of its range.
    """
    given = {name: value for name in Settings.model_fields if (value := getattr(flags, name)) is not None}
    return preset(preset_name).replace(**{**changes, **given})
