import math
from dataclasses import replace

import pytest
import torch

from impasto.errors import PictureError, SettingError
from impasto.events import Noted
from impasto.images.masks import (
    Region,
    Style,
    alpha_mask,
    check_mask_shape,
    group_regions,
    layer_guides,
    mask_values,
    region_guides,
    with_notes,
)
from impasto.images.picture import Picture
from impasto.images.recipe import StyleRecord
from impasto.optimize.run import Run
from impasto.reporting import start_events
from impasto.settings.model import Settings
from impasto.vgg.model import VGG19

SMALL = Settings(size=64, first_scale=64, steps=3)


def flat(value: float = 0.5, height: int = 24, width: int = 32, name: str = "") -> Picture:
    return Picture(torch.full((3, height, width), float(value)), name=name)


def half(height: int = 24, width: int = 32, name: str = "half.png") -> Picture:
    """White on the left."""
    tensor = torch.zeros(3, height, width)
    tensor[..., : width // 2] = 1
    return Picture(tensor, name=name)


def noise(seed: int, height: int = 24, width: int = 32) -> Picture:
    return Picture(torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)), name=f"{seed}.png")


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf])
def test_a_weight_is_a_number_above_0(weight: float) -> None:
    with pytest.raises(SettingError, match=r"a\.png: got the weight .*; give one above 0"):
        Style(flat(name="a.png"), weight)


def test_styles_with_the_same_mask_are_mixed_in_its_region_by_their_weights() -> None:
    mask, picture = half(), flat()
    found = group_regions([Style(picture, 1, mask), Style(picture), Style(picture, 3, mask), Style(picture, 2)])
    assert [(region.mask is mask, region.shares) for region in found] == [
        (True, {0: 0.25, 2: 0.75}),
        (False, {1: 1 / 3, 3: 2 / 3}),
    ]


def test_the_rest_is_for_the_style_without_a_mask_and_protected_areas_for_none() -> None:
    masked, rest = Region(half(), {0: 1}), Region(None, {1: 1})
    level = half().tensor[None, :1]
    one, other = region_guides([masked, rest], [level, None], None)
    assert torch.equal(one + other, torch.ones(1, 1, 24, 32))
    assert torch.equal(one, level)
    one, other = region_guides([masked, rest], [level, None], level.flip(3) * 0.25)
    assert float(other[..., 16:].mean()) == 0.75
    assert torch.equal(one, level)
    assert region_guides([Region(None, {0: 1})], [None], None) == [None]


def test_a_region_without_pixels_is_refused() -> None:
    with pytest.raises(
        PictureError, match=r"black\.png: no pixels are left for it at 32x24; make its white area larger"
    ):
        region_guides([Region(flat(0, name="black.png"), {0: 1})], [torch.zeros(1, 1, 24, 32)], None)
    white = torch.ones(1, 1, 24, 32)
    with pytest.raises(PictureError, match="the style without a mask: no pixels are left"):
        region_guides([Region(flat(1), {0: 1}), Region(None, {1: 1})], [white, None], None)
    with pytest.raises(PictureError, match="no pixels are left"):
        region_guides([Region(None, {0: 1})], [None], white)


def test_the_guide_of_a_layer_is_the_mean_over_the_pixels_of_each_position() -> None:
    guide = torch.rand(1, 1, 21, 34)
    found = layer_guides(guide, ["block1_conv2", "block3_conv1"])
    assert torch.equal(found["block1_conv2"], guide)
    assert found["block3_conv1"].shape == (1, 1, 5, 8)
    assert float(found["block3_conv1"][0, 0, 1, 2]) == pytest.approx(float(guide[0, 0, 4:8, 8:12].mean()))


def test_a_mask_is_multiplied_by_its_alpha() -> None:
    mask = Picture(torch.full((3, 4, 4), 0.8), torch.full((1, 4, 4), 0.5))
    torch.testing.assert_close(mask_values(mask), torch.full((1, 4, 4), 0.4))


def test_a_mask_of_another_aspect_ratio_is_refused() -> None:
    check_mask_shape(flat(1, 60, 80), flat(1, 30, 40))
    with pytest.raises(PictureError, match=r"m\.png: .*32x32 .* not have the aspect ratio of the content image, 32x24"):
        check_mask_shape(flat(1, 32, 32, name="m.png"), flat())


def test_an_alpha_mask_needs_an_alpha_channel() -> None:
    with pytest.raises(PictureError, match=r"p\.png: has no alpha channel to use as a mask"):
        alpha_mask(flat(name="p.png"))


def test_protected_areas_are_the_content_image_to_the_bit(narrow: VGG19) -> None:
    content_image = noise(1, 48, 64)
    run = Run(content_image, [noise(2)], SMALL, keep=half(48, 64), vgg=narrow)
    list(run)
    output = run.picture.tensor
    assert torch.equal(output[..., :32], content_image.tensor[..., :32])
    assert float((output - content_image.tensor)[..., 32:].abs().mean()) > 0.001


def test_each_region_gets_its_own_style(narrow: VGG19) -> None:
    settings = SMALL.replace(
        steps=60, content_layers={"block1_conv1": 0.0}, style_layers={"block1_conv1": 1.0}, init="noise", grain_weight=0
    )
    content_image, dark, bright = noise(1, 48, 64), flat(0.1), flat(0.9)
    run = Run(content_image, [Style(dark, mask=half(48, 64)), bright], settings, vgg=narrow)
    list(run)
    output = run.picture.tensor
    assert float(output[..., 2:30].mean()) + 0.1 < float(output[..., 34:62].mean())


def test_masks_over_a_texture_are_refused(narrow: VGG19) -> None:
    with pytest.raises(SettingError, match="mask: texture synthesis has no content image"):
        Run(None, [Style(noise(2), mask=half())], SMALL.from_noise(), vgg=narrow)


def test_a_small_region_is_left_out_of_layers_where_it_has_no_position(narrow: VGG19) -> None:
    corner = torch.zeros(3, 47, 63)
    settings = SMALL.replace(size=63)
    corner[:, 46:, 60:] = 1  # beyond the last whole cell of a deep layer
    run = Run(noise(1, 47, 63), [Style(noise(2), mask=Picture(corner)), noise(3)], settings, vgg=narrow)
    targets = run.scale_run.objective.targets.style
    assert "block5_conv1" not in targets[0].layers
    assert "block1_conv1" in targets[0].layers
    assert all(step.terms.total.isfinite() for step in run)


def test_a_recipe_refuses_weights_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        StyleRecord(name="a", sha256="", weight=0)


def test_a_rotated_style_image_keeps_the_size_of_its_strokes(narrow: VGG19) -> None:
    content_image, style_image = noise(1, 48, 64), noise(2, 64, 64)
    plain, rotated = (
        Run(content_image, [style_image], SMALL.replace(style_rotation=degrees), vgg=narrow).plan[-1].style_sizes[0]
        for degrees in (0, 45)
    )
    assert plain == (64, 64)
    assert rotated == (45, 45)  # the square within a rotated one has an edge of 64 / sqrt 2


def copies(picture: Picture) -> list[Picture]:
    """The same pixels as a picture of a file, and twice as one of none."""
    return [replace(picture, sha256="1" * 64), Picture(picture.tensor.clone()), Picture(picture.tensor.clone())]


def test_masks_are_equal_if_their_values_are() -> None:
    clear = Picture(torch.rand(3, 24, 32), half().tensor[:1])
    masks = [*copies(half()), alpha_mask(clear), alpha_mask(clear), Picture(torch.ones(3, 24, 32), half().tensor[:1])]
    (region,) = group_regions([Style(flat(), mask=mask) for mask in masks])
    assert region.shares == dict.fromkeys(range(6), 1 / 6)
    mirrored = Picture(half().tensor.flip(2))
    assert len(group_regions([Style(flat(), mask=mask) for mask in (half(), mirrored, None)])) == 3


def test_the_alpha_channel_for_two_styles_is_a_mixture(narrow: VGG19) -> None:
    clear = replace(noise(1, 48, 64), alpha=half(48, 64).tensor[:1])
    twice, shared = (
        Run(clear, [Style(noise(2), mask=masks[0]), Style(noise(3), 3, mask=masks[1])], SMALL, vgg=narrow)
        for masks in ((alpha_mask(clear), alpha_mask(clear)), [half(48, 64)] * 2)
    )
    assert [region.shares for region in twice.inputs.regions] == [{0: 0.25, 1: 0.75}]
    list(twice), list(shared)
    assert torch.equal(twice.picture.tensor, shared.picture.tensor)


def test_pictures_that_differ_in_alpha_have_different_hashes() -> None:
    opaque = flat()
    hashes = {picture.content_hash for picture in (opaque, replace(opaque, alpha=half().tensor[:1]))}
    assert len(hashes) == 2


@pytest.mark.parametrize("color", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)])
def test_an_area_in_any_pure_color_is_white(color: tuple[float, ...]) -> None:
    painted = Picture(half().tensor * torch.tensor(color, dtype=torch.float32)[:, None, None])
    assert torch.equal(mask_values(painted), half().tensor[:1])


@pytest.mark.parametrize(
    ("values", "counted", "note"),
    [
        ((0, 1 / 255), (0, 1), "its values 0 and 1 of 255 are used as black and white"),
        ((0, 1 / 65535), (0, 1), "its values 0 and 1 of 255 are used as black and white"),
        ((0, 2 / 255), (0, 2 / 255), "its largest value is 2 of 255, which counts as 0.0078 of white"),
        ((0, 0.4), (0, 0.4), "its largest value is 102 of 255, which counts as 0.4 of white"),
        ((0, 0), (0, 0), "its largest value is 0 of 255, which counts as 0 of white"),
        ((0, 1), (0, 1), None),
        ((0.2, 0.5), (0.2, 0.5), None),
    ],
)
def test_a_mask_of_labels_is_scaled_and_a_dim_one_is_noted(
    values: tuple[float, float], counted: tuple[float, float], note: str | None
) -> None:
    mask = Picture(torch.tensor(values, dtype=torch.float32).expand(3, 24, 2), notes=("from a palette",))
    torch.testing.assert_close(mask_values(mask)[0, 0], torch.tensor(counted, dtype=torch.float32))
    assert with_notes(mask).notes == ("from a palette", *([note] if note else []))


def test_a_colored_mask_is_noted_and_one_with_a_tint_is_not() -> None:
    red = Picture(half().tensor * torch.tensor([1.0, 0, 0])[:, None, None])
    assert with_notes(red).notes == ("is a colored mask: the largest channel of a pixel counts, so pure red is white",)
    assert with_notes(Picture(half().tensor * torch.tensor([1.0, 0.9, 0.8])[:, None, None])).notes == ()


def test_the_notes_on_masks_are_reported_once(narrow: VGG19) -> None:
    label = Picture(half(48, 64).tensor / 255, name="label.png")
    run = Run(noise(1, 48, 64), [Style(noise(2), mask=label), Style(noise(3), mask=label)], SMALL, vgg=narrow)
    noted = [event.message for event in start_events(run) if isinstance(event, Noted)]
    assert noted == ["label.png: its values 0 and 1 of 255 are used as black and white"]


@pytest.mark.parametrize(
    ("mask", "kept", "remedy"),
    [
        (0.0, None, "m.png: .* at 32x24; make its white area larger"),
        (1.0, 1.0, "m.png: .* at 32x24; make the white area of the protection mask smaller"),
        (None, 1.0, "the style without a mask: .*; make the white area of the protection mask smaller"),
    ],
)
def test_the_mask_that_leaves_no_pixels_is_the_one_to_change(
    mask: float | None, kept: float | None, remedy: str
) -> None:
    full = [None if value is None else torch.full((1, 1, 24, 32), value) for value in (mask, kept)]
    region = Region(None if mask is None else flat(mask, name="m.png"), {0: 1})
    with pytest.raises(PictureError, match=remedy):
        region_guides([region], full[:1], full[1])


def test_masks_that_cover_everything_leave_nothing_for_a_style_without_one() -> None:
    with pytest.raises(PictureError, match=r"without a mask: .*; make the white areas of the masks smaller, or leave"):
        region_guides([Region(flat(1), {0: 1}), Region(None, {1: 1})], [torch.ones(1, 1, 24, 32), None], None)
