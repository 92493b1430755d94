"""The one-pass method with Magenta's weights, on small images."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import impasto
from impasto import Picture, Settings, Style, api, load, preset
from impasto.errors import PictureError, RecipeError, SettingError
from impasto.events import Event, Noted, Painted
from impasto.feedforward import pretrained, stylizer, weights
from impasto.feedforward.averaged import SHIFTS
from impasto.feedforward.inference import TransformerInference
from impasto.feedforward.network import Affines
from impasto.feedforward.one_pass import fast
from impasto.feedforward.stylizer import FastNetwork
from impasto.images import oklab
from impasto.images.loading import read_recipe
from impasto.images.recipe import Recipe
from impasto.images.resize import resize, scaled_size
from impasto.jobs import rerun
from impasto.vgg.model import VGG19

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def network() -> FastNetwork:
    return FastNetwork("cpu", "float32")


def scene(height: int = 64, width: int = 96) -> Tensor:
    """A disc on a gradient."""
    y, x = np.mgrid[0:height, 0:width] / width
    disc = (x - 0.6) ** 2 + (y - 0.3) ** 2 < 0.04
    channels = [0.2 + 0.6 * x + 0.2 * disc, 0.8 - 0.6 * y - 0.3 * disc, 0.4 + 0.2 * np.sin(20 * x * y)]
    return torch.from_numpy(np.stack(channels).clip(0, 1).astype(np.float32))


def stripes(height: int = 72, width: int = 80) -> Tensor:
    y, x = np.mgrid[0:height, 0:width]
    stripe = (x + 2 * y) // 6 % 3
    return torch.from_numpy(np.stack([0.1 + 0.4 * stripe, 0.9 - 0.4 * stripe, 0.5 * (stripe == 1)]).astype(np.float32))


CONTENT, WAVES = Picture(scene(), name="content.png", sha256="1" * 64), Picture(stripes(), name="waves.png")
TILES = Picture(stripes().flip(0).transpose(1, 2).contiguous(), name="tiles.png", sha256="2" * 64)
SMALL = Settings(size=64)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The three pictures in files of a folder."""
    folder = tmp_path_factory.mktemp("fast")
    for picture in (CONTENT, WAVES, TILES):
        picture.save(folder / picture.name)
    return lambda name: folder / f"{name}.png"


def mean(one: Picture | Tensor, other: Picture | Tensor) -> float:
    """The mean difference of two pictures."""
    values = [each.tensor if isinstance(each, Picture) else each for each in (one, other)]
    return float((values[0] - values[1]).abs().mean())


# -- the result --


def test_the_result_has_the_size_of_the_content_image_and_depends_on_the_style(network: FastNetwork) -> None:
    result = fast(CONTENT, WAVES, network=network)
    assert (result.width, result.height) == (96, 64)
    assert mean(result, CONTENT) > 0.05
    assert mean(result, fast(CONTENT, TILES, network=network)) > 0.02


@pytest.mark.parametrize(
    ("height", "width", "size"), [(64, 96, 48), (64, 96, 96), (64, 96, 131), (67, 93, 93), (96, 64, 50)]
)
def test_size_is_the_long_edge_of_the_result(height: int, width: int, size: int, network: FastNetwork) -> None:
    result = fast(Picture(scene(height, width)), WAVES, SMALL.replace(size=size), network=network)
    assert (result.height, result.width) == scaled_size(height, width, size)
    assert max(result.height, result.width) == size


def test_paths_and_pictures_give_the_same_result(files: Callable[[str], Path], network: FastNetwork) -> None:
    one = fast(files("content"), [files("waves")], network=network)
    two = fast(str(files("content")), load(files("waves")), network=network)
    three = fast(load(files("content")), Style(load(files("waves"))), network=network)
    four = impasto.fast(files("content"), str(files("waves")))
    assert torch.equal(one.tensor, two.tensor)
    assert torch.equal(one.tensor, three.tensor)
    assert mean(one, four) < 0.02  # in the precision of this machine


def test_the_result_is_deterministic(network: FastNetwork) -> None:
    assert torch.equal(fast(CONTENT, WAVES, network=network).tensor, fast(CONTENT, WAVES, network=network).tensor)


def test_the_result_is_an_ordinary_tensor(network: FastNetwork) -> None:
    result = fast(CONTENT, WAVES, network=network).tensor
    assert not result.is_inference()
    assert not result.requires_grad
    assert result.clone().requires_grad_().is_leaf


def test_alpha_is_kept_and_transparent_pixels_have_no_effect(network: FastNetwork) -> None:
    alpha = torch.ones(1, 64, 96)
    alpha[:, :, :30] = 0
    hidden = scene()
    hidden[:, :, :30] = torch.rand(3, 64, 30, generator=torch.Generator().manual_seed(0))
    one, other = (fast(Picture(each, alpha), WAVES, network=network) for each in (scene(), hidden))
    assert one.alpha is not None
    assert torch.equal(one.alpha, alpha)
    torch.testing.assert_close(one.tensor, other.tensor, rtol=0, atol=1e-5)
    smaller = fast(Picture(scene(), alpha), WAVES, SMALL.replace(size=48), network=network)
    assert smaller.alpha is not None
    assert smaller.alpha.shape == (1, 32, 48)
    assert fast(CONTENT, WAVES, network=network).alpha is None


def test_transparent_pixels_of_the_style_image_have_no_effect(network: FastNetwork) -> None:
    alpha = torch.ones(1, 72, 80)
    alpha[:, 50:] = 0
    hidden = stripes()
    hidden[:, 50:] = 0.9
    vectors = [network.style_vector(Picture(each, alpha)) for each in (stripes(), hidden)]
    torch.testing.assert_close(*vectors, rtol=0, atol=1e-4)
    assert float((vectors[0] - network.style_vector(WAVES)).abs().max()) > 0.1


def test_the_style_vector_is_that_of_the_central_square(network: FastNetwork) -> None:
    wide = torch.cat([scene(64, 40), scene(64, 64), scene(64, 50)[:, :, :40]], 2)
    middle = network.style_vector(Picture(scene(64, 64)))
    torch.testing.assert_close(network.style_vector(Picture(wide)), middle, rtol=0, atol=1e-5)
    assert middle.shape == (100,)
    ready = resize(scene(64, 64)[None], 256, 256)
    assert torch.equal(pretrained.load().predictor(ready)[0], middle)


# -- strength and mixtures --


def test_strength_one_half_is_the_style_vector_of_the_style_image(network: FastNetwork) -> None:
    result = network.affines_for([Style(WAVES)], CONTENT, 0.5)
    for ours, plain in zip(result, pretrained.load().conditioner(network.style_vector(WAVES)), strict=True):
        assert all(map(torch.equal, ours, plain))
    default, half = (fast(CONTENT, WAVES, each, network=network) for each in (None, Settings(size=96, strength=0.5)))
    assert torch.equal(default.tensor, half.tensor)


def test_strength_zero_is_the_style_of_the_content_image(network: FastNetwork) -> None:
    none = fast(CONTENT, WAVES, Settings(size=96, strength=0), network=network)
    own = fast(CONTENT, CONTENT, network=network)
    torch.testing.assert_close(none.tensor, own.tensor, rtol=0, atol=1e-4)
    assert mean(none, CONTENT) < mean(fast(CONTENT, WAVES, network=network), CONTENT)


def test_strength_interpolates_and_extrapolates_from_the_content_to_the_style_vector(network: FastNetwork) -> None:
    own, vector, conditioner = network.style_vector(CONTENT), network.style_vector(WAVES), pretrained.load().conditioner
    for strength, share in ((0.25, 0.5), (0.4, 0.8), (0.75, 1.25), (1.0, 1.5)):
        expected = conditioner(own + share * (vector - own))
        for ours, plain in zip(network.affines_for([Style(WAVES)], CONTENT, strength), expected, strict=True):
            torch.testing.assert_close(ours, plain, rtol=0, atol=1e-4)
    results = [fast(CONTENT, WAVES, Settings(size=96, strength=each), network=network) for each in (0, 0.25, 0.5, 1)]
    from_none = [mean(results[0], each) for each in results]
    assert from_none == sorted(from_none)


def test_a_mixture_lies_between_its_styles_by_their_weights(network: FastNetwork) -> None:
    def mixture(*weights: float) -> Picture:
        styles = [Style(*each) for each in zip((WAVES, TILES), weights, strict=True)]
        return fast(CONTENT, styles, network=network)

    waves, tiles = (fast(CONTENT, each, network=network) for each in (WAVES, TILES))
    even, uneven = mixture(1, 1), mixture(9, 1)
    assert min(mean(even, waves), mean(even, tiles), mean(even, uneven)) > 1e-3
    assert mean(uneven, waves) < mean(even, waves)
    torch.testing.assert_close(mixture(45, 5).tensor, uneven.tensor, rtol=0, atol=1e-4)
    torch.testing.assert_close(mixture(1, 1e-9).tensor, waves.tensor, rtol=0, atol=1e-4)


def test_the_order_of_styles_in_equal_shares_does_not_matter(network: FastNetwork) -> None:
    one, other = (fast(CONTENT, each, network=network) for each in ([WAVES, TILES], [TILES, WAVES]))
    torch.testing.assert_close(one.tensor, other.tensor, rtol=0, atol=1e-5)
    twice = fast(CONTENT, [WAVES, WAVES], network=network)
    torch.testing.assert_close(twice.tensor, fast(CONTENT, WAVES, network=network).tensor, rtol=0, atol=1e-4)


# -- colors, depth, dither --


def test_luminance_combines_the_lightness_of_the_result_with_the_chroma_of_the_content_image(
    network: FastNetwork,
) -> None:
    plain = fast(CONTENT, WAVES, network=network).tensor
    result = fast(CONTENT, WAVES, Settings(size=96, color="luminance"), network=network).tensor
    chroma, kept = (oklab.from_srgb(each)[1:] for each in (result, scene()))
    inside = ((result > 1e-3) & (result < 1 - 1e-3)).all(0)  # of the sRGB gamut
    assert float(inside.float().mean()) > 0.4
    torch.testing.assert_close(chroma[:, inside], kept[:, inside], rtol=0, atol=5e-3)
    assert mean(oklab.from_srgb(result)[:1], oklab.from_srgb(plain)[:1]) < 0.03


@pytest.mark.parametrize("color", ["content", "match"])
def test_content_and_match_map_the_colors_of_the_inputs(color: str, network: FastNetwork) -> None:
    plain, result = (fast(CONTENT, WAVES, Settings(size=96, color=each), network=network) for each in ("style", color))
    assert mean(plain, result) > 0.01
    assert result.recipe is not None
    assert result.recipe["settings"]["color"] == color


def test_depth_and_dither_apply_to_the_file(tmp_path: Path, network: FastNetwork) -> None:
    deep = fast(CONTENT, WAVES, Settings(size=96, depth=16, dither=True), network=network)
    assert (deep.rounding.depth, deep.rounding.dither) == (16, True)
    deep.save(tmp_path / "deep.png")
    assert torch.equal(load(tmp_path / "deep.png").tensor, deep.rounded().tensor)


# -- memory and precision --


def test_a_memory_limit_does_not_change_the_result(network: FastNetwork) -> None:
    for size in (96, 131):
        settings = Settings(size=size)
        whole = fast(CONTENT, WAVES, settings, network=network)
        strips = fast(CONTENT, WAVES, settings, network=network, memory=1)
        torch.testing.assert_close(strips.tensor, whole.tensor, rtol=0, atol=1e-4)


def test_narrow_strips_are_tried_after_an_allocation_failed(
    monkeypatch: pytest.MonkeyPatch, network: FastNetwork
) -> None:
    whole, real, asked = fast(CONTENT, WAVES, network=network), TransformerInference.run_in_strips, []

    def run_in_strips(
        self: TransformerInference, content_image: Tensor, style: Affines, strip: int | None, *out: Tensor | None
    ) -> Tensor:
        asked.append(strip)
        if strip is None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(self, content_image, style, strip, *out)

    monkeypatch.setattr(TransformerInference, "run_in_strips", run_in_strips)
    torch.testing.assert_close(fast(CONTENT, WAVES, network=network).tensor, whole.tensor, rtol=0, atol=1e-4)
    assert asked == [None, 16] * len(SHIFTS)


@pytest.mark.parametrize("color", ["style", "luminance", "content"])
def test_the_inputs_are_not_modified(color: str, network: FastNetwork) -> None:
    content_image, waves = Picture(scene()), Picture(stripes())
    for memory in (None, 1):
        fast(content_image, waves, Settings(size=96, color=color), network=network, memory=memory)
        assert torch.equal(content_image.tensor, scene())
        assert torch.equal(waves.tensor, stripes())


@pytest.mark.parametrize("color", ["style", "luminance", "content"])
@pytest.mark.parametrize("size", [96, 70])
def test_reusing_the_memory_of_the_content_image_does_not_change_the_result(
    color: str, size: int, network: FastNetwork
) -> None:
    settings = Settings(size=size, color=color)
    kept = fast(Picture(scene()), WAVES, settings, network=network)
    for memory in (None, 1):
        used = fast(Picture(scene()), WAVES, settings, network=network, memory=memory, reuse=True)
        torch.testing.assert_close(used.tensor, kept.tensor, rtol=0, atol=1e-4)
        assert used.recipe == kept.recipe


def test_one_picture_may_be_content_and_style_image_with_its_memory_reused(network: FastNetwork) -> None:
    both = Picture(scene())
    expected = fast(both, both, network=network).tensor.clone()
    torch.testing.assert_close(fast(both, both, network=network, reuse=True).tensor, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("source", ["file", "view"])
def test_a_gray_content_image_equals_one_of_three_equal_channels(
    source: str, tmp_path: Path, network: FastNetwork
) -> None:
    gray = (scene()[:1] * 255).round() / 255
    Image.fromarray((gray[0] * 255).round().byte().numpy()).save(tmp_path / "gray.png")
    expected = fast(Picture(gray.repeat(3, 1, 1)), WAVES, network=network).tensor
    content_image = tmp_path / "gray.png" if source == "file" else Picture(gray.expand(3, -1, -1))
    result = fast(content_image, WAVES, network=network, reuse=True)
    torch.testing.assert_close(result.tensor, expected, rtol=0, atol=1e-4)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch, network: FastNetwork) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("something else")

    monkeypatch.setattr(TransformerInference, "run_in_strips", broken)
    with pytest.raises(RuntimeError, match="something else"):
        fast(CONTENT, WAVES, network=network)


def test_bfloat16_is_close_with_real_weights(network: FastNetwork) -> None:
    reduced = fast(CONTENT, WAVES, network=FastNetwork("cpu", "bfloat16"))
    assert 0 < mean(reduced, fast(CONTENT, WAVES, network=network)) < 0.01
    assert reduced.recipe is not None
    assert reduced.recipe["precision"] == "bfloat16"


# -- validation --


def test_a_mask_is_refused(network: FastNetwork) -> None:
    with pytest.raises(
        SettingError, match=r"^mask: got one, but the one-pass method has one style for the whole image; "
    ):
        fast(CONTENT, Style(WAVES, mask=CONTENT), network=network)


def test_a_content_image_too_narrow_is_refused(network: FastNetwork) -> None:
    narrow = Picture(scene(9, 96), name="narrow\n.png")
    with pytest.raises(PictureError, match=r"96x9 pixels become 96x9, 10 are needed; crop it or give a larger --size$"):
        fast(narrow, WAVES, network=network)
    thin = Picture(scene(20, 96), name="thin.png")
    with pytest.raises(PictureError, match=r"^thin\.png: 96x20 pixels become 32x7, "):
        fast(thin, WAVES, Settings(size=32), network=network)
    assert fast(Picture(scene(10, 96)), WAVES, network=network).height == 10


@pytest.mark.parametrize("height", [1, 5])
def test_a_style_image_of_a_few_pixels_is_enough(height: int, network: FastNetwork) -> None:
    result = fast(CONTENT, Picture(stripes(height, 7)), network=network)
    assert bool(torch.isfinite(result.tensor).all())


def test_an_empty_list_of_styles_is_refused(network: FastNetwork) -> None:
    with pytest.raises(SettingError, match="styles: got none; give a style image"):
        fast(CONTENT, [], network=network)


# -- recipe and events --


def test_the_recipe_holds_inputs_settings_and_environment(files: Callable[[str], Path], network: FastNetwork) -> None:
    styles = [Style(load(files("waves")), 0.75), Style(load(files("tiles")), 0.25)]
    result = fast(files("content"), styles, Settings(size=80, strength=0.6), network=network)
    assert result.recipe is not None
    recipe = Recipe.parse(dict(result.recipe), "x")
    assert recipe.is_complete
    assert (recipe.task, recipe.settings.method, recipe.settings.size) == ("stylize", "fast", 80)
    assert (recipe.settings.strength, recipe.steps_done, recipe.loss) == (0.6, 0, {})
    assert recipe.weights == weights.SHA256[weights.TRANSFORMER]
    assert (recipe.device, recipe.precision) == ("cpu", "float32")
    assert recipe.content is not None
    assert (recipe.content.name, recipe.content.sha256) == ("content.png", load(files("content")).sha256)
    assert [(each.name, each.weight) for each in recipe.styles] == [("waves.png", 0.75), ("tiles.png", 0.25)]
    assert str(files("content").parent) not in str(result.recipe)


def test_the_default_size_in_the_recipe_is_that_of_the_content_image(network: FastNetwork) -> None:
    result = fast(CONTENT, WAVES, network=network)
    assert result.recipe is not None
    assert result.recipe["settings"] == preset().replace(method="fast", size=96).model_dump(mode="json")


def test_the_events_are_the_notes_and_painted(network: FastNetwork) -> None:
    noted = dataclasses.replace(CONTENT, notes=("a note",))
    events: list[Event] = []
    fast(noted, dataclasses.replace(WAVES, notes=("two", "three")), network=network, on_event=events.append)
    assert events[:-1] == [Noted("content.png: a note"), Noted("waves.png: two"), Noted("waves.png: three")]
    last = events[-1]
    assert isinstance(last, Painted)
    assert (last.name, last.width, last.height) == ("content.png", 96, 64)
    assert last.as_dict()["event"] == "painted"


@pytest.mark.parametrize("changes", [{}, {"strength": 0.8, "size": 60}, {"color": "luminance"}, {"color": "content"}])
def test_rerun_fast_gives_the_same_pixels(
    changes: dict[str, object], files: Callable[[str], Path], tmp_path: Path, network: FastNetwork
) -> None:
    styles = [Style(load(files("waves")), 2.0), Style(load(files("tiles")), 1.0)]
    threads = torch.get_num_threads()
    first = fast(files("content"), styles, Settings(size=96).replace(**changes), network=network)
    first.save(tmp_path / "a.png")
    again = rerun.rerun_fast(rerun.find_inputs(tmp_path / "a.png", [files("photo").parent]), rerun.Overrides("cpu"))
    assert torch.equal(again.tensor, first.tensor)
    assert again.recipe == first.recipe
    assert torch.get_num_threads() == threads
    with pytest.raises(RecipeError, match="was made by the one-pass method, which takes no steps; use `rerun_fast`"):
        rerun.recreate_run(rerun.find_inputs(tmp_path / "a.png", [files("photo").parent]))
    with pytest.raises(RecipeError, match=r"its input 'content\.png' .* was not found"):
        rerun.find_inputs(tmp_path / "a.png", [tmp_path])


# -- method="fast" in the other functions --


def test_stylize_with_method_fast_equals_fast() -> None:
    settings = SMALL.replace(method="fast", strength=0.7)
    events: list[Event] = []
    result, plain = impasto.stylize(CONTENT, WAVES, settings, on_event=events.append), fast(CONTENT, WAVES, settings)
    assert torch.equal(result.tensor, plain.tensor)
    assert result.recipe == plain.recipe
    assert [type(each) for each in events] == [Painted]


@pytest.mark.parametrize("name", ["init", "keep", "detail", "vgg"])
def test_stylize_with_method_fast_refuses_arguments_it_cannot_use(name: str, narrow: VGG19) -> None:
    given = narrow if name == "vgg" else CONTENT
    with pytest.raises(
        SettingError, match=r"^method: got 'fast', which does not support init, keep, detail or vgg; leave them out$"
    ):
        impasto.stylize(CONTENT, WAVES, SMALL.replace(method="fast"), **{name: given})


def test_textures_and_reconstructions_refuse_method_fast(narrow: VGG19) -> None:
    settings = SMALL.replace(method="fast")
    with pytest.raises(SettingError, match=r"^method: "):
        impasto.texture(WAVES, settings, vgg=narrow)
    with pytest.raises(SettingError, match=r"^method: "):
        impasto.reconstruct(CONTENT, settings=settings, vgg=narrow)
    with pytest.raises(SettingError, match=r"^method: "):
        api.create_run(CONTENT, [WAVES], settings, vgg=narrow)


# -- init="fast" --

STEPS = Settings(size=64, steps=3, init="fast", optimizer="lbfgs")


def test_the_initial_image_of_a_run_is_the_result_of_fast(narrow: VGG19, network: FastNetwork) -> None:
    run = api.create_run(CONTENT, [WAVES], STEPS.replace(scale_factor=1), vgg=narrow)
    start = fast(CONTENT, WAVES, SMALL, network=network)
    assert (run.picture.width, run.picture.height) == (64, 43)
    assert mean(run.picture, start) < 0.01
    assert mean(run.picture, resize(scene()[None], 43, 64)[0]) > 0.05


def test_the_initial_image_has_strength_one_half_and_the_colors_of_the_style(
    narrow: VGG19, network: FastNetwork
) -> None:
    start = fast(CONTENT, WAVES, SMALL, network=network)
    for changes in ({"strength": 0.9}, {"color": "luminance"}):
        run = api.create_run(CONTENT, [WAVES], STEPS.replace(scale_factor=1, **changes), vgg=narrow)
        assert mean(run.initial_image[0], start) < 0.01


def test_a_run_with_init_fast_is_repeated_from_its_recipe(
    files: Callable[[str], Path], tmp_path: Path, narrow_weights: Path
) -> None:
    vgg = VGG19.load(narrow_weights, device="cpu", precision="float32")
    first = impasto.stylize(files("content"), [files("waves"), files("tiles")], STEPS, vgg=vgg)
    first.save(tmp_path / "a.png")
    output = read_recipe(tmp_path / "a.png")
    assert (output["settings"]["init"], output["init"], output["steps_done"] > 0) == ("fast", None, True)
    run = rerun.recreate_run(rerun.find_inputs(tmp_path / "a.png", [files("photo").parent]), str(narrow_weights))
    again = api.complete(run)
    assert torch.equal(again.tensor, first.tensor)
    assert again.recipe == first.recipe


def test_the_initial_image_of_a_run_with_masks_is_the_mixture_everywhere(narrow: VGG19, network: FastNetwork) -> None:
    left = torch.zeros(3, 64, 96)
    left[:, :, :48] = 1
    styles = [Style(WAVES, mask=Picture(left, name="left.png")), Style(TILES)]
    run = api.create_run(CONTENT, styles, STEPS.replace(scale_factor=1), vgg=narrow)
    assert mean(run.picture, fast(CONTENT, [WAVES, TILES], SMALL, network=network)) < 0.01
    assert run.inputs.styles[0].mask is not None


@pytest.mark.parametrize("task", ["texture", "reconstruct"])
def test_init_fast_needs_a_content_image_and_a_style_image(task: str, narrow: VGG19) -> None:
    with pytest.raises(SettingError, match=r"^init: got 'fast', which needs a content image and a style image; "):
        api.create_run(None if task == "texture" else CONTENT, [WAVES] if task == "texture" else [], STEPS, vgg=narrow)


def test_the_style_vector_of_a_picture_is_computed_once(network: FastNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    style, content = Picture(WAVES.tensor.clone()), Picture(CONTENT.tensor.clone())
    expected = [fast(each, WAVES, network=network).tensor for each in (content, WAVES)]
    sizes = []
    monkeypatch.setattr(stylizer, "resize", lambda *args: sizes.append(args[1:]) or resize(*args))
    results = [fast(each, style, network=network).tensor for each in (content, WAVES, content)]
    assert len(sizes) == 1  # of the style image, to the size that the predictor takes
    for result, plain in zip(results, [*expected, expected[0]], strict=True):
        assert torch.equal(result, plain)
