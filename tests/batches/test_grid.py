"""Grids: the settings that may vary, and the names of the combinations."""

import pytest

from impasto.batches.grid import Grid, make_axis, parse_axis, prepared_grid
from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.presets import preset

LAYERS = [f"block{block}_conv1" for block in range(1, 6)]


def test_combinations_are_in_order_the_last_axis_varying_fastest():
    grid = Grid((parse_axis("style-weight=1e-2,1"), parse_axis("steps=5,6,7")), Settings(size=64), {"seed": 3})
    combinations = grid.combinations()
    assert [(combination.settings.style_weight, combination.settings.steps) for combination in combinations] == [
        (weight, steps) for weight in (0.01, 1) for steps in (5, 6, 7)
    ]
    assert {(combination.settings.size, combination.settings.seed) for combination in combinations} == {(64, 3)}
    assert (combinations[0].title, combinations[0].stem) == ("style_weight=0.01, steps=5", "style_weight=0.01_steps=5")


@pytest.mark.parametrize("name", ["style_layers", "style-layers", "style-layer", "style_layer"])
def test_layers_of_a_value_are_joined_by_plus(name):
    one, two = parse_axis(f"{name}=block1_conv1+block2_conv1,block1_conv1=1e+5+block2_pool=2").values
    assert one == {"block1_conv1": 0.5, "block2_conv1": 0.5}
    assert two == {"block1_conv1": 1e5, "block2_pool": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "grid: got ''; give NAME=VALUE,VALUE"),
        ("steps", "grid: got 'steps'; give NAME=VALUE,VALUE"),
        ("=3", "grid: got '=3'; give NAME=VALUE,VALUE"),
        ("steps=", "grid steps: got '', with a value missing"),
        ("steps=1,,2", "grid steps: got '1,,2', with a value missing"),
        ("stile_weight=1", "grid: no setting 'stile_weight'; there are preset, size, "),
        ("a\nb=1", "grid: no setting 'a\\\\nb'"),
        ("steps=three", "grid steps: got 'three'; input should be a valid integer"),
        ("steps=1_0", "grid steps: got '1_0'; input should be a valid integer"),
        ("strength=50%", "grid strength: got '50%'; input should be a valid number"),
        ("strength=٠.٥", "grid strength: got '٠.٥'; input should be a valid number"),
        ("style_layers=block1_conv1=1_0", "grid style_layers.block1_conv1: got '1_0'; input should be a valid"),
        ("depth=12", "grid depth: got '12'; input should be 8 or 16"),
        ("steps=1.5", "grid steps: got '1.5'; input should be a valid integer"),
        ("steps=10,0", "grid steps: got '0'; input should be greater than or equal to 1"),
        ("style_weight=nan", "grid style_weight: got 'nan'; input should be a finite number"),
        ("style_weight=1,1.0", "grid style_weight: got 1 twice; give each value once"),
        ("optimizer=adm", "grid optimizer: got 'adm'; input should be 'adam', 'lbfgs' or 'keras-adam'"),
        ("style_layers=block1_conv1+block9", "grid style_layers: no layer 'block9' in VGG19; did you mean "),
        ("preset=keras-1,kears", "grid preset: unknown preset 'kears'; available: painterly, "),
    ],
)
def test_invalid_axes_are_refused_in_one_line(text, message):
    with pytest.raises(SettingError) as caught:
        parse_axis(text)
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()


def test_python_values_are_accepted_and_validated():
    assert make_axis("content_layers", [{"block1_conv1": 2}, ["block2_conv1"]]).values[1] == {"block2_conv1": 1}
    for values in ("adam", 3, [], {"a": 1}):
        with pytest.raises(SettingError, match="grid optimizer: got "):
            make_axis("optimizer", values)


def test_a_grid_that_contradicts_itself_is_refused():
    steps = parse_axis("steps=1,2")
    for axes, fixed, message in (
        ((), {}, "the grid is empty"),
        ((steps, steps), {}, "varies steps twice"),
        ((steps,), {"steps": 3}, "steps: got 3, but the grid varies it"),
        ((make_axis("seed", range(1001)),), {}, "has 1001 combinations; give 1000 at most"),
    ):
        with pytest.raises(SettingError, match=message):
            Grid(axes, Settings(), fixed)


def test_presets_can_be_varied_and_fixed_settings_take_precedence():
    one, two = Grid((parse_axis("preset=keras-1,gatys-2015"),), Settings(seed=9), {"steps": 7}).combinations()
    assert one.settings == preset("keras-1").replace(steps=7)
    assert two.settings == preset("gatys-2015").replace(steps=7)


def test_file_names_are_short_portable_and_unique():
    names = ["a/b.png", "a b.png", "a:b.png", "a-b.png", "\N{ARTIST PALETTE}.png", "x" * 300, "x" * 301, "ä.png"]
    stems = [combination.stem for combination in Grid((make_axis("init", names),), Settings()).combinations()]
    assert len(set(stems)) == len(names)
    assert all(len(stem) <= 120 and stem.isascii() and not set(stem) & set('/\\:*?"<>| ') for stem in stems)


def test_the_keras_study_is_its_five_presets():
    axes, base = prepared_grid("keras-study")
    combinations = Grid(axes, base).combinations()
    assert [combination.settings for combination in combinations] == [preset(f"keras-{run}") for run in range(1, 6)]
    assert [combination.title for combination in combinations] == [f"preset=keras-{run}" for run in range(1, 6)]


def test_figure_3_adds_layers_downwards_and_content_weight_to_the_right():
    axes, base = prepared_grid("figure-3")
    combinations = Grid(axes, base).combinations()
    assert base == preset("gatys-2015")
    assert len(combinations) == 20
    for index, combination in enumerate(combinations):
        several = index // 4 + 1
        ratio = combination.settings.content_weight / combination.settings.style_weight
        assert combination.settings.style_layers == pytest.approx(dict.fromkeys(LAYERS[:several], 1 / several))
        assert ratio == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2][index % 4])


def test_an_unknown_prepared_sweep_is_refused():
    with pytest.raises(SettingError, match=r"no prepared sweep 'figure3'; there are figure-3, keras-study"):
        prepared_grid("figure3")
