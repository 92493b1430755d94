"""A result is repeated from its recipe; a recipe is untrusted."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.jobs import rerun


@pytest.fixture
def repeat(impasto, narrow_weights, tmp_path, content_image, style_image):
    """Rerun a result from the two pictures, or from what lies in `places`; what a user sees."""

    def run(result, *arguments, places=(content_image, style_image)):
        flags = [] if "-o" in arguments else ["-o", tmp_path / "again.png"]
        return impasto("rerun", result, *places, *flags, "--weights", narrow_weights, *arguments)

    return run


@pytest.fixture(scope="module")
def made():
    """Bytes of the result of a run without options, once there is one."""
    return []


@pytest.fixture
def forge(stylize, made, out, tmp_path):
    """A result whose recipe was changed by hand: `out`, or that of a run without options."""

    def make(change):
        if made and not out.exists():
            out.write_bytes(made[0])
        if not out.exists():
            assert stylize().status == 0
            made.append(out.read_bytes())
        with Image.open(out) as image:
            recipe = json.loads(image.info["impasto"])
            text = change(recipe)
            info = PngInfo()
            info.add_itxt("impasto", text if isinstance(text, str) else json.dumps(recipe))
            image.save(tmp_path / "forged.png", pnginfo=info)
        return tmp_path / "forged.png"

    return make


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_a_rerun_gives_the_same_pixels(suffix, stylize, repeat, out, pixels):
    first, second = out.with_suffix(suffix), out.with_name(f"again{suffix}")
    assert stylize("-o", first, "--init", "noise").status == 0
    outcome = repeat(first, "-o", second)
    assert outcome.status == 0
    assert np.array_equal(pixels(first), pixels(second))


def test_an_upsampled_result_is_repeated(stylize, repeat, out, tmp_path, pixels):
    assert stylize("--size", 64, "--last-scale", 32).status == 0
    assert repeat(out).status == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "again.png"))
    assert max(pixels(out).shape) == 64


def test_a_rerun_finds_its_inputs_beside_the_result_or_in_folders_or_renamed(
    run_small, repeat, content_image, style_image, tmp_path
):
    home = tmp_path / "home"
    home.mkdir()
    for name, picture in (("a.png", content_image), ("b.png", style_image)):
        (home / name).write_bytes(picture.read_bytes())
    assert run_small("stylize", home / "a.png", home / "b.png", "-o", home / "out.png").status == 0
    assert repeat(home / "out.png", places=()).status == 0
    os.rename(home / "a.png", home / "renamed.png")
    assert "its input 'a.png' (SHA-256 " in repeat(home / "out.png", "--overwrite", places=()).complaint()
    assert repeat(home / "out.png", "--overwrite", places=[home / "renamed.png"]).status == 0
    os.rename(home / "out.png", tmp_path / "moved.png")
    assert repeat(tmp_path / "moved.png", "--overwrite", places=[home, home / "renamed.png"]).status == 0


@pytest.mark.parametrize(
    "command",
    [
        "texture PAINTING",
        "reconstruct PHOTO --layer block2_conv1",
        "stylize PHOTO PAINTING PAINTING --init PAINTING --optimizer adam --style-scale 0.8",
    ],
)
def test_a_run_of_any_kind_is_repeated(command, request, run_small, repeat, pixels):
    out = request.getfixturevalue("out")
    named = {"PHOTO": request.getfixturevalue("content_image"), "PAINTING": request.getfixturevalue("style_image")}
    assert run_small(*(named.get(word, word) for word in command.split())).status == 0
    assert repeat(out).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


def test_a_rerun_of_a_rerun_gives_the_same_recipe(stylize, repeat, impasto, out):
    assert stylize().status == 0
    assert repeat(out).status == 0
    assert impasto("inspect", out).out == impasto("inspect", out.with_name("again.png")).out


def test_the_demo_is_repeated_from_the_bundled_images(run_small, repeat, out):
    assert run_small("demo").status == 0
    assert repeat(out).status == 0


def test_an_interrupted_run_is_repeated_up_to_its_last_step(forge, stylize, repeat, out, pixels):
    assert stylize("--optimizer", "adam").status == 0
    forged = forge(lambda recipe: recipe["settings"].update(steps=1000))
    assert repeat(forged).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


@pytest.mark.parametrize(("old", "new"), [("moments", "wasserstein"), ("neighbours", "nearest")])
def test_a_recipe_with_the_former_name_of_a_style_loss_is_repeated(old, new, forge, stylize, repeat, out, pixels):  # noqa: PLR0917
    assert stylize("--style-loss", new).status == 0
    assert repeat(forge(lambda recipe: recipe["settings"].update(style_loss=old))).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


def test_a_recipe_from_before_full_steps_scale_has_all_its_steps(forge, stylize, repeat, out, pixels):
    assert stylize("--size", 140, "--full-steps-scale", 512, "--steps", 32).status == 0
    assert repeat(forge(lambda recipe: recipe["settings"].pop("full_steps_scale"))).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


def test_a_recipe_from_before_face_care_treats_faces_like_the_rest(forge, repeat, impasto, small, out, pixels):  # noqa: PLR0917
    flags = [word for flag in {**small, "--size": 64}.items() for word in flag]
    assert impasto("demo", "-o", out, "--faces", "off", *flags).status == 0
    assert repeat(forge(lambda recipe: recipe["settings"].__delitem__("faces"))).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


@pytest.mark.parametrize("setting", ["adaptive_content", "grain_weight"])
def test_a_recipe_from_before_a_setting_is_repeated_without_it(setting, forge, stylize, repeat, out, pixels):  # noqa: PLR0917
    assert stylize(f"--{setting.replace('_', '-')}", 0).status == 0
    assert repeat(forge(lambda recipe: recipe["settings"].pop(setting))).status == 0
    assert np.array_equal(pixels(out), pixels(out.with_name("again.png")))


def test_device_and_precision_can_be_others_than_the_recipes(forge, repeat, impasto, tmp_path):
    forged = forge(lambda recipe: recipe.update(device="mps", precision="bfloat16"))
    assert repeat(forged, "--device", "cpu", "--precision", "float32").status == 0
    output = json.loads(impasto("inspect", tmp_path / "again.png").out)
    assert (output["device"], output["precision"]) == ("cpu", "float32")


def test_a_rerun_does_not_overwrite_its_inputs(stylize, repeat, content_image, style_image, out):
    assert stylize().status == 0
    for precious in (out, content_image, style_image):
        folders = [content_image.parent, style_image.parent]
        complaint = repeat(out, "-o", precious, "--overwrite", places=folders).complaint()
        assert "is also an input" in complaint


def test_other_weights_than_the_recipes_are_refused(forge, repeat):
    forged = forge(lambda recipe: recipe.update(weights="0" * 64))
    assert "was made with weights of SHA-256 000000000000..." in repeat(forged).complaint()


def test_a_result_does_not_name_folders_of_the_user(run_small, content_image, style_image, tmp_path):
    secret = tmp_path / "secret-folder"
    secret.mkdir()
    for name, picture in (("a.png", content_image), ("b.png", style_image), ("c.png", style_image)):
        (secret / name).write_bytes(picture.read_bytes())
    (secret / "mine.toml").write_text("[settings]\nseed = 3\n")
    flags = ["--init", secret / "c.png", "--preset", secret / "mine.toml", "-o", secret / "out.png"]
    assert run_small("stylize", secret / "a.png", secret / "b.png", *flags).status == 0
    data = (secret / "out.png").read_bytes()
    assert b'"init":"c.png"' in data
    assert b"secret" not in data
    assert os.fsencode(tmp_path.name) not in data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["settings"].update(steps=10**18), "steps: got '1000000000000000000'; input should be less"),
        (lambda r: r.update(steps_done=10**18), "steps_done: got 1000000000000000000, more than its 3 steps"),
        (lambda r: r.update(steps_done=-1), "steps_done: got '-1'"),
        (lambda r: r["settings"].update(size=10**9), "size: got '1000000000'"),
        (lambda r: r["settings"].update(size=[[[[3]]]]), "size: got '[[[[3]]]]'; input should be a valid integer"),
        (lambda r: r["settings"].update(style_layers={"../../etc": 1}), "no layer '../../etc' in VGG19"),
        (lambda r: r["settings"].update(style_layers=3), "style_layers: got '3'"),
        (lambda r: r["settings"].update(evil="x"), "unknown setting 'evil'; available:"),
        (lambda r: r["settings"].update(content_weight="1e400"), "content_weight: got '1e400'"),
        (lambda r: r["settings"].update(init="/etc/passwd"), "its recipe does not name the initial image"),
        (lambda r: r.update(init={"name": "/etc/passwd", "sha256": "0" * 64}), "its input '/etc/passwd'"),
        (lambda r: r["content"].update(name="../" * 300, sha256="0" * 64), "its input '../../"),
        (lambda r: r["content"].update(name="x" * 400, sha256="0" * 64), "was not found"),
        (lambda r: r["content"].update(name="a\0b", sha256="0" * 64), "was not found"),
        (lambda r: r["content"].update(name="two\nlines", sha256="0" * 64), "was not found"),
        (lambda r: r["content"].update(name="x" * 10**5), "content.name: got 'xxx"),
        (lambda r: r["content"].update(sha256="../x"), "content.sha256: got '../x'"),
        (lambda r: r.update(styles=[r["content"]] * 1001), "styles: got "),
        (lambda r: r.update(task="format my disk"), "task: got 'format my disk'"),
        (lambda r: r.update(device="cuda:9; rm"), "device: got 'cuda:9; rm'"),
        (lambda r: r.update(threads="many"), "threads: got 'many'"),
        (lambda r: r.update(content=None, styles=[]), "no image given"),
        (lambda r: r.update(loss={"x" * 10**5: "y"}), "loss.xxx"),
        (lambda r: r.pop("settings"), "settings: got "),
        (lambda r: "{}", "impasto: got '{}'; field required"),
        (lambda r: "[]", "its recipe is a list, not an object"),
        (lambda r: "[" * 10**5, "its recipe is damaged"),
        (lambda r: '{"a": NaN}', "its recipe is damaged"),
        (lambda r: '{"a": ' + "9" * 5000 + "}", "its recipe is damaged"),
        (lambda r: "not JSON", "its recipe is damaged"),
        (lambda r: json.dumps({"a": "x" * 10**6}), "characters; more than 1000000 are not read"),
    ],
)
def test_a_hostile_recipe_is_refused_in_a_line(change, said, forge, repeat):
    complaint = repeat(forge(change)).complaint()
    assert said in complaint
    assert len(complaint) < 3000
    assert "forged.png: " in complaint or "init: got" in complaint or "no image given" in complaint


def test_the_threads_option_overrides_the_recipe(forge, repeat):
    forged = forge(lambda recipe: recipe.update(threads=1))
    assert "(2 threads)" in repeat(forged, "--overwrite", "--threads", 2).err


def test_invalid_numbers_of_threads_in_a_recipe_are_ignored(forge, repeat):
    for number in (-5, 0):
        forged = forge(lambda recipe, number=number: recipe.update(threads=number))
        assert repeat(forged, "--overwrite").status == 0


def test_each_input_is_hashed_once(  # noqa: PLR0917
    stylize, repeat, out, content_image, style_image, monkeypatch
):
    assert stylize().status == 0
    hashed = []
    sha256_of = rerun.sha256_of
    monkeypatch.setattr(rerun, "sha256_of", lambda path: (hashed.append(path), sha256_of(path))[1])
    assert repeat(out, places=[content_image.parent, style_image.parent]).status == 0
    assert hashed == [content_image, style_image]
