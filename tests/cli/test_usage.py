"""Errors in the command line and in settings; the help."""

import re
import sys

import pytest

from impasto.cli import option_groups
from impasto.settings.model import Settings
from impasto.version import __version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("stylise", 'Unknown command "stylise". Did you mean "stylize"?'),
        ("stylize", "CONTENT is missing (see `impasto stylize --help`)"),
        ("stylize content.png", "STYLE is missing (see `impasto stylize --help`)"),
        ("stylize content.png style.png", "--output is missing (see `impasto stylize --help`)"),
        ("stylize content.png style.png out.png", "--output is missing (see `impasto stylize --help`)"),
        ("stylize p.png q.png -o", "-o: got no value; give -o=VALUE (see `impasto stylize --help`)"),
        ("stylize p.png q.png -o o.png --sise 3", "Unknown option: --sise. Did you mean --size?"),
        ("stylize p.png q.png -o o.png --no-quiet", "Unknown option: --no-quiet. Did you mean --quiet?"),
        ("stylize p.png q.png -o o.png --size 3 --size 4", "--size specified multiple times (see"),
        ("stylize p.png q.png -o o.png --size 512px", "--size: got '512px'; give a whole number (see"),
        ("stylize p.png q.png -o o.png --quiet=3", "--quiet: got '3'; give the flag alone, without a value (see"),
        ("stylize p.png q.png -o o.png --optimizer adm", 'Invalid value "adm" for --optimizer. Choose from: "adam"'),
        ("stylize p.png q.png -o o.png --device gpu", "device: got 'gpu'; give auto, cuda, mps, "),
        ("rerun p.png -o o.png --preset keras", "Unknown option: --preset"),
        ("info extra", "got 'extra', which is one argument too many (see `impasto info --help`)"),
        ("info --size 9.5", "--size: got '9.5'; give a whole number (see `impasto info --help`)"),
        ("info --size 15", "--size: got '15'; input should be greater than or equal to 16"),
        ("weights dowload", "got 'dowload', which is one argument too many (see `impasto weights --help`)"),
        ("demo --style moss", 'Invalid value "moss" for --style. Choose from: "swirls", "waves", "glass"'),
        ("presets moss", "unknown preset 'moss'; available: painterly, "),
        ("inspect", "RESULT is missing (see `impasto inspect --help`)"),
    ],
)
def test_a_misused_command_is_refused_in_a_line(arguments, said, impasto):
    assert said in impasto(*arguments.split()).complaint()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--steps 0", "--steps: got '0'; input should be greater than or equal to 1"),
        ("--steps 1.5", "--steps: got '1.5'; give a whole number"),
        ("--steps 1e400", "--steps: got '1e400'; give a whole number"),
        ("--steps " + "9" * 5000, "give a whole number"),
        ("--steps 1000000000000000000", "--steps: got '1000000000000000000'; input should be less than or equal to"),
        ("--size 1000000000", "--size: got '1000000000'; input should be less than or equal to 65535"),
        ("--size 16", "photo.png: 40x30 pixels become 16x12, the selected layers need 16 or more"),
        ("--seed -1", "--seed: got '-1'; input should be greater than or equal to 0"),
        ("--content-weight nan", "--content-weight: got 'nan'; input should be a finite number"),
        ("--content-weight 1e400", "--content-weight: got 'inf'; input should be a finite number"),
        ("--content-weight -1", "--content-weight: got '-1.0'; input should be greater than or equal to 0"),
        ("--content-weight=-inf", "--content-weight: got '-inf'; input should be"),
        ("--content-weight 1,5", "--content-weight: got '1,5'; give a number such as 1.5"),
        ("--content-weight 0 --style-weight 0", "raise the content, style or tv weight"),
        ("--adam-beta1 1", "--adam-beta1: got '1.0'; input should be less than 1"),
        ("--learning-rate 0", "--learning-rate: got '0.0'; input should be greater than 0"),
        ("--content-layer block4_conv5", "--content-layer: no layer 'block4_conv5' in VGG19; did you mean block4_conv"),
        ("--style-layer blok1_conv1=2", "--style-layer: no layer 'blok1_conv1' in VGG19; did you mean block1_conv1?"),
        ("--style-layer block1_conv1=x", "--style-layer: block1_conv1: got 'x'; input should be a valid number"),
        ("--style-layer block1_conv1=nan", "--style-layer: block1_conv1: got 'nan'; input should be a finite number"),
        ("--style-layer block1_conv1 --style-layer block1_conv1=2", "a layer is given twice"),
        ("--threads 0", "--threads: got 0; give 1 to 1024"),
        ("--threads 100000", "--threads: got 100000; give 1 to 1024"),
        ("--preview-every 0", "--preview-every: got 0; give 1 or more steps"),
        ("--preset paintrly", "unknown preset 'paintrly'; available: painterly, "),
        ("--preset missing.toml", "preset missing.toml: cannot be read (No such file or directory)"),
        ("--init missing.png", "missing.png: does not exist; check the name"),
        ("--strength 50%", "--strength: got '50%'; give a number such as 0.5 (0 to 1)"),
        ("--adam-beta1 90%", "--adam-beta1: got '90%'; give a number such as 0.5 (0 to below 1)"),
        ("--style-rotation 45°", "--style-rotation: got '45°'; give a number such as 1.5 (-180 to 180)"),
        ("--memory-limit 50%", "--memory-limit: got '50%'; give a size such as 4G or 800M"),
        ("--memory-limit ٣G", "--memory-limit: got '٣G'; give a size such as 4G or 800M"),
        ("--memory-limit 1_000M", "--memory-limit: got '1_000M'; give a size such as 4G or 800M"),
        ("--checkpoint-every ٣s", "--checkpoint-every: got '٣s'; give a time such as 30s, 5m or 1h"),
        ("--depth 16bit", 'Invalid value "16bit" for --depth. Choose from: 8, 16'),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_the_name_of_its_flag(flags, said, stylize, out):
    assert said in stylize(*flags.split()).complaint()
    assert not out.exists()


@pytest.mark.parametrize("number", ["1_0", "٣", "0x10", "1 ", "10px", "1.5.5", "e5"])
@pytest.mark.parametrize(
    "option",
    ["--size", "--seed", "--tv-weight", "--learning-rate", "--depth", "--threads", "--preview-every"],
)
def test_what_is_no_decimal_number_is_refused(option, number, stylize, out):
    complaint = stylize(option, number).complaint()
    assert f"{option}: got {number!r}; give a " in complaint or f'"{number}" for {option}. Choose' in complaint
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("--tv-weight", "1e-3", 0.001),
        ("--tv-weight", "+.5E1", 5),
        ("--style-rotation", "-45.", -45),
        ("--seed", "007", 7),
        ("--depth", "16", 16),
    ],
)
def test_numbers_are_read_in_their_usual_forms(option, text, value, stylize, read_recipe):
    assert stylize(option, text).status == 0
    assert read_recipe()["settings"][option[2:].replace("-", "_")] == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps = ", "not TOML"),
        ('settings.size = "1_00"', "size: got '1_00'; input should be a valid integer"),
        ("[settings]\ncontent_weight = nan", "content_weight: got 'nan'; input should be a finite number"),
        ("[settings]\nstile_weight = 1", "unknown setting 'stile_weight'; available: size, "),
        ("[setings]\nsteps = 1", "unknown entry 'setings'; give description, base, [settings]"),
        ('base = "kears"', "base 'kears' is not a bundled preset; available: painterly, "),
        ("settings = 3", "settings: give a table, [settings]"),
        ("a = " + "[" * 5000, "not TOML"),
    ],
)
def test_a_bad_preset_file_is_named_in_the_line_that_refuses_it(text, said, stylize, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    complaint = stylize("--preset", mine).complaint()
    assert complaint.startswith(f"preset {mine}: ")
    assert said in complaint


def test_a_preset_in_another_encoding_is_refused(stylize, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_bytes('description = "é"'.encode("latin-1"))
    assert "not UTF-8" in stylize("--preset", mine).complaint()


def test_a_complaint_stays_one_line_whatever_is_complained_about(stylize, impasto):
    assert stylize("--style-layer", "block\n\x1b[31m=1").complaint().isprintable()
    assert stylize("--no\nsuch\x1b[2Jflag").complaint().isprintable()
    assert impasto("info", "two\nlines").complaint().isprintable()


def test_no_arguments_print_the_help(impasto):
    outcome = impasto()
    assert outcome.status == 0
    assert outcome.out.startswith("Usage: impasto COMMAND\n")


def test_version_prints_the_version_alone(impasto):
    assert impasto("--version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    "command", ["stylize", "texture", "reconstruct", "demo", "rerun", "sweep", "plot", "compare", "weights", "info"]
)
def test_every_command_explains_itself(command, impasto):
    outcome = impasto(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: impasto {command}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete the working directory of a process")
def test_a_deleted_working_directory_is_reported_in_a_line(stylize, impasto, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = "the working directory is gone (No such file or directory); change to one that exists"
    assert said == stylize("-o", tmp_path / "out.png").complaint()
    for command in ("info", "presets", "weights"):
        assert impasto(command).complaint() == said
    for flag in ("--help", "--version"):
        assert impasto(flag).status == 0


@pytest.mark.parametrize("columns", [0, 1, 2, 5, 10**9])
def test_output_is_readable_at_any_width(columns, impasto, narrow_weights, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    info = ["info", "--size", 64, "--weights", narrow_weights]
    for arguments in (["--help"], ["stylize", "--help"], info, ["presets"], ["weights"]):
        outcome = impasto(*arguments)
        assert (outcome.status, outcome.err) == (0, "")
        assert 15 < max(map(len, outcome.out.splitlines())) <= 1000


@pytest.fixture
def help_of(impasto, monkeypatch):
    """The help of a command on a console so wide that nothing wraps, with single spaces."""

    def read(command):
        monkeypatch.setenv("COLUMNS", "1000")
        return " ".join(impasto(command, "--help").out.split())

    return read


def test_the_help_shows_the_range_and_default_of_a_setting(help_of):
    text = help_of("stylize")
    assert "--size INT Long edge of the output in pixels. [16 to 65535] [default: 512]" in text
    assert "[above 0 to 10] [default: 0.02]" in text
    assert "--content-layer NAME[=WEIGHT]" in text
    assert "[default: block4_conv2=1]" in text


def test_the_help_of_stylize_begins_with_ten_options_and_has_six_more_groups(impasto):
    text = impasto("stylize", "--help").out
    panels = re.findall(r"^╭─ (.+?) ─", text, re.MULTILINE)
    assert panels == ["Arguments", "Options", "Style", "Content", "Scales", "Optimizer and loss", "Output", "Run"]
    main = text.partition("─ Options ─")[2].partition("╰")[0]
    options = "--output --size --strength --style-scale --style-loss --color --steps --mask --keep --preset"
    assert re.findall(r"^│ [* ]*(--[a-z-]+)", main, re.MULTILINE) == options.split()


def test_the_help_shows_the_defaults_of_its_own_command(help_of):
    assert "[default: 320]" in help_of("demo")
    assert "or an image FILE. [default: noise]" in help_of("texture")


def test_every_setting_is_in_one_group_of_the_help():
    grouped = [name for names in option_groups.SETTINGS.values() for name in names]
    assert sorted(grouped) == sorted(Settings.model_fields)
