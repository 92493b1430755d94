import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from impasto.errors import SettingError
from impasto.settings.model import Settings

NUMBERS = {
    name: field.default for name, field in Settings.model_fields.items() if isinstance(field.default, int | float)
}


def refusal(**values: object) -> str:
    with pytest.raises(SettingError) as caught:
        Settings(**values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "bad",
    [float("nan"), float("inf"), float("-inf"), -1000, "1e400", "nan", "", "many", None, [], {}, -(10**30), 10**30],
)
def test_a_number_that_is_none_or_out_of_range_is_refused_by_name(name: str, bad: object) -> None:
    assert refusal(**{name: bad}).startswith(f"{name}: got {str(bad)[:60]!r}; ")


@pytest.mark.parametrize(
    ("name", "edge", "beyond"),
    [
        ("size", 16, 15),
        ("size", 65535, 65536),
        ("style_scale", 0.05, 0.0499),
        ("style_scale", 8, 8.01),
        ("steps", 1, 0),
        ("steps", 1_000_000, 1_000_001),
        ("learning_rate", 1e-300, 0),
        ("learning_rate", 10, 10.1),
        ("adam_beta1", 0, -1e-9),
        ("adam_beta2", 1 - 1e-9, 1),
        ("adam_epsilon", 1e-300, 0),
        ("average", 0, -1e-9),
        ("average", 0.999999, 1),
        ("content_weight", 0, -1e-9),
        ("style_weight", 1e12, 1.1e12),
        ("tv_weight", 1e12, 1.1e12),
        ("seed", 2**63 - 1, 2**63),
    ],
)
def test_a_range_ends_where_it_says(name: str, edge: float, beyond: float) -> None:
    assert getattr(Settings(**{name: edge}), name) == edge
    assert refusal(**{name: beyond}).startswith(f"{name}: got ")


@pytest.mark.parametrize("text", ["1_0", " 50 ", "٥٠", "0x20"])
@pytest.mark.parametrize("name", [name for name, default in NUMBERS.items() if not isinstance(default, bool)])
def test_text_is_a_number_only_in_its_usual_form(name: str, text: str) -> None:
    assert refusal(**{name: text}).startswith(f"{name}: got {text!r}; input should be a valid ")
    assert "block1_conv1: got" in refusal(style_layers={"block1_conv1": text})


def test_text_can_be_a_number() -> None:
    settings = Settings(size="64", strength="2.5e-1", depth="16", style_layers={"block1_conv1": "0.5"})
    assert (settings.size, settings.strength, settings.depth) == (64, 0.25, 16)
    assert settings.style_layers == {"block1_conv1": 0.5}


@pytest.mark.parametrize("name", ["size", "steps", "seed"])
def test_a_fraction_is_no_whole_number(name: str) -> None:
    assert "fractional part" in refusal(**{name: 100.5})


@pytest.mark.parametrize("name", ["optimizer", "convention", "pooling", "padding", "resampling"])
def test_a_choice_that_is_not_offered_is_answered_with_those_that_are(name: str) -> None:
    message = refusal(**{name: "best"})
    assert message.startswith(f"{name}: got 'best'; input should be '")
    assert repr(Settings.model_fields[name].default) in message


@pytest.mark.parametrize("name", ["style_weigth", "self", "values", "model_config", "a b"])
def test_an_unknown_setting_is_answered_with_those_that_there_are(name: str) -> None:
    assert refusal(**{name: 1}).startswith(
        f"unknown setting {name!r}; available: size, style_scale, style_rotation, steps, "
    )
    with pytest.raises(SettingError, match="unknown setting"):
        Settings().replace(**{name: 1})


def test_a_number_of_thousands_of_digits_is_refused_like_any_other() -> None:
    assert refusal(size=10**5000).startswith("size: got 'a number with thousands of digits'; ")


def test_layers_without_weights_share_one_equally() -> None:
    assert Settings(style_layers=["block1_conv1", "block2_conv1"]).style_layers == {
        "block1_conv1": 0.5,
        "block2_conv1": 0.5,
    }


def test_layers_have_the_weights_that_they_are_given() -> None:
    given = Settings(style_layers=["block1_conv1=3e-2", "block2_conv1=0"]).style_layers
    assert given == {"block1_conv1": 0.03, "block2_conv1": 0}
    assert Settings(style_layers=given).style_layers == given


def test_a_layer_named_twice_is_refused() -> None:
    message = refusal(style_layers=["block1_conv1=1", "block2_conv1", "block1_conv1=2"])
    assert "a layer is given twice in block1_conv1, block2_conv1, block1_conv1; give each once" in message


@pytest.mark.parametrize("setting", ["content_layers", "style_layers"])
def test_an_unknown_layer_is_answered_with_the_nearest(setting: str) -> None:
    assert refusal(**{setting: ["block5_conv7"]}) == "no layer 'block5_conv7' in VGG19; did you mean block5_conv4?"


@pytest.mark.parametrize(
    "bad",
    ["block1_conv1", b"block1_conv1", 3, None, ["block1_conv1=nan"], ["block1_conv1=-1"], {"block1_conv1": "1e400"}],
)
def test_layers_that_are_no_list_or_have_no_good_weight_are_refused(bad: object) -> None:
    assert refusal(content_layers=bad).startswith("content_layers")


def test_settings_cannot_be_changed_but_be_replaced() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.steps = 3  # type: ignore[misc]
    changed = settings.replace(steps=3, seed=9)
    assert (changed.steps, changed.seed, settings.steps) == (3, 9, 150)
    assert changed.replace(steps=150, seed=0) == settings


def test_a_replacement_is_checked_too() -> None:
    with pytest.raises(SettingError, match=r"^steps: got '0'; "):
        Settings().replace(steps=0)


def test_two_settings_share_no_layers() -> None:
    one, other = Settings(), Settings()
    one.style_layers["block1_conv2"] = 1.0
    assert "block1_conv2" not in other.style_layers
    assert "block1_conv2" not in Settings().style_layers


def test_noise_takes_the_place_of_the_content_and_of_nothing_else() -> None:
    assert [Settings(init=init).from_noise().init for init in ("content", "noise", "a.png")] == [
        "noise",
        "noise",
        "a.png",
    ]


def test_every_setting_has_a_sentence_of_help() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@given(
    st.builds(
        dict,
        size=st.integers(16, 65535),
        learning_rate=st.floats(1e-12, 10),
        style_weight=st.floats(0, 1e12),
        seed=st.integers(0, 2**63 - 1),
        init=st.text(min_size=1),
    )
)
def test_settings_survive_json(values: dict[str, object]) -> None:
    settings = Settings(**values)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
