"""Presets: named settings in TOML files, bundled or the user's own.

description = "one line"
base = "keras"              # the preset to start from, optional
[settings]
steps = 1000
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from impasto.arguments import as_path, of_type
from impasto.errors import SettingError, printable
from impasto.input_files import read_limited
from impasto.settings.model import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = "painterly"
_MAX_BYTES = 2**20
FILES = resources.files("impasto.settings") / "preset_files"


@dataclass(frozen=True)
class Preset:
    """A preset file: name or path, description, its text, and the resulting settings."""

    name: str
    description: str
    text: str
    settings: Settings


def names() -> tuple[str, ...]:
    """Names of the bundled presets, the default first."""
    files = FILES.iterdir()
    bundled = sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))
    return tuple(sorted(bundled, key=lambda name: name != DEFAULT))


def presets() -> tuple[Preset, ...]:
    """The bundled presets, the default first."""
    return tuple(map(read_preset, names()))


def preset(name: str | os.PathLike[str] = DEFAULT) -> Settings:
    """The settings of a bundled preset, or of the TOML file at that path.

    Raises:
        SettingError: no such preset, not TOML, an unknown setting, or a value out of range.
    """
    return read_preset(name).settings


def settings_or_preset(
    settings: Settings | str | None, default: str = DEFAULT, changes: Mapping[str, Any] = MappingProxyType({})
) -> Settings:
    """The settings that a caller passed, those of a preset by its name, or those of the default, with `changes`.

    Raises:
        SettingError: something else was passed, no such preset, or a change that is no setting or out of range.
    """
    if settings is None or isinstance(settings, str):
        settings = preset(default if settings is None else settings)
    remedy = "give impasto.Settings(...), the name of a preset, or None for the defaults"
    settings = of_type(settings, Settings, "settings", remedy)
    return settings.replace(**changes) if changes else settings


def read_preset(name: str | os.PathLike[str]) -> Preset:
    """The preset with its description and text; raises like `preset`."""
    shown_name = printable(as_path(name, "preset", SettingError))
    try:
        content = tomllib.loads(text := _text(name))
    except (ValueError, RecursionError) as error:  # an integer with thousands of digits raises a plain ValueError
        raise SettingError(f"preset {shown_name}: not TOML ({error}); see `impasto presets {DEFAULT}`") from error
    if unknown := content.keys() - {"description", "base", "settings"}:
        raise SettingError(f"preset {shown_name}: unknown entry {min(unknown)!r}; give description, base, [settings]")
    try:
        return Preset(os.fspath(name), str(content.get("description", "")), text, _settings(content))
    except SettingError as error:
        raise SettingError(f"preset {shown_name}: {error}") from error


def _settings(content: dict[str, Any]) -> Settings:
    base, own = content.get("base"), content.get("settings", {})
    if base is not None and base not in names():
        raise SettingError(f"base {base!r} is not a bundled preset; available: {', '.join(names())}")
    if not isinstance(own, dict):
        raise SettingError("settings: give a table, [settings]")
    return (preset(base) if base else Settings()).replace(**own)


def _text(name: str | os.PathLike[str]) -> str:
    if name in names():
        return (FILES / f"{name}.toml").read_text(encoding="utf-8")
    if not os.fspath(name).endswith(".toml"):
        raise SettingError(f"unknown preset {printable(name)!r}; available: {', '.join(names())}, or give a FILE.toml")
    try:
        return read_limited(Path(name), _MAX_BYTES).decode("utf-8-sig")  # Notepad on Windows writes a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"preset {printable(name)}: cannot be read ({_reason(error)}); give a TOML file") from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8"
