"""The settings as keyword arguments are those of `Settings`."""

import typing

import pytest

from impasto.errors import SettingError
from impasto.settings.keywords import FastChanges, LayerWeights, SettingChanges
from impasto.settings.model import Settings
from impasto.settings.presets import preset, settings_or_preset


def test_the_keywords_are_the_settings() -> None:
    """Names and types; layers are also taken as lists, and `init` is a parameter of its own, for it may be an image."""
    fields = {name: field.annotation for name, field in Settings.model_fields.items() if name != "init"}
    layers = {"content_layers": LayerWeights, "style_layers": LayerWeights}
    assert typing.get_type_hints(SettingChanges) == fields | layers
    assert SettingChanges.__required_keys__ == frozenset()


def test_the_one_pass_method_has_some_of_them() -> None:
    used = (Settings.model_fields["method"].description or "").partition("uses only ")[2].rstrip(".")
    assert [*FastChanges.__annotations__] == used.replace(" and ", ", ").split(", ")


def test_keywords_come_before_settings_and_settings_before_the_preset() -> None:
    own = Settings(steps=7, seed=3)
    assert settings_or_preset(own, changes={"steps": 9}) == own.replace(steps=9)
    assert settings_or_preset("quick", changes={"seed": 5}) == preset("quick").replace(seed=5)
    assert settings_or_preset("quick") == preset("quick")
    assert settings_or_preset(None, "distill") == preset("distill")
    assert settings_or_preset(own) is own
    with pytest.raises(SettingError, match=r"unknown setting 'sise'; available: size, "):
        settings_or_preset(None, changes={"sise": 3})
    with pytest.raises(SettingError, match=r"strength: got '2'"):
        settings_or_preset(None, changes={"strength": 2})
