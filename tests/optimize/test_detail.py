"""More content where a face or the detail mask is."""

from collections.abc import Callable
from importlib import resources

import pytest
import torch
from torch import Tensor

from impasto import VGG19, Picture, Run, Settings, Style, load, preset
from impasto.errors import PictureError, SettingError
from impasto.images.faces.detector import Face
from impasto.images.faces.mask import WHOLE_FACE, face_mask
from impasto.loss.statistics import local_weights
from impasto.optimize.detail import amounts, style_guides
from impasto.optimize.result import result_of
from impasto.settings.presets import names

SMALL = Settings(size=64, steps=3, first_scale=64, adaptive_content=0)


def portrait(size: int = 128) -> Picture:
    """The bundled portrait."""
    with resources.as_file(resources.files("impasto") / "demo" / "portrait.jpg") as path:
        picture = load(path)
    pixels = torch.nn.functional.interpolate(picture.tensor[None], (size, size), mode="area")[0]
    return Picture(pixels, name="portrait.jpg")


def noise(seed: int, height: int = 48, width: int = 64) -> Picture:
    return Picture(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)))


def left_half(height: int = 48, width: int = 64) -> Picture:
    values = torch.zeros(3, height, width)
    values[..., : width // 2] = 1
    return Picture(values)


def finished(*arguments, **options) -> Tensor:
    run = Run(*arguments, **options)
    list(run)
    return run.picture.tensor


def test_without_a_face_the_result_is_the_same_to_the_bit(narrow: VGG19) -> None:
    soft, off = (finished(noise(1), [noise(2)], SMALL.replace(faces=faces), vgg=narrow) for faces in ("soft", "off"))
    assert torch.equal(soft, off)


def test_a_face_that_is_found_is_noted_in_the_run_and_counted_in_its_recipe(narrow: VGG19) -> None:
    for faces, count in (("soft", 1), ("keep", 1), ("off", 0)):
        run = Run(portrait(), [noise(2)], SMALL.replace(faces=faces), vgg=narrow)
        assert run.inputs.content.notes == ((f"1 face found; faces: {faces}",) if count else ())
        assert result_of(run).recipe["faces"] == count


def test_without_the_detector_a_run_is_as_with_off_and_says_so(narrow: VGG19, without_detector: Callable) -> None:
    off = finished(portrait(), [noise(2)], SMALL.replace(faces="off"), vgg=narrow)
    for color in ("style", "match", "content"):
        with without_detector():
            run = Run(portrait(), [noise(2)], SMALL.replace(color=color), vgg=narrow)
        (note,) = run.inputs.content.notes
        assert "not looked for" in note
        assert (run.settings.faces, run.settings.color) == ("off", color)
    with without_detector():
        assert torch.equal(finished(portrait(), [noise(2)], SMALL, vgg=narrow), off)


def test_without_the_detector_a_detail_mask_is_used(narrow: VGG19, without_detector: Callable) -> None:
    with without_detector():
        run = Run(noise(1), [noise(2)], SMALL, detail=left_half(), vgg=narrow)
    assert torch.equal(run.inputs.detail_at((48, 64)), left_half().tensor[None, :1])


def test_a_face_counts_more_at_the_features_of_the_face_only(narrow: VGG19) -> None:
    run = Run(portrait(), [noise(2)], SMALL, vgg=narrow)
    content, style = run.scale_run.objective.targets.content, run.scale_run.objective.targets.style[0].layers
    mask = face_mask(run.inputs.faces, 64, 64)
    assert {"block3_conv2", "block4_conv2"} == set(content)
    outside = torch.nn.functional.avg_pool2d(mask, 4) == 0
    assert not content["block3_conv2"].weights[outside].any()
    low, high = content["block4_conv2"].weights.aminmax()
    assert (float(low), float(high) > 1.5) == (1, True)
    assert [name for name, target in style.items() if target.guide is not None] == ["block4_conv1", "block5_conv1"]


def test_a_face_gets_full_detail_where_it_is_small_and_a_quarter_where_it_is_large(narrow: VGG19) -> None:
    faces = Run(portrait(), [noise(2)], SMALL, vgg=narrow).inputs.faces
    width = {size: amounts(faces, (size, size)) for size in (64, 512, 4096)}
    assert width[64] == [1]
    assert width[512] == [pytest.approx(0.25, abs=0.03)]
    assert width[4096] == [0.25]


def test_a_face_that_is_small_in_the_image_gets_up_to_twice_as_much_at_every_scale() -> None:
    faces = [Face(0.9, (0.1, 0.1, 0.1 + width / 512, 0.3), ((0.1, 0.2),) * 5) for width in (30, 60, 80, 101, 200)]
    assert amounts(faces, (64, 64)) == pytest.approx([2, 2, 1.5, 1, 1])
    assert amounts(faces, (2048, 2048)) == pytest.approx([0.57, 0.5, 0.375, 0.25, 0.25], abs=0.01)
    assert amounts(faces, (64, 32)) == pytest.approx([2, 2, 2, 2, 1])  # half as wide relative to the long edge


def test_a_small_face_has_the_same_detail_in_a_small_run_and_in_the_first_part_of_a_large_one(narrow: VGG19) -> None:
    content = Picture(torch.nn.functional.pad(portrait().tensor, (128, 128, 128, 128), value=0.5))
    small, large = (Run(content, [noise(2)], SMALL.replace(size=size), vgg=narrow) for size in (64, 256))
    mask = small.inputs.detail_at((64, 64))
    assert float(mask.max()) > 1
    assert torch.equal(mask, large.inputs.detail_at((64, 64)))


def test_deep_layers_keep_some_of_the_style_in_a_small_face() -> None:
    guides = style_guides(None, torch.tensor([[[[0.0, 1.0, 2.0]]]]), ["block1_conv1", "block4_conv1"])
    assert guides["block1_conv1"] is None
    assert guides["block4_conv1"].flatten().tolist() == pytest.approx([1, 0.4, 0.2])


def test_a_kept_face_has_the_pixels_of_the_content_image(narrow: VGG19) -> None:
    content = portrait(64)
    run = Run(content, [noise(2)], SMALL.replace(faces="keep"), vgg=narrow)
    list(run)
    inside = (face_mask(run.inputs.faces, 64, 64, margin=WHOLE_FACE) == 1)[0].expand(3, -1, -1)
    assert int(inside.sum()) > 100
    assert torch.equal(run.picture.tensor[inside], content.tensor[inside])
    assert not torch.equal(run.picture.tensor[~inside], content.tensor[~inside])


def test_a_kept_face_adds_to_the_protection_mask(narrow: VGG19) -> None:
    content, keep = portrait(64), left_half(64, 64)
    result = finished(content, [noise(2)], SMALL.replace(faces="keep"), keep=keep, vgg=narrow)
    assert torch.equal(result[..., :32], content.tensor[..., :32])


def test_the_detail_mask_brings_the_result_closer_to_the_content_image_there(narrow: VGG19) -> None:
    settings = SMALL.replace(steps=20, color="content", strength=0.6)
    plain = finished(noise(1), [noise(2)], settings, vgg=narrow)
    detailed = finished(noise(1), [noise(2)], settings, detail=left_half(), vgg=narrow)
    before, after = ((each - noise(1).tensor).square().mean((0, 1)) for each in (plain, detailed))
    assert float(after[:24].mean()) < 0.9 * float(before[:24].mean())


def test_detail_masks_style_masks_and_protection_masks_combine(narrow: VGG19) -> None:
    right = torch.zeros(3, 48, 64)
    right[..., 48:] = 1
    styles = [Style(noise(2), mask=left_half()), Style(noise(3))]
    run = Run(noise(1), styles, SMALL, keep=Picture(right), detail=left_half(), vgg=narrow)
    list(run)
    assert torch.equal(run.picture.tensor[..., 48:], noise(1).tensor[..., 48:])
    shares = run.scale_run.objective.targets.style[0].shares
    assert shares["block1_conv1"] == pytest.approx(0.5, abs=0.02)
    assert shares["block4_conv1"] < 0.4  # less of the style in deep layers


def test_the_memory_plan_counts_guides_weights_and_the_further_layer(narrow: VGG19) -> None:
    plain, detailed = (Run(noise(1), [noise(2)], SMALL, detail=mask, vgg=narrow) for mask in (None, left_half()))
    content = detailed.scale_run.objective.targets.content
    style = detailed.scale_run.objective.targets.style[0].layers
    needed = sum(target.weights.nbytes for target in content.values()) + content["block3_conv2"].values.nbytes
    needed += sum(target.guide.nbytes for target in style.values() if target.guide is not None)
    inputs = detailed.inputs.nbytes - plain.inputs.nbytes
    assert detailed.plan[0].memory - plain.plan[0].memory - inputs >= needed


@pytest.mark.parametrize("settings", [SMALL, SMALL.replace(optimizer="adam", style_loss="nearest")])
def test_strips_give_about_the_same_image(settings: Settings, narrow: VGG19) -> None:
    whole, strips = (
        finished(noise(1), [noise(2)], settings, detail=left_half(), vgg=narrow, strips=[strip]) for strip in (None, 16)
    )
    assert float((whole - strips).abs().max()) < 1e-3


@pytest.mark.parametrize("color", ["content", "luminance", "match"])
def test_the_content_image_keeps_its_tone_if_its_colors_are_chosen(color: str, narrow: VGG19) -> None:
    run = Run(noise(1), [noise(2)], SMALL.replace(color=color), detail=left_half(), vgg=narrow)
    assert torch.equal(run.inputs.content_at((48, 64))[0], run.inputs.content.tensor)


def test_presets_of_other_programs_treat_faces_flat_and_dark_areas_like_the_rest() -> None:
    ours = {"painterly", "distill", "nnst", "quick"}
    chosen = {
        name: (settings.faces, settings.adaptive_content > 0, settings.grain_weight > 0)
        for name, settings in zip(names(), map(preset, names()), strict=True)
    }
    assert {name: choice for name, choice in chosen.items() if name in ours} == dict.fromkeys(
        ours, ("soft", True, True)
    )
    assert {choice for name, choice in chosen.items() if name not in ours} == {("off", False, False)}


def test_faces_are_not_looked_for_without_content_or_without_style(narrow: VGG19) -> None:
    assert Run(None, [portrait()], SMALL.from_noise(), vgg=narrow).inputs.faces == ()
    assert Run(portrait(), [], SMALL.from_noise(), vgg=narrow).inputs.faces == ()


def test_a_reconstruction_can_have_a_detail_mask(narrow: VGG19) -> None:
    settings = SMALL.with_content_layer("block2_conv2").from_noise()
    result = finished(noise(1), [], settings.replace(steps=1), detail=left_half(), vgg=narrow)
    assert result.shape == (3, 48, 64)


def test_a_detail_mask_that_does_not_fit_is_refused(narrow: VGG19) -> None:
    with pytest.raises(PictureError, match=r"32x32 pixels do not have the aspect ratio of the content image, 64x48"):
        Run(noise(1), [noise(2)], SMALL, detail=noise(3, 32, 32), vgg=narrow)
    with pytest.raises(SettingError, match="mask: texture synthesis has no content image"):
        Run(None, [noise(2)], SMALL.from_noise(), detail=left_half(), vgg=narrow)


@pytest.mark.parametrize(
    ("adaptive", "styles", "is_weighted"), [(0.25, [noise(2)], True), (0.0, [noise(2)], False), (0.25, [], False)]
)
def test_only_a_transfer_of_style_has_adaptive_content(
    adaptive: float, styles: list[Picture], is_weighted: bool, narrow: VGG19
) -> None:
    run = Run(noise(1), styles, SMALL.replace(adaptive_content=adaptive), vgg=narrow)
    (target,) = run.scale_run.objective.targets.content.values()
    assert (target.weights is not None) is is_weighted


def test_detail_adds_to_adaptive_content(narrow: VGG19) -> None:
    for_half = {
        adaptive: Run(
            noise(1), [noise(2)], SMALL.replace(adaptive_content=adaptive), detail=left_half(), vgg=narrow
        ).scale_run.objective.targets.content["block4_conv2"]
        for adaptive in (0.0, 0.25)
    }
    expected = for_half[0.0].weights * local_weights(for_half[0.25].values, 0.25)
    torch.testing.assert_close(for_half[0.25].weights, expected)
