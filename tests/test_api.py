import dataclasses
import json
import threading
from pathlib import Path

import pytest
import torch

import impasto
from impasto import Picture, Run, Settings, api, events, load, reporting
from impasto.errors import RecipeError, SettingError
from impasto.images.loading import read_recipe
from impasto.images.recipe import Recipe
from impasto.optimize.result import result_of
from impasto.optimize.spec import make_spec
from impasto.version import __version__
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=4)
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def vgg(narrow_weights: Path) -> VGG19:
    return VGG19.load(narrow_weights, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def style(style_image: Path) -> Path:
    """The file of the style image."""
    return style_image


# -- one call --


def test_stylize_takes_files_or_pictures_and_one_style_or_several(content_image: Path, style: Path, vgg: VGG19) -> None:
    by_path = impasto.stylize(content_image, style, SMALL, vgg=vgg)
    by_name = impasto.stylize(str(content_image), [str(style)], SMALL, vgg=vgg)
    by_picture = impasto.stylize(load(content_image), (load(style),), SMALL, vgg=vgg)
    assert (by_path.width, by_path.height) == (32, 24)
    assert torch.equal(by_path.tensor, by_name.tensor)
    assert torch.equal(by_path.tensor, by_picture.tensor)
    both = impasto.stylize(content_image, [style, content_image], SMALL, vgg=vgg)
    assert not torch.equal(both.tensor, by_path.tensor)
    assert [each["name"] for each in both.recipe["styles"]] == [style.name, content_image.name]


def test_texture_starts_from_noise_unless_an_initial_image_is_given(
    content_image: Path, style: Path, vgg: VGG19
) -> None:
    noise = impasto.texture(style, SMALL, vgg=vgg)
    assert (noise.width, noise.height) == (32, 25)
    assert (noise.recipe["task"], noise.recipe["settings"]["init"], noise.recipe["content"]) == (
        "texture",
        "noise",
        None,
    )
    from_image = impasto.texture(style, SMALL, init=content_image, vgg=vgg)
    assert from_image.recipe["init"]["name"] == content_image.name
    assert not torch.equal(noise.tensor, from_image.tensor)


def test_a_reconstruction_uses_the_requested_layer_only(content_image: Path, vgg: VGG19) -> None:
    seen: list[events.Event] = []
    settings = SMALL.replace(steps=40)
    found = impasto.reconstruct(content_image, "block1_conv2", settings, vgg=vgg, on_event=seen.append)
    assert found.recipe["task"] == "reconstruct"
    assert found.recipe["settings"]["content_layers"] == {"block1_conv2": 1.0}
    assert found.recipe["loss"]["total"] == pytest.approx(12 * found.recipe["loss"]["content"])  # at coarse scales
    assert found.recipe["loss"]["content"] < 0.1 * seen[2].content
    content = Run(load(content_image), [], SMALL, vgg=vgg).picture.tensor
    target, reached = (
        vgg.configured(pooling="max", padding="replicate")(each[None], ["block1_conv2"])
        for each in (content, found.tensor)
    )
    difference = (target["block1_conv2"] - reached["block1_conv2"]).square().mean()
    assert float(difference) == pytest.approx(found.recipe["loss"]["content"], rel=0.2)  # less the rounding to 8 bits


def test_init_in_the_settings_may_name_a_file(content_image: Path, style: Path, vgg: VGG19) -> None:
    named = impasto.stylize(content_image, style, SMALL.replace(init=str(style)), vgg=vgg)
    passed = impasto.stylize(content_image, style, SMALL, init=load(style), vgg=vgg)
    assert torch.equal(named.tensor, passed.tensor)
    assert named.recipe["settings"]["init"] == passed.recipe["settings"]["init"] == style.name


# -- settings as keywords --


def test_settings_are_given_as_keywords_by_preset_or_as_an_object(content_image: Path, style: Path, vgg: VGG19) -> None:
    calls = {
        "stylize": lambda *settings, **changes: impasto.stylize(content_image, style, *settings, vgg=vgg, **changes),
        "texture": lambda *settings, **changes: impasto.texture(style, *settings, vgg=vgg, **changes),
        "reconstruct": lambda *settings, **changes: impasto.reconstruct(
            content_image, "block1_conv2", *settings, vgg=vgg, **changes
        ),
        "create_run": lambda *settings, **changes: api.complete(
            api.create_run(content_image, style, *settings, vgg=vgg, **changes)
        ),
    }
    for name, call in calls.items():
        by_keyword = call(size=32, steps=2, strength=0.3)
        by_object = call(impasto.preset().replace(size=32, steps=2, strength=0.3))
        over_object = call(SMALL.replace(strength=0.3), steps=2)
        by_preset = call("quick", size=32, steps=2, strength=0.3)
        assert torch.equal(by_keyword.tensor, by_object.tensor), name
        assert torch.equal(by_keyword.tensor, over_object.tensor), name
        assert by_keyword.recipe == by_object.recipe == over_object.recipe
        assert by_preset.recipe["settings"]["last_scale"] == impasto.preset("quick").last_scale != 65535
        with pytest.raises(SettingError, match="unknown setting 'sise'; available: size"):
            call(sise=3)


def test_init_is_an_image_or_the_name_of_one_that_is_made(content_image: Path, style: Path, vgg: VGG19) -> None:
    for init in ("noise", "content"):
        by_keyword = impasto.stylize(content_image, style, SMALL, init=init, vgg=vgg)
        by_setting = impasto.stylize(content_image, style, SMALL.replace(init=init), vgg=vgg)
        assert torch.equal(by_keyword.tensor, by_setting.tensor)
        assert by_keyword.recipe == by_setting.recipe


# -- cancellation and progress --


@pytest.mark.parametrize("kind", ["function", "event", "event that was set before"])
def test_a_run_that_is_canceled_returns_the_image_so_far(
    kind: str, content_image: Path, style: Path, vgg: VGG19
) -> None:
    done, event = [], threading.Event()

    def on_event(happened: events.Event) -> None:
        done.append(happened)
        if isinstance(happened, events.Stepped) and happened.step == 1:
            event.set()

    if kind == "event that was set before":
        event.set()
    cancel = event.is_set if kind == "function" else event
    picture = impasto.stylize(
        content_image, style, SMALL.replace(size=64, first_scale=32), vgg=vgg, cancel=cancel, on_event=on_event
    )
    steps = 1 if kind == "event that was set before" else 2
    assert picture.recipe["steps_done"] == steps
    assert (picture.width, picture.height) == (32, 24)
    assert (done[-1].steps, done[-1].complete) == (steps, False)
    run = api.create_run(content_image, style, SMALL.replace(size=64, first_scale=32), vgg=vgg)
    for step in run:
        if step.number == steps - 1:
            break
    assert torch.equal(run.picture.tensor, picture.tensor)


def test_textures_and_reconstructions_can_be_canceled(content_image: Path, style: Path, vgg: VGG19) -> None:
    for picture in (
        impasto.texture(style, SMALL, vgg=vgg, cancel=lambda: True),
        impasto.reconstruct(content_image, settings=SMALL, vgg=vgg, cancel=lambda: True),
    ):
        assert picture.recipe["steps_done"] == 1


def test_progress_changes_neither_events_nor_result(
    content_image: Path, style: Path, vgg: VGG19, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, loud = [], []
    plain = impasto.stylize(content_image, style, SMALL, vgg=vgg, on_event=lambda it: quiet.append(type(it)))
    assert capsys.readouterr() == ("", "")
    shown = impasto.stylize(
        content_image, style, SMALL, vgg=vgg, on_event=lambda it: loud.append(type(it)), progress=True
    )
    assert torch.equal(plain.tensor, shown.tensor)
    assert quiet == loud
    out, err = capsys.readouterr()
    assert out == ""
    assert "step 4/4" in " ".join(err.split())


# -- events --


def test_the_events_of_a_run(content_image: Path, style: Path, vgg: VGG19) -> None:
    seen: list[events.Event] = []
    picture = impasto.stylize(content_image, style, SMALL, vgg=vgg, on_event=seen.append)
    assert [type(event).__name__ for event in seen] == ["Began", "Planned", *["Stepped"] * 4, "Ended"]
    began, planned, *steps, ended = seen
    assert (began.task, began.width, began.height, began.steps) == ("stylize", 32, 24, 4)
    assert (began.device, began.precision, began.weights) == ("cpu", "float32", "file")
    (scale,) = planned.scales
    assert scale == {"width": 32, "height": 24, "steps": 4, "seconds": planned.seconds, "strip": None}
    assert planned.seconds > 0
    assert [step.step for step in steps] == [0, 1, 2, 3]
    assert steps[0].content == 0
    assert (ended.steps, ended.complete) == (4, True)
    assert {name: getattr(ended, name) for name in picture.recipe["loss"]} == picture.recipe["loss"]
    assert json.loads(json.dumps([event.as_dict() for event in seen], allow_nan=False))


def test_a_run_that_stops_at_a_coarse_scale_says_so(content_image: Path, style: Path, vgg: VGG19) -> None:
    run = api.create_run(content_image, style, SMALL.replace(size=64), vgg=vgg)
    assert result_of(run).notes == ("identical to the initial image",)
    run = api.create_run(content_image, style, SMALL.replace(size=64, first_scale=32), vgg=vgg)
    next(iter(run))
    stopped = result_of(run)
    assert stopped.notes == ("stopped at the 32x24 scale, before 64x48",)
    assert (stopped.width, stopped.height) == (32, 24)


def test_style_transfer_without_a_style_image_is_refused(content_image: Path, vgg: VGG19) -> None:
    with pytest.raises(SettingError, match=r"^styles: got none; give a style image"):
        impasto.stylize(content_image, [], SMALL, vgg=vgg)


def test_a_run_does_not_use_the_callers_random_numbers(content_image: Path, style: Path, vgg: VGG19) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    impasto.stylize(content_image, style, SMALL.replace(init="noise"), vgg=vgg, on_event=lambda _: None)
    assert torch.equal(torch.rand(3), expected)


def test_events_do_not_change_the_result(content_image: Path, style: Path, vgg: VGG19) -> None:
    with_events = impasto.stylize(content_image, style, SMALL, vgg=vgg, on_event=lambda _: None)
    assert torch.equal(with_events.tensor, impasto.stylize(content_image, style, SMALL, vgg=vgg).tensor)


def test_notes_on_the_inputs_come_first(content_image: Path, style: Path, vgg: VGG19) -> None:
    noted = dataclasses.replace(load(content_image), notes=("its color profile is damaged: assumed sRGB",))
    seen: list[events.Event] = []
    impasto.stylize(noted, style, SMALL, vgg=vgg, on_event=seen.append)
    assert seen[0] == events.Noted("photo.png: its color profile is damaged: assumed sRGB")


def test_a_result_identical_to_the_initial_image_is_noted(content_image: Path, vgg: VGG19) -> None:
    seen: list[events.Event] = []
    picture = impasto.stylize(content_image, content_image, SMALL, vgg=vgg, on_event=seen.append)
    assert picture.notes == ("identical to the initial image",)
    assert events.Noted(picture.notes[0]) in seen
    assert impasto.stylize(content_image, content_image, SMALL.replace(init="noise"), vgg=vgg).notes == ()


def test_the_result_of_an_interrupted_run_is_marked_as_incomplete(content_image: Path, style: Path, vgg: VGG19) -> None:
    run = api.create_run(content_image, style, SMALL, vgg=vgg)
    next(iter(run))
    picture = result_of(run)
    assert picture.recipe["steps_done"] == 1
    (ended,) = reporting.end_events(run, picture)
    assert (ended.steps, ended.complete) == (1, False)


# -- the recipe --


def test_the_recipe_holds_everything_that_is_needed_to_repeat_the_run(
    content_image: Path, style: Path, vgg: VGG19
) -> None:
    settings = SMALL.replace(seed=5, style_layers=["block1_conv2", "block2_conv1=0.3"], init=str(style))
    recipe = impasto.stylize(content_image, [style, content_image], settings, vgg=vgg).recipe
    assert set(recipe) == set(Recipe.model_fields)
    parsed = Recipe.parse(recipe, "out.png")
    assert parsed.settings == settings.replace(init=style.name)
    assert (parsed.content.name, parsed.content.sha256) == (content_image.name, load(content_image).sha256)
    assert [each.sha256 for each in parsed.styles] == [load(style).sha256, load(content_image).sha256]
    assert parsed.init.sha256 == load(style).sha256
    assert (parsed.weights, parsed.device, parsed.precision) == (vgg.sha256, "cpu", "float32")
    assert (parsed.impasto, parsed.torch, parsed.threads) == (__version__, torch.__version__, torch.get_num_threads())


def test_the_recipe_is_json_and_does_not_name_folders_of_the_user(
    content_image: Path, style: Path, vgg: VGG19, tmp_path: Path
) -> None:
    picture = impasto.stylize(content_image, style, SMALL.replace(init=str(style)), vgg=vgg)
    text = json.dumps(picture.recipe, allow_nan=False)
    for folder in (content_image.parent, style.parent, Path.home(), Path.cwd()):
        assert str(folder) not in text
    picture.save(tmp_path / "out.png")
    assert read_recipe(tmp_path / "out.png") == json.loads(text)


def test_the_recipes_loss_is_that_of_the_saved_picture(
    content_image: Path, style: Path, vgg: VGG19, tmp_path: Path
) -> None:
    run = api.create_run(content_image, style, SMALL, vgg=vgg)
    picture = api.complete(run)
    picture.save(tmp_path / "out.png")
    assert run.evaluate(load(tmp_path / "out.png")).to_floats() == picture.recipe["loss"]


def test_a_picture_without_a_file_has_an_empty_name_in_the_recipe(style: Path, vgg: VGG19) -> None:
    recipe = impasto.stylize(Picture(torch.rand(3, 30, 40)), style, SMALL, vgg=vgg).recipe
    assert recipe["content"] == {"name": "", "sha256": ""}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"settings": {"steps": 0}}, "steps: got '0'"),
        ({"settings": {"self": 1}}, "unknown setting 'self'"),
        ({"settings": {"size": 10**5000}}, "size: got 'a number with thousands of digits'"),
        ({"steps_done": -1}, "steps_done: got '-1'"),
        ({"task": "delete"}, "task: got 'delete'"),
        ({"styles": [{"name": "x", "sha256": "../../x"}]}, "styles.0.sha256: got '../../x'"),
        ({"device": "cuda:7\n"}, "device: got "),
        ({"loss": {"total": "much"}}, "loss.total: got 'much'"),
    ],
)
def test_a_recipe_that_was_tampered_with_is_refused_in_one_line(
    change: dict[str, object], complaint: str, content_image: Path, style: Path, vgg: VGG19
) -> None:
    recipe = impasto.stylize(content_image, style, SMALL.replace(steps=1), vgg=vgg).recipe
    with pytest.raises(RecipeError) as caught:
        Recipe.parse({**recipe, **change}, "out.png")
    assert str(caught.value).startswith(f"out.png: its recipe cannot be used ({complaint}")
    assert "\n" not in str(caught.value)


def test_a_recipe_of_another_version_that_cannot_be_used_is_said_to_be_so(
    content_image: Path, style: Path, vgg: VGG19
) -> None:
    recipe = impasto.stylize(content_image, style, SMALL.replace(steps=1), vgg=vgg).recipe
    other = {**recipe, "impasto": "9.9"}
    assert Recipe.parse(other, "out.png").impasto == "9.9"
    with pytest.raises(RecipeError) as caught:
        Recipe.parse({**other, "settings": {"sharpness": 1}}, "out.png")
    assert "unknown setting 'sharpness'" in str(caught.value)
    advice = f"; it was made by impasto 9.9, this is {impasto.__version__}: use that, or start over"
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps", "xpu"])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_recipe_may_name_any_kind_of_device_and_precision(
    device: str, precision: str, content_image: Path, style: Path, vgg: VGG19
) -> None:
    recipe = impasto.stylize(content_image, style, SMALL.replace(steps=1), vgg=vgg).recipe
    parsed = Recipe.parse({**recipe, "device": device, "precision": precision}, "out.png")
    assert (parsed.device, parsed.precision) == (device, precision)
    assert impasto.Overrides().where(parsed) == (device, precision)
    assert impasto.Overrides("cuda:1").where(parsed) == ("cuda:1", precision)


def test_a_run_on_the_second_gpu_is_recorded_without_its_number_and_starts_fast_there(
    content_image: Path, style: Path, vgg: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = vgg.configured(pooling="max", padding="zeros")
    second.device, second.tf32 = torch.device("cuda:1"), True
    spec = make_spec("stylize", SMALL, {}, [], second)
    assert (spec["device"], spec["precision"]) == ("cuda", "tf32")
    asked = []
    monkeypatch.setattr(api, "FastNetwork", lambda *where: asked.append(where))
    monkeypatch.setattr(api, "fast", lambda content, *_, **__: content)
    monkeypatch.setattr(api, "Run", lambda *_, **__: None)
    api.create_run(content_image, style, SMALL.replace(init="fast"), vgg=second)
    assert asked == [("cuda:1", "tf32")]


def test_an_unknown_layer_to_reconstruct_is_refused_before_any_work(content_image: Path, vgg: VGG19) -> None:
    with pytest.raises(SettingError, match=r"did you mean block4_conv2\?"):
        impasto.reconstruct(content_image, "blok4_conv2", vgg=vgg)


# -- with the real weights --


@pytest.fixture(scope="module")
def procedural() -> tuple[Picture, Picture]:
    names = ("procedural_photo_96.png", "procedural_painting_96.png")
    content_image, style_image = (load(HERE / "parity" / name) for name in names)
    return content_image, style_image


@pytest.fixture(scope="module")
def bundled() -> VGG19:
    return VGG19.load("bundled", device="cpu", precision="float32", engine="torch")


@pytest.mark.weights
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "keras-adam"])
def test_the_saved_image_has_the_optimized_loss(
    optimizer: str, bundled: VGG19, procedural: tuple[Picture, Picture], tmp_path: Path
) -> None:
    run = Run(procedural[0], [procedural[1]], Settings(size=64, steps=15, optimizer=optimizer, average=0), vgg=bundled)
    totals = [float(step.terms.total) for step in run]
    last = float(run.scale_run.objective(run.scale_run.optimizer.image).total)  # what one more step would log
    result_of(run).save(tmp_path / "out.png")
    saved = float(run.evaluate(load(tmp_path / "out.png")).total)
    assert saved == pytest.approx(last, rel=0.01)
    assert saved < totals[-1] < 0.5 * totals[0]


@pytest.mark.weights
def test_the_gradient_in_bfloat16_is_that_in_float32(bundled: VGG19, procedural: tuple[Picture, Picture]) -> None:
    half = VGG19(bundled.kernels, dtype=torch.bfloat16)
    gradients, totals = [], []
    for vgg in (bundled, half):
        run = Run(procedural[0], [procedural[1]], Settings(size=96, init="noise"), vgg=vgg)
        terms, gradient = run.scale_run.objective.value_and_grad(run.initial_image)
        gradients.append(gradient.flatten())
        totals.append(float(terms.total))
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.99
    assert totals[1] == pytest.approx(totals[0], rel=0.02)
