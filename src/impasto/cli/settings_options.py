"""Settings <-> options: the fields of `Settings` as parameters of a command, and the values given for them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from cyclopts import CoercionError, Parameter, Token
from pydantic.fields import FieldInfo

from impasto.cli import option_groups
from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.numbers import from_text
from impasto.settings.presets import preset

GROUPS = {name: group for group, names in option_groups.SETTINGS.items() for name in names}


def number_option(kind: Any, wanted: str = "") -> Parameter:
    """The conversion of an option of the type int, float, or a choice of whole numbers; for others that of cyclopts.

    cyclopts itself would round 1.5 steps, and read 1_0 as 10. `wanted` says what to give instead of text that is no
    number; by default what the type says.
    """

    def parse(_: object, tokens: list[Token]) -> Any:
        (token,) = tokens
        try:
            value = from_text(token.value, kind)
        except ValueError as error:
            if wanted:
                raise SettingError(f"{token.keyword}: got {token.value!r}; give {wanted}") from error
            raise CoercionError(token=token, target_type=kind) from error
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise CoercionError(token=token, target_type=kind)
        return value

    is_number = kind in (int, float) or any(isinstance(choice, int) for choice in get_args(kind))
    return Parameter(converter=parse if is_number else None)


WholeNumber = Annotated[int, number_option(int)]


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
        number_option(kind, _number_wanted(name, field) if kind is float else ""),
        Parameter(
            name=option_name(name),
            help=f"{field.description} [{bounds}]" if bounds else field.description,
            group=GROUPS[name],
            metavar="NAME[=WEIGHT]" if is_layers else name.upper() if kind is str else None,
            negative=(),
            show_default=lambda _: default,
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


def _number_wanted(name: str, field: FieldInfo) -> str:
    """What to give for a number: an example in its range, and the range."""
    example = 1.5
    try:
        Settings(**{name: example})
    except SettingError:
        example = 0.5
    return f"a number such as {example} ({_range_text(field)})"


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
