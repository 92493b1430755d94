"""Grids: which settings a sweep varies. Prepared ones are TOML files beside this one.

description = "one line"
base = "gatys-2015"         # the preset of all combinations, if the grid does not vary it
[[axes]]
name = "content_weight"     # a setting, or preset
values = [0.1, 1]
labels = ["weak", "strong"]  # what stands on the sheet and in file names, if not the values
"""

import dataclasses
import hashlib
import itertools
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from impasto.errors import SettingError, printable
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = resources.files("impasto.sweeps") / "grid_files"
MOST = 1000
"""Combinations of a grid at most."""
PRESET = "preset"
"""The axis whose values are presets; every other one is a setting's."""
_LONGEST = 120  # characters of a file name without its suffix


@dataclass(frozen=True)
class Axis:
    """A setting by the name of its field, or "preset", its values, and what each is called."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """One picture of a sweep: the name of each axis -> the label of its value, and the settings that it makes."""

    labels: Mapping[str, str]
    settings: Settings

    @property
    def title(self) -> str:
        """In one line: style_weight=1, steps=20."""
        return ", ".join(f"{name}={label}" for name, label in self.labels.items())

    @property
    def stem(self) -> str:
        """A file name without its suffix, of letters that every system allows; no two combinations share one."""
        told = "_".join(f"{name}={label}" for name, label in self.labels.items())
        plain = re.sub(r"[^\w.,+=-]+", "-", told, flags=re.ASCII)
        if plain == told and len(told) <= _LONGEST:
            return told
        return f"{plain[: _LONGEST - 9]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Grid:
    """The axes of a sweep, the first one downwards, and what holds for all of its combinations.

    Attributes:
        base: the settings, where no axis is "preset".
        fixed: settings that hold for every combination, whatever the preset says.
    """

    axes: tuple[Axis, ...]
    base: Settings
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """The check at the door: of the number of combinations, and of what is varied and fixed at once."""
        names = [axis.name for axis in self.axes]
        if not names:
            raise SettingError("the grid is empty; give a setting and its values, such as style_weight=0.1,1")
        for place, name in enumerate(names):
            if name in names[:place]:
                raise SettingError(f"the grid varies {name} twice; give all of its values at once")
            if name in self.fixed:
                raise SettingError(f"{name}: got {self.fixed[name]!r}, but the grid varies it; leave one of them out")
        if (count := math.prod(len(axis.values) for axis in self.axes)) > MOST:
            raise SettingError(f"the grid has {count} combinations; give {MOST} at most")

    def combinations(self) -> list[Combination]:
        """Every combination of the values, the last axis varying fastest.

        Raises:
            SettingError: values that cannot be had together.
        """
        return [
            self._combination(dict(zip((axis.name for axis in self.axes), chosen, strict=True)))
            for chosen in itertools.product(*(zip(axis.values, axis.labels, strict=True) for axis in self.axes))
        ]

    def _combination(self, chosen: dict[str, tuple[Any, str]]) -> Combination:
        values = {name: value for name, (value, _) in chosen.items()}
        base = preset(values.pop(PRESET)) if PRESET in values else self.base
        settings = base.replace(**{**self.fixed, **values})
        return Combination({name: label for name, (_, label) in chosen.items()}, settings)


def make_axis(name: str, values: Sequence[object], labels: Sequence[str] | None = None) -> Axis:
    """An axis whose values are known to be in their setting's range; its name may be written with - or _.

    Raises:
        SettingError: no such setting, no values, one twice, or one out of its range.
    """
    field = _field(name)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise SettingError(f"grid {field}: got {values!r}; give a list of values")
    checked = [_checked(field, value) for value in values]
    called = list(labels or (_label(value) for value in checked))
    if not checked:
        raise SettingError(f"grid {field}: got no values; give one or more")
    for place, value in enumerate(checked):
        if value in checked[:place] or called[place] in called[:place]:
            raise SettingError(f"grid {field}: got {called[place]} twice; give each value once")
    return Axis(field, tuple(checked), tuple(called))


def parse_axis(text: str) -> Axis:
    """An axis from "NAME=VALUE,VALUE"; layers of one value are joined by +: style_layers=block1_conv1+block2_pool.

    Raises:
        SettingError: not of that form, or as `make_axis` says.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name.strip():
        raise SettingError(f"grid: got {printable(text)!r}; give NAME=VALUE,VALUE such as style_weight=0.1,1")
    field = _field(name)
    values: list[Any] = [value.strip() for value in rest.split(",")]
    if not all(values):
        raise SettingError(f"grid {field}: got {printable(rest)!r}, with a value missing; give NAME=VALUE,VALUE")
    if field.endswith("_layers"):  # behind a + stands a layer, not the exponent of a weight
        values = [re.split(r"\+(?=[^0-9])", value) for value in values]
    return make_axis(field, values)


def prepared_names() -> tuple[str, ...]:
    """The prepared grids."""
    files = FILES.iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def prepared_grid(name: str) -> tuple[tuple[Axis, ...], Settings]:
    """The axes of a prepared grid, and the settings that it begins with.

    Raises:
        SettingError: there is none of that name.
    """
    if name not in prepared_names():
        raise SettingError(f"no prepared sweep {printable(name)!r}; there are {', '.join(prepared_names())}")
    content = tomllib.loads((FILES / f"{name}.toml").read_text(encoding="utf-8"))
    axes = tuple(make_axis(each["name"], each["values"], each.get("labels")) for each in content["axes"])
    return axes, preset(content["base"]) if "base" in content else preset()


def _field(name: str) -> str:
    """The field that a name means, by itself or by its flag."""
    wanted = name.strip().removeprefix("--").replace("-", "_")
    fields = [PRESET, *Settings.model_fields]
    flags = {"content_layer": "content_layers", "style_layer": "style_layers"}
    if (field := flags.get(wanted, wanted)) not in fields:
        raise SettingError(f"grid: no setting {printable(name)!r}; there are {', '.join(fields)}")
    return field


def _checked(field: str, value: object) -> Any:
    """The value as the setting holds it."""
    try:
        if field == PRESET:
            preset(str(value))
            return str(value)
        return getattr(Settings().replace(**{field: value}), field)
    except SettingError as error:
        raise SettingError(f"grid {str(error) if str(error).startswith(field) else f'{field}: {error}'}") from error


def _label(value: object) -> str:
    """A value in few words: layers joined by +, with their weights where these are no equal shares."""
    if isinstance(value, dict):
        equal = all(math.isclose(weight, 1 / len(value)) for weight in value.values())
        return "+".join(layer if equal else f"{layer}={weight:g}" for layer, weight in value.items())
    return printable(f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value))
