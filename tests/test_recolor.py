"""The setting `color` of a run, and recoloring of finished images."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import impasto
from impasto import Picture, Run, Settings, api, load
from impasto.errors import PictureError, RecipeError, SettingError
from impasto.images import oklab
from impasto.images.color_transfer import palette, transfer_luminance
from impasto.images.loading import read_recipe
from impasto.images.quantize import Quantization
from impasto.images.recipe import Recipe
from impasto.images.resize import resize
from impasto.jobs import rerun
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=4)
COLORS = ["style", "content", "luminance", "match"]


@pytest.fixture
def start(content_image: Path, style_image: Path, narrow: VGG19):
    """A run of the pair with some settings changed."""

    def begin(*styles: Picture, **changes: object) -> Run:
        return Run(load(content_image), [load(style_image), *styles], SMALL.replace(**changes), vgg=narrow)

    return begin


# -- a run --


def test_content_recolors_the_style_image(start, content_image: Path, style_image: Path) -> None:
    run, plain = start(color="content"), start()
    assert torch.equal(run.inputs.content.tensor, plain.inputs.content.tensor)
    (style,) = (each.picture for each in run.inputs.styles)
    assert torch.allclose(palette(style).mean, palette(load(content_image)).mean, atol=0.02)
    assert (style.name, style.sha256) == (load(style_image).name, load(style_image).sha256)
    assert torch.equal(run.initial_image, plain.initial_image)
    for each in (run, plain):
        list(each)
    assert not torch.equal(run.picture.tensor, plain.picture.tensor)


def test_match_recolors_the_content_image(start, content_image: Path, style_image: Path) -> None:
    run, plain = start(color="match"), start()
    assert torch.equal(run.inputs.styles[0].picture.tensor, plain.inputs.styles[0].picture.tensor)
    assert torch.allclose(
        palette(run.inputs.content).mean, palette(load(style_image)).mean, atol=0.04
    )  # but for colors outside the sRGB gamut
    assert run.inputs.content.sha256 == load(content_image).sha256
    assert torch.equal(run.picture.tensor, run.inputs.content.tensor)
    assert run.equals_initial(run.picture.rounded())
    assert torch.equal(start(color="match", init="noise").initial_image, start(init="noise").initial_image)


def test_match_uses_the_mixture_of_all_style_images(start, content_image: Path) -> None:
    white = Picture(torch.ones(3, 28, 36))
    alone, both = (start(*styles, color="match").inputs.content.tensor.mean() for styles in ((), (white,)))
    assert float(both) > float(alone) + 0.1


def test_luminance_is_the_plain_output_with_the_chroma_of_the_content_image_at_every_scale(start) -> None:
    run, plain = start(color="luminance", size=64, first_scale=32), start(size=64, first_scale=32)
    for step, other in zip(run, plain, strict=True):
        assert step.terms.to_floats() == other.terms.to_floats()  # the optimization is the same
        found, output = step.preview(), other.preview()
        content_image = resize(run.inputs.content.tensor[None], found.height, found.width)[0]
        assert torch.equal(found.tensor, transfer_luminance(output.tensor, content_image))
    lightness = (oklab.from_srgb(each.picture.tensor)[0] for each in (run, plain))
    assert torch.allclose(*lightness, atol=2e-3)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("changes", [{}, {"dither": True}, {"depth": 16}])
def test_the_loss_of_the_recipe_is_that_of_the_saved_picture(color: str, changes, start, tmp_path: Path) -> None:
    run = start(color=color, **changes)
    picture = api.complete(run)
    picture.save(tmp_path / "out.png")
    saved = load(tmp_path / "out.png")
    assert torch.equal(saved.tensor, picture.rounded().tensor)
    assert run.evaluate(saved).to_floats() == picture.recipe["loss"]
    assert {name: picture.recipe["settings"][name] for name in changes} == changes


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("changes", [{}, {"dither": True}, {"depth": 16}])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_a_run_knows_whether_its_image_is_still_the_initial_one(color: str, changes, init: str, start) -> None:
    run = start(color=color, init=init, **changes)
    assert run.equals_initial(run.picture.rounded())
    list(run)
    assert not run.equals_initial(run.picture.rounded())


@pytest.mark.parametrize("color", COLORS)
def test_a_small_run_is_the_beginning_of_a_large_one_in_any_colors(color: str, start) -> None:
    large, small = (start(size=size, first_scale=24, scale_factor=2, color=color) for size in (48, 24))
    for _ in zip(range(4), large, strict=False):
        pass
    list(small)
    torch.testing.assert_close(large.picture.tensor, small.picture.tensor, rtol=0, atol=1e-3)


def test_alpha_is_kept_in_any_colors_and_transparent_pixels_have_no_influence(
    content_image: Path, style_image: Path, narrow
) -> None:
    alpha = torch.ones(1, 30, 40)
    alpha[:, 5:15, 5:15] = 0
    loud = load(content_image).tensor.clone()
    loud[:, 5:15, 5:15] = torch.tensor([1.0, 0, 1]).view(3, 1, 1)
    quiet = torch.where(alpha > 0, loud, 0)
    for color in COLORS:
        runs = [
            Run(Picture(each, alpha), [load(style_image)], SMALL.replace(color=color), vgg=narrow)
            for each in (loud, quiet)
        ]
        one, other = (output_of(run) for run in runs)
        torch.testing.assert_close(one.tensor, other.tensor, rtol=0, atol=1e-3)
        assert one.alpha.shape == (1, 24, 32)
        assert float(one.alpha.min()) < 0.01


def output_of(run: Run) -> Picture:
    list(run)
    return run.picture


@pytest.mark.parametrize("color", ["content", "luminance", "match"])
def test_a_run_without_a_content_or_style_image_has_no_colors_to_choose(
    color, content_image, style_image, narrow
) -> None:
    settings = SMALL.replace(color=color, init="noise")
    with pytest.raises(SettingError, match=f"color: got '{color}' but a texture has no content image"):
        Run(None, [load(style_image)], settings, vgg=narrow)
    if color == "luminance":
        assert Run(load(content_image), [], settings, vgg=narrow).task == "reconstruct"
    else:
        with pytest.raises(SettingError, match="a reconstruction has no style image"):
            Run(load(content_image), [], settings, vgg=narrow)


# -- a finished image --


@pytest.fixture
def result(content_image: Path, style_image: Path, narrow_weights: Path, tmp_path: Path) -> Path:
    """The output of a run in a file."""
    vgg = VGG19.load(narrow_weights, device="cpu", precision="float32")
    impasto.stylize(content_image, style_image, SMALL, vgg=vgg).save(tmp_path / "result.png")
    return tmp_path / "result.png"


def test_recolor_does_afterwards_what_the_setting_does_in_the_run(start, content_image: Path) -> None:
    plain, colored = (output_of(start(color=color)) for color in ("style", "luminance"))
    torch.testing.assert_close(impasto.recolor(plain, content_image).tensor, colored.tensor, rtol=0, atol=1e-5)


def test_recolor_matches_the_palette_of_the_content_image(result: Path, content_image: Path) -> None:
    found, wanted = palette(impasto.recolor(result, content_image, "content")), palette(load(content_image))
    assert torch.allclose(found.mean, wanted.mean, atol=0.02)
    assert torch.allclose(found.covariance, wanted.covariance, atol=0.01)


def test_recolor_keeps_size_alpha_and_rounding(content_image: Path) -> None:
    picture = Picture(torch.rand(3, 15, 20), torch.rand(1, 15, 20), rounding=Quantization(16))
    for color in ("luminance", "content"):
        found = impasto.recolor(picture, content_image, color)
        assert torch.equal(found.alpha, picture.alpha)
        assert (found.height, found.width, found.rounding) == (15, 20, Quantization(16))
        assert (found.recipe, found.name, found.notes) == (None, "", ())


def test_a_content_image_of_another_aspect_ratio_is_stretched_and_noted(content_image: Path) -> None:
    wide = Picture(torch.rand(3, 15, 40))
    (note,) = impasto.recolor(wide, content_image).notes
    assert note == "photo.png: 40x30 pixels stretched to 40x15, its colors may not line up with the shapes"
    assert impasto.recolor(wide, content_image, "content").notes == ()
    nearly = Picture(torch.rand(3, 31, 42))  # 42x32 rounded otherwise
    assert impasto.recolor(nearly, content_image).notes == ()


def test_notes_on_the_files_are_kept(content_image: Path) -> None:
    noted = dataclasses.replace(load(content_image), notes=("CMYK",))
    assert impasto.recolor(noted, noted).notes == ("photo.png: CMYK",) * 2


def test_a_recolored_image_is_not_rerun(result: Path, content_image: Path, style_image: Path) -> None:
    before = read_recipe(result)
    once = impasto.recolor(result, content_image)
    once.save(result.with_name("once.png"))
    twice = impasto.recolor(result.with_name("once.png"), style_image, "content")
    assert {**once.recipe, "recolored": []} == before
    (done,) = once.recipe["recolored"]
    assert done["color"] == "luminance"
    assert done["image"] == {"name": "result.png", "sha256": load(result).sha256}
    assert done["content"]["sha256"] == load(content_image).sha256
    assert [each["color"] for each in twice.recipe["recolored"]] == ["luminance", "content"]
    assert json.dumps(twice.recipe)
    with pytest.raises(
        RecipeError, match=r"was recolored, which rerun does not repeat; rerun 'result.png' \(SHA-256 [0-9a-f]{12}"
    ):
        rerun.find_inputs(result.with_name("once.png"), [content_image, style_image])


def test_a_recoloring_in_a_recipe_of_version_0_1_0_is_read(result: Path, content_image: Path) -> None:
    recipe = impasto.recolor(result, content_image).recipe
    (done,) = recipe["recolored"]
    old = {"color": done["color"], "picture": done["image"], "photo": done["content"]}
    assert Recipe.parse({**recipe, "recolored": [old]}, "a").recolored == Recipe.parse(recipe, "a").recolored


def test_a_picture_in_memory_keeps_its_recipe_too(start, content_image: Path) -> None:
    picture = api.complete(start())
    found = impasto.recolor(picture, content_image)
    assert Recipe.parse(found.recipe, "a").recolored[0].image.sha256 == ""
    foreign = dataclasses.replace(picture, recipe={"made": "by hand"})
    assert impasto.recolor(foreign, content_image).recipe is None


def test_recolor_refuses_what_it_cannot_do(result: Path, content_image: Path) -> None:
    for color in ("match", "style", "", None):
        with pytest.raises(SettingError, match=r"color: got .*; give 'luminance' or 'content'"):
            impasto.recolor(result, content_image, color)
    with pytest.raises(PictureError, match=r"nothing\.png: does not exist"):
        impasto.recolor(result, "nothing.png")
