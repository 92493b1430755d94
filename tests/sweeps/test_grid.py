"""Grids: what a user may vary, and how the combinations are called."""

import pytest

from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.presets import preset
from impasto.sweeps.grid import Grid, make_axis, parse_axis, prepared_grid

LAYERS = [f"block{block}_conv1" for block in range(1, 6)]


def test_every_combination_is_made_the_last_axis_varying_fastest():
    grid = Grid((parse_axis("style-weight=1e-2,1"), parse_axis("steps=5,6,7")), Settings(size=64), {"seed": 3})
    made = grid.combinations()
    assert [(each.settings.style_weight, each.settings.steps) for each in made] == [
        (weight, steps) for weight in (0.01, 1) for steps in (5, 6, 7)
    ]
    assert {(each.settings.size, each.settings.seed) for each in made} == {(64, 3)}
    assert (made[0].title, made[0].stem) == ("style_weight=0.01, steps=5", "style_weight=0.01_steps=5")


@pytest.mark.parametrize("name", ["style_layers", "style-layers", "style-layer", "style_layer"])
def test_layers_of_a_value_are_joined_by_plus(name):
    one, two = parse_axis(f"{name}=block1_conv1+block2_conv1,block1_conv1=1e+5+block2_pool=2").values
    assert one == {"block1_conv1": 0.5, "block2_conv1": 0.5}
    assert two == {"block1_conv1": 1e5, "block2_pool": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "grid: got ''; give NAME=VALUE,VALUE"),
        ("steps", "grid: got 'steps'; give NAME=VALUE,VALUE"),
        ("=3", "grid: got '=3'; give NAME=VALUE,VALUE"),
        ("steps=", "grid steps: got '', with a value missing"),
        ("steps=1,,2", "grid steps: got '1,,2', with a value missing"),
        ("stile_weight=1", "grid: no setting 'stile_weight'; there are preset, size, "),
        ("a\nb=1", "grid: no setting 'a\\\\nb'"),
        ("steps=three", "grid steps: got 'three'; input should be a valid integer"),
        ("steps=1.5", "grid steps: got '1.5'; input should be a valid integer"),
        ("steps=10,0", "grid steps: got '0'; input should be greater than or equal to 1"),
        ("style_weight=nan", "grid style_weight: got 'nan'; input should be a finite number"),
        ("style_weight=1,1.0", "grid style_weight: got 1 twice; give each value once"),
        ("optimizer=adm", "grid optimizer: got 'adm'; input should be 'adam', 'lbfgs' or 'keras-adam'"),
        ("style_layers=block1_conv1+block9", "grid style_layers: no layer 'block9' in VGG19; did you mean "),
        ("preset=keras-1,kears", "grid preset: unknown preset 'kears'; available: painterly, "),
    ],
)
def test_what_cannot_be_varied_is_refused_in_a_line(text, said):
    with pytest.raises(SettingError) as caught:
        parse_axis(text)
    assert str(caught.value).startswith(said)
    assert str(caught.value).isprintable()


def test_values_of_python_are_taken_too_and_checked():
    assert make_axis("content_layers", [{"block1_conv1": 2}, ["block2_conv1"]]).values[1] == {"block2_conv1": 1}
    for values in ("adam", 3, [], {"a": 1}):
        with pytest.raises(SettingError, match="grid optimizer: got "):
            make_axis("optimizer", values)


def test_a_grid_that_contradicts_itself_is_refused():
    steps = parse_axis("steps=1,2")
    for axes, fixed, said in (
        ((), {}, "the grid is empty"),
        ((steps, steps), {}, "varies steps twice"),
        ((steps,), {"steps": 3}, "steps: got 3, but the grid varies it"),
        ((make_axis("seed", range(1001)),), {}, "has 1001 combinations; give 1000 at most"),
    ):
        with pytest.raises(SettingError, match=said):
            Grid(axes, Settings(), fixed)


def test_presets_can_be_varied_and_what_is_fixed_goes_before_them():
    one, two = Grid((parse_axis("preset=keras-1,gatys-2015"),), Settings(seed=9), {"steps": 7}).combinations()
    assert one.settings == preset("keras-1").replace(steps=7)
    assert two.settings == preset("gatys-2015").replace(steps=7)


def test_file_names_are_short_plain_and_different():
    names = ["a/b.png", "a b.png", "a:b.png", "a-b.png", "\N{ARTIST PALETTE}.png", "x" * 300, "x" * 301, "ä.png"]
    stems = [each.stem for each in Grid((make_axis("init", names),), Settings()).combinations()]
    assert len(set(stems)) == len(names)
    assert all(len(stem) <= 120 and stem.isascii() and not set(stem) & set('/\\:*?"<>| ') for stem in stems)


def test_the_keras_study_is_its_five_presets():
    axes, base = prepared_grid("keras-study")
    made = Grid(axes, base).combinations()
    assert [each.settings for each in made] == [preset(f"keras-{run}") for run in range(1, 6)]
    assert [each.title for each in made] == [f"preset=keras-{run}" for run in range(1, 6)]


def test_figure_3_adds_layers_downwards_and_content_to_the_right():
    axes, base = prepared_grid("figure-3")
    made = Grid(axes, base).combinations()
    assert base == preset("gatys-2015")
    assert len(made) == 20
    for place, each in enumerate(made):
        several = place // 4 + 1
        ratio = each.settings.content_weight / each.settings.style_weight
        assert each.settings.style_layers == pytest.approx(dict.fromkeys(LAYERS[:several], 1 / several))
        assert ratio == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2][place % 4])


def test_an_unknown_prepared_sweep_is_refused():
    with pytest.raises(SettingError, match=r"no prepared sweep 'figure3'; there are figure-3, keras-study"):
        prepared_grid("figure3")
