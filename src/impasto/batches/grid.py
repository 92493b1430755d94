"""Grids: the settings that a sweep varies, and their values. Prepared grids are TOML files in `grid_files`.

description = "one line"
base = "gatys-2015"          # the preset of all combinations, unless the grid varies it
[[axes]]
name = "content_weight"      # a setting, or "preset"
values = [0.1, 1]
labels = ["weak", "strong"]  # for the sheet and file names; by default the values
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

FILES = resources.files("impasto.batches") / "grid_files"
MAX_COMBINATIONS = 1000
PRESET = "preset"
"""The axis whose values are presets; every other axis is a setting."""
_MAX_STEM = 120  # characters of a file name without its suffix


@dataclass(frozen=True)
class Axis:
    """The name of a setting, or "preset", with its values and a label for each."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """One run of a sweep: name of each axis -> label of its value, and the complete settings."""

    labels: Mapping[str, str]
    settings: Settings

    @property
    def title(self) -> str:
        """The labels in one line, such as "style_weight=1, steps=20"."""
        return ", ".join(f"{name}={label}" for name, label in self.labels.items())

    @property
    def stem(self) -> str:
        """A unique file name without its suffix, of characters that every system allows."""
        name = "_".join(f"{axis}={label}" for axis, label in self.labels.items())
        portable = re.sub(r"[^\w.,+=-]+", "-", name, flags=re.ASCII)
        if portable == name and len(name) <= _MAX_STEM:
            return name
        return f"{portable[: _MAX_STEM - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Grid:
    """The axes of a sweep, the first one down the sheet, and the settings that all combinations share.

    Attributes:
        base: the settings that the axes change; unused if an axis is "preset".
        fixed: settings that take precedence over `base` and over presets.
    """

    axes: tuple[Axis, ...]
    base: Settings
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the number of combinations, and that no setting is varied twice or both varied and fixed."""
        names = [axis.name for axis in self.axes]
        if not names:
            raise SettingError("the grid is empty; give a setting and its values, such as style_weight=0.1,1")
        for index, name in enumerate(names):
            if name in names[:index]:
                raise SettingError(f"the grid varies {name} twice; give all of its values at once")
            if name in self.fixed:
                raise SettingError(f"{name}: got {self.fixed[name]!r}, but the grid varies it; leave one of them out")
        if (count := math.prod(len(axis.values) for axis in self.axes)) > MAX_COMBINATIONS:
            raise SettingError(f"the grid has {count} combinations; give {MAX_COMBINATIONS} at most")

    def combinations(self) -> list[Combination]:
        """Every combination of the values, the last axis varying fastest.

        Raises:
            SettingError: values that cannot be combined.
        """
        return [
            self._combination(dict(zip((axis.name for axis in self.axes), values, strict=True)))
            for values in itertools.product(*(zip(axis.values, axis.labels, strict=True) for axis in self.axes))
        ]

    def _combination(self, labeled_values: dict[str, tuple[Any, str]]) -> Combination:
        values = {name: value for name, (value, _) in labeled_values.items()}
        base = preset(values.pop(PRESET)) if PRESET in values else self.base
        settings = base.replace(**{**self.fixed, **values})
        return Combination({name: label for name, (_, label) in labeled_values.items()}, settings)


def make_axis(name: str, values: Sequence[object], labels: Sequence[str] | None = None) -> Axis:
    """An axis with validated values; the name of the setting may be written with "-" or "_".

    Raises:
        SettingError: unknown setting, no values, a value given twice, or out of its range.
    """
    field = _field(name)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise SettingError(f"grid {field}: got {values!r}; give a list of values")
    valid = [_validate(field, value) for value in values]
    if not valid:
        raise SettingError(f"grid {field}: got no values; give one or more")
    names = list(labels or map(_format_value, valid))
    for index, value in enumerate(valid):
        if value in valid[:index] or names[index] in names[:index]:
            raise SettingError(f"grid {field}: got {names[index]} twice; give each value once")
    return Axis(field, tuple(valid), tuple(names))


def parse_axis(text: str) -> Axis:
    """Parse "NAME=VALUE,VALUE"; the layers of a value are joined by "+": style_layers=block1_conv1+block2_pool.

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
    if field.endswith("_layers"):  # split at a "+" before a layer, not in an exponent such as 1e+5
        values = [re.split(r"\+(?=[^0-9])", value) for value in values]
    return make_axis(field, values)


def prepared_names() -> tuple[str, ...]:
    """The names of the prepared grids."""
    files = FILES.iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def prepared_grid(name: str) -> tuple[tuple[Axis, ...], Settings]:
    """The axes of a prepared grid, and the settings that they change.

    Raises:
        SettingError: an unknown name.
    """
    if name not in prepared_names():
        raise SettingError(f"no prepared sweep {printable(name)!r}; there are {', '.join(prepared_names())}")
    content = tomllib.loads((FILES / f"{name}.toml").read_text(encoding="utf-8"))
    axes = tuple(make_axis(axis["name"], axis["values"], axis.get("labels")) for axis in content["axes"])
    return axes, preset(content["base"]) if "base" in content else preset()


def _field(name: str) -> str:
    """The field of `Settings`, or "preset", for its own name or that of its flag."""
    plain = name.strip().removeprefix("--").replace("-", "_")
    fields = [PRESET, *Settings.model_fields]
    flags = {"content_layer": "content_layers", "style_layer": "style_layers"}
    if (field := flags.get(plain, plain)) not in fields:
        raise SettingError(f"grid: no setting {printable(name)!r}; there are {', '.join(fields)}")
    return field


def _validate(field: str, value: object) -> Any:
    """The value converted to the type of its setting."""
    try:
        if field == PRESET:
            preset(str(value))
            return str(value)
        return getattr(Settings().replace(**{field: value}), field)
    except SettingError as error:
        raise SettingError(f"grid {str(error) if str(error).startswith(field) else f'{field}: {error}'}") from error


def _format_value(value: object) -> str:
    """A short label: layers joined by "+", with their weights unless they are equal shares of 1."""
    if isinstance(value, dict):
        equal = all(math.isclose(weight, 1 / len(value)) for weight in value.values())
        return "+".join(layer if equal else f"{layer}={weight:g}" for layer, weight in value.items())
    return printable(f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value))
