"""Settings <-> options: the fields of `Settings` as parameters of a command, and the values given for them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import CoercionError, Parameter, Token
from pydantic.fields import FieldInfo

from impasto.cli import option_groups
from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.presets import preset

GROUPS = {name: group for group, names in option_groups.SETTINGS.items() for name in names}


def _parse_whole_number(_: object, tokens: list[Token]) -> int:
    """An integer; cyclopts would round 1.5 steps."""
    try:
        return int(tokens[0].value)
    except ValueError as error:
        raise CoercionError(token=tokens[0], target_type=int) from error


WholeNumber = Annotated[int, Parameter(converter=_parse_whole_number)]


def option_name(setting: str) -> str:
    """The command line option of a setting: "style_scale" -> "--style-scale"."""
    extra = Settings.model_fields[setting].json_schema_extra
    return f"--{extra['flag']}" if isinstance(extra, dict) else f"--{setting.replace('_', '-')}"


def settings_options(class_name: str, names: Iterable[str], base: Settings, **defaults: str) -> type[Any]:
    """A dataclass of options with one field per setting, None if the option is not given.

    Generated from `Settings`, so that a setting is defined once. The help shows the values of `base` as defaults, or
    the words in `defaults`.
    """
    shown = {name: _default_text(getattr(base, name)) for name in names} | defaults
    annotations = {name: _parameter(name, Settings.model_fields[name], shown[name]) for name in shown}
    body = {"__annotations__": annotations, "__module__": __name__, "__doc__": "Settings.", **dict.fromkeys(shown)}
    return Parameter(name="*")(dataclass(frozen=True)(type(class_name, (), body)))


def _parameter(name: str, field: FieldInfo, default: str | None) -> Any:
    """The type of a setting's option."""
    is_layers = get_origin(field.annotation) is dict
    bounds = _range_text(field)
    kind: Any = list[str] if is_layers else field.annotation
    return Annotated[
        kind | None,
        Parameter(
            name=option_name(name),
            help=f"{field.description} [{bounds}]" if bounds else field.description,
            group=GROUPS[name],
            metavar="NAME[=WEIGHT]" if is_layers else name.upper() if kind is str else None,
            negative=(),
            show_default=lambda _: default,
            converter=_parse_whole_number if kind is int else None,
        ),
    ]


def _range_text(field: FieldInfo) -> str:
    """The numbers that a field allows, such as "0 to below 1"; empty if there is no bound."""
    bounds: dict[type, str] = {}
    for item in field.metadata:
        match item:
            case Ge(ge=value) | Le(le=value):
                bounds[type(item)] = _number_text(value)
            case Gt(gt=value):
                bounds[Gt] = f"above {_number_text(value)}"
            case Lt(lt=value):
                bounds[Lt] = f"below {_number_text(value)}"
    return " to ".join(bounds[kind] for kind in (Ge, Gt, Le, Lt) if kind in bounds)


def _number_text(value: Any) -> str:
    if isinstance(value, int):
        return str(value) if value < 2**31 else f"2^{math.log2(value):g}"
    return f"{value:g}"


def _default_text(value: object) -> str | None:
    """None for flags that are off, which the help does not mention."""
    if value is False:
        return None
    if isinstance(value, dict):
        return ", ".join(f"{name}={weight:g}" for name, weight in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


if TYPE_CHECKING:

    class SettingsOptions:
        """A field for every setting, None if its option is not given."""

        content_layers: list[str] | None
else:
    SettingsOptions = settings_options("SettingsOptions", GROUPS, preset())


def given_settings(options: SettingsOptions) -> dict[str, Any]:
    """The settings whose options were given, with their values."""
    return {name: value for name in Settings.model_fields if (value := getattr(options, name, None)) is not None}


def resolve(options: SettingsOptions, base: Settings) -> Settings:
    """`base` changed by the options that were given.

    Raises:
        SettingError: a value out of range, with the name of its option.
    """
    for name, value in given_settings(options).items():
        base = _replace(base, name, value)
    return base


def _replace(base: Settings, name: str, value: object) -> Settings:
    try:
        return base.replace(**{name: value})
    except SettingError as error:
        reason = str(error).removeprefix(name).lstrip(".: ")
        raise SettingError(f"{option_name(name)}: {reason}") from error
