import dataclasses
import math

import pytest
import torch
from torch import Tensor

from impasto import Picture, Run, Settings, load
from impasto.errors import DivergedError, PictureError, SettingError
from impasto.images.guided import guided_upsampling
from impasto.images.masks import Style
from impasto.images.resize import resize
from impasto.loss.objective import Objective
from impasto.optimize.adam import Adam, IterateAverage
from impasto.optimize.lbfgs import LBFGS
from impasto.optimize.result import result_of
from impasto.optimize.scale_run import ScaleRun
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=4)


@pytest.fixture(scope="module")
def pair(content_image, style_image) -> tuple[Picture, Picture]:
    return load(content_image), load(style_image)


@pytest.fixture
def start(pair: tuple[Picture, Picture], narrow: VGG19):
    """A run of the pair with some settings changed."""

    def begin(*, styles: int = 1, content: bool = True, given: Picture | None = None, **changes: object) -> Run:
        content_image, style_image = pair
        settings = SMALL.replace(**changes)
        return Run(content_image if content else None, [style_image] * styles, settings, init=given, vgg=narrow)

    return begin


def color(value: float, height: int = 30, width: int = 40) -> Picture:
    return Picture(torch.full((3, height, width), value))


# -- the loop --


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "keras-adam"])
def test_a_run_takes_the_requested_steps_and_lowers_the_loss(optimizer: str, start) -> None:
    run = start(optimizer=optimizer, steps=12)
    steps = list(run)
    assert [step.number for step in steps] == list(range(12))
    assert {step.scale for step in steps} == {32}
    assert (run.steps_done, list(run)) == (12, [])
    assert float(run.evaluate(run.picture).total) < 0.9 * float(steps[0].terms.total)


def test_the_terms_of_a_step_are_those_before_its_update(start) -> None:
    run = start(optimizer="adam", average=0)
    before = run.picture
    for step in run:
        assert step.terms.to_floats() == pytest.approx(run.evaluate(before).to_floats(), rel=1e-6)
        before = step.preview()


def test_seconds_increase_also_across_a_pause(start) -> None:
    run = start()
    seconds = [next(iter(run)).seconds for _ in range(4)]
    assert 0 < seconds[0] < seconds[1] < seconds[2] < seconds[3] == run.seconds


def test_leaving_the_loop_keeps_the_result_and_iterating_again_continues(start) -> None:
    whole, halves = start(steps=6, optimizer="adam"), start(steps=6, optimizer="adam")
    list(whole)
    for step in halves:
        if step.number == 2:
            break
    assert halves.steps_done == 3
    kept = halves.picture.tensor.clone()
    assert torch.equal(halves.picture.tensor, kept)
    assert not torch.equal(kept, halves.initial_image[0])
    assert [step.number for step in halves] == [3, 4, 5]
    assert torch.equal(halves.picture.tensor, whole.picture.tensor)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "keras-adam"])
@pytest.mark.parametrize("average", [0, 0.9])
def test_a_preview_does_not_change_when_the_run_continues(optimizer: str, average: float, start) -> None:
    previews: list[tuple[Tensor, Tensor]] = []
    for step in start(optimizer=optimizer, average=average):
        tensor = step.preview().tensor
        previews.append((tensor, tensor.clone()))
    assert all(torch.equal(given, then) for given, then in previews)
    assert len({float(then.sum()) for _, then in previews}) == len(previews)


def test_the_result_is_the_average_of_adam_iterates_and_the_last_iterate_of_lbfgs(start) -> None:
    adam, lbfgs = start(optimizer="adam", average=0.5), start(optimizer="lbfgs", average=0.5)
    iterates = [adam.scale_run.optimizer.image.clone() for _ in adam]
    average = IterateAverage(0.5)
    for each in iterates:
        average.update(each)
    assert torch.equal(adam.picture.tensor, average.value[0])
    assert not torch.equal(adam.picture.tensor, iterates[-1][0])
    list(lbfgs)
    assert torch.equal(lbfgs.picture.tensor, lbfgs.scale_run.optimizer.image[0])


def test_the_settings_reach_the_optimizer(start) -> None:
    numbers = {"learning_rate": 0.3, "adam_beta1": 0.1, "adam_beta2": 0.2, "adam_epsilon": 0.4}
    for name, hat in (("adam", False), ("keras-adam", True)):
        adam = start(optimizer=name, **numbers).scale_run.optimizer
        assert isinstance(adam, Adam)
        assert (adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon) == (0.3, 0.1, 0.2, 0.4)
        assert adam.epsilon_hat is hat
    assert isinstance(start(optimizer="lbfgs").scale_run.optimizer, LBFGS)


def test_a_run_modifies_neither_the_network_nor_the_inputs(pair, start, narrow: VGG19) -> None:
    before = [each.tensor.clone() for each in pair]
    list(start(pooling="avg", padding="replicate", size=40))
    assert (narrow.pooling, narrow.padding) == ("max", "zeros")
    assert all(torch.equal(each.tensor, tensor) for each, tensor in zip(pair, before, strict=True))


# -- the initial image --


def test_equal_seeds_give_equal_results_and_different_seeds_different_noise(start) -> None:
    runs = [start(init="noise", seed=seed) for seed in (7, 7, 8)]
    noises = [run.picture.tensor for run in runs]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])
    assert 0 <= float(noises[0].min()) < 0.01
    assert 0.99 < float(noises[0].max()) <= 1
    for run in runs:
        list(run)
    assert torch.equal(runs[0].picture.tensor, runs[1].picture.tensor)


def test_the_seed_does_not_change_the_global_random_state(start) -> None:
    state = torch.get_rng_state()
    start(init="noise")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_starts_from_the_content_image_or_the_given_initial_image(pair, start) -> None:
    content_image, style_image = pair
    assert torch.equal(start(size=40).picture.tensor, content_image.tensor)
    given = Picture(content_image.tensor.flip(0))
    assert torch.equal(start(size=40, init="given", given=given).picture.tensor, given.tensor)
    assert start(size=40, init="given", given=style_image).picture.tensor.shape == content_image.tensor.shape


def test_a_missing_initial_image_is_refused(pair, narrow: VGG19) -> None:
    with pytest.raises(SettingError, match=r"init: got 'sketch\.png', but no such image; pass it to the run as `init`"):
        Run(*pair[:1], [pair[1]], SMALL.replace(init="sketch.png"), vgg=narrow)


# -- the tasks --


def test_texture_synthesis_has_the_shape_of_the_style_image_and_no_content_loss(pair, narrow: VGG19) -> None:
    run = Run(None, [pair[1]], SMALL.replace(init="noise", size=36, steps=15), vgg=narrow)
    steps = [step.terms.to_floats() for step in run]
    assert (run.task, run.width, run.height) == ("texture", 36, 28)
    assert {step["content"] for step in steps} == {0}
    assert steps[-1]["style"] < 0.5 * steps[0]["style"]


def test_without_a_style_the_content_is_reconstructed(pair, narrow: VGG19) -> None:
    run = Run(pair[0], [], SMALL.replace(init="noise", steps=15), vgg=narrow)
    steps = [step.terms.to_floats() for step in run]
    assert run.task == "reconstruct"
    assert {step["style"] for step in steps} == {0}
    assert steps[-1]["content"] < 0.5 * steps[0]["content"]


def grams(run: Run) -> dict[str, Tensor]:
    """The target Gram matrices of a run."""
    (style_target,) = run.scale_run.objective.targets.style
    return {name: target.moments.second for name, target in style_target.layers.items()}


def test_several_style_images_are_mixed(pair, start, narrow: VGG19) -> None:
    content_image, style_image = pair
    other = Picture(style_image.tensor.flip(0))
    mixed = grams(Run(content_image, [style_image, other], SMALL, vgg=narrow))
    alone = [grams(Run(content_image, [each], SMALL, vgg=narrow)) for each in (style_image, other)]
    for name, gram in mixed.items():
        torch.testing.assert_close(gram, (alone[0][name] + alone[1][name]) / 2)
    assert all(torch.equal(gram, alone[0][name]) for name, gram in grams(start(styles=2)).items())


@pytest.mark.parametrize("content", [True, False])
def test_nearest_neighbors_are_those_of_the_content_image_if_there_is_one(content: bool, start) -> None:
    run = start(style_loss="nearest", content=content, init="content" if content else "noise")
    gram, nearest = run.scale_run.objective.targets.style
    assert gram.layers.keys() == run.settings.style_layers.keys()
    assert list(nearest.layers) == ["block3_conv1", "block4_conv1", "block5_conv1"]
    assert all((sample.indices is not None) == content for sample in nearest.layers.values())
    first, *_, last = [step.terms.to_floats() for step in run]
    assert last["style"] < first["style"]


def test_shallow_layers_have_no_nearest_neighbors(start) -> None:
    layers = {"block1_conv1": 1.0, "block2_conv1": 1.0}
    nearest, gram = (list(start(style_loss=loss, style_layers=layers)) for loss in ("nearest", "gram"))
    assert [step.terms.to_floats() for step in nearest] == [step.terms.to_floats() for step in gram]


def test_the_style_scale_is_the_size_of_the_style_image_relative_to_the_result(pair, start, narrow: VGG19) -> None:
    half = grams(start(style_scale=0.5, size=72))
    same = grams(Run(pair[0], [pair[1]], SMALL.replace(size=36), vgg=narrow))
    assert all(torch.equal(half[name], same[name]) for name in same)


@pytest.mark.parametrize(
    ("content", "styles", "changes", "complaint"),
    [
        (False, 0, {}, "no image given; give a content image, a style image or both"),
        (True, 1, {"content_weight": 0, "style_weight": 0}, "all weights used by the task stylize are 0"),
        (True, 0, {"content_weight": 0}, "all weights used by the task reconstruct are 0"),
        (
            True,
            1,
            {"content_layers": {}, "style_layers": {"block1_conv1": 0}},
            "all weights used by the task stylize are",
        ),
        (False, 1, {"style_weight": 0, "init": "noise"}, "all weights used by the task texture are 0"),
        (False, 1, {}, "init: got 'content', but texture synthesis has no content image; give 'noise' or an image"),
    ],
)
def test_a_run_without_anything_to_minimize_is_refused(content, styles, changes, complaint, start) -> None:
    with pytest.raises(SettingError) as caught:
        start(content=content, styles=styles, **changes)
    assert complaint in str(caught.value)


def test_an_image_too_small_for_the_layers_is_refused_with_the_smallest_size(pair, narrow: VGG19) -> None:
    thin = Picture(torch.rand(3, 10, 200), name="thin.png")
    with pytest.raises(PictureError, match=r"thin\.png: 200x10 pixels become 100x5, the selected layers need 16 or "):
        Run(thin, [pair[1]], SMALL.replace(size=100), vgg=narrow)
    with pytest.raises(PictureError, match=r"style 2: 300x10 pixels become 32x1, "):
        Run(pair[0], [pair[1], Picture(torch.rand(3, 10, 300))], SMALL, vgg=narrow)
    assert Run(thin, [pair[1]], SMALL.replace(size=320), vgg=narrow).height == 16


# -- alpha --


def test_the_result_has_the_alpha_of_the_content_image_at_its_own_size(pair, narrow: VGG19) -> None:
    alpha = torch.zeros(1, 30, 40)
    alpha[..., 20:] = 1
    content_image = dataclasses.replace(pair[0], alpha=alpha)
    run = Run(content_image, [pair[1]], SMALL.replace(size=24, steps=1), vgg=narrow)
    list(run)
    found = run.picture.alpha
    assert found.shape == (1, 18, 24)
    assert not found[..., :8].any()
    assert float(found[..., 16:].min()) > 0.9999


def test_colors_of_transparent_pixels_do_not_affect_the_result(pair, narrow: VGG19) -> None:
    alpha = torch.ones(1, 30, 40)
    alpha[:, 5:15, 5:15] = 0
    loud = pair[0].tensor.clone()
    loud[:, 5:15, 5:15] = torch.tensor([1.0, 0, 1]).view(3, 1, 1)
    quiet = torch.where(alpha > 0, pair[0].tensor, 0)
    runs = [Run(Picture(each, alpha), [pair[1]], SMALL, vgg=narrow) for each in (loud, quiet)]
    for run in runs:
        list(run)
    assert torch.equal(runs[0].picture.tensor, runs[1].picture.tensor)


# -- extremes --


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_have_finite_losses(optimizer: str, value: float, pair, narrow: VGG19) -> None:
    settings = SMALL.replace(optimizer=optimizer, tv_weight=1, steps=3)
    for content_image, style_image in ((color(value), pair[1]), (pair[0], color(value)), (color(value), color(value))):
        run = Run(content_image, [style_image], settings, vgg=narrow)
        assert all(math.isfinite(number) for step in run for number in step.terms.to_floats().values())
        assert run.picture.tensor.isfinite().all()


@pytest.mark.parametrize("optimizer", ["adam", "keras-adam"])
def test_a_content_image_in_its_own_style_has_no_loss_and_is_unchanged(optimizer: str, pair, narrow: VGG19) -> None:
    run = Run(pair[0], [pair[0]], SMALL.replace(optimizer=optimizer), vgg=narrow)
    assert [float(step.terms.total) for step in run] == [0] * 4
    assert torch.equal(run.picture.tensor, run.initial_image[0])
    assert run.equals_initial(run.picture.rounded())


def test_when_lbfgs_stalls_the_run_continues_with_adam_with_a_note(pair, narrow: VGG19) -> None:
    run = Run(pair[0], [pair[0]], SMALL, vgg=narrow)
    notes = [step.notes for step in run]
    assert notes[0] == ("L-BFGS cannot lower the loss any further at step 0; continuing with Adam",)
    assert not any(notes[1:])
    assert isinstance(run.scale_run.optimizer, Adam)
    assert run.scale_run.optimizer.learning_rate == pytest.approx(0.1 * SMALL.learning_rate)


@pytest.mark.parametrize(("rate", "steps", "improves"), [(0.05, 20, True), (10, 8, False)])
def test_after_lbfgs_the_result_is_the_image_with_the_lowest_loss(
    rate: float, steps: int, improves: bool, start
) -> None:
    run = start(steps=steps, learning_rate=rate)
    taken = iter(run)
    for _ in range(3):
        next(taken)
    run.scale_run.optimizer.stalled.fill_(True)
    stalled = next(taken)
    assert stalled.notes
    totals = [float(stalled.terms.total), *(float(step.terms.total) for step in taken)]
    assert (min(totals[1:]) < 0.99 * totals[0]) is improves
    assert float(run.evaluate(run.picture).total) == pytest.approx(min(totals), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "keras-adam"])
def test_an_infinite_loss_stops_the_run_with_what_to_do(optimizer: str, pair, narrow: VGG19) -> None:
    kernel, bias = narrow.kernels["block1_conv1"]
    loud = {
        **narrow.kernels,
        "block1_conv1": (kernel * 1e9, bias),
    }  # Gram matrices of 1e23: their squares are too many
    settings = SMALL.replace(optimizer=optimizer, init="noise", convention="impasto")
    run = Run(pair[0], [pair[1]], settings, vgg=VGG19(loud))
    with pytest.raises(
        DivergedError, match=r"step 0: the loss is inf; the run is stopped; lower the weights or --learning"
    ):
        list(run)


def test_a_network_that_returns_nan_stops_the_run(pair, narrow: VGG19) -> None:
    kernels = {name: (kernel, bias.clone()) for name, (kernel, bias) in narrow.kernels.items()}
    kernels["block5_conv1"][1][:] = float("nan")
    with pytest.raises(DivergedError, match="the loss is nan"):
        list(Run(pair[0], [pair[1]], SMALL.replace(convention="impasto"), vgg=VGG19(kernels)))


# -- scales --


SCALES = {"size": 88, "first_scale": 22, "steps": 3}


def test_a_run_takes_its_steps_at_every_scale_from_coarse_to_fine(start) -> None:
    run = start(**SCALES)
    steps = [(step.scale, step.preview()) for step in run]
    assert [scale for scale, _ in steps] == [22] * 3 + [44] * 3 + [88] * 3
    assert (run.width, run.height) == (steps[-1][1].width, steps[-1][1].height) == (88, 66)
    assert run.steps == run.steps_done == 9


def test_a_scale_starts_from_the_result_of_the_previous_one(start, monkeypatch) -> None:
    run, begun = start(**SCALES, optimizer="adam"), []

    def recording(objective: Objective, image: Tensor, settings: Settings, coarser: Adam | None) -> ScaleRun:
        begun.append((image.clone(), coarser))
        return ScaleRun(objective, image, settings, coarser)

    monkeypatch.setattr("impasto.optimize.run.ScaleRun", recording)
    shown = [step.preview().tensor for step in run]
    for (image, coarser), end in zip(begun, (shown[2], shown[5]), strict=True):
        torch.testing.assert_close(image, resize(end[None], *image.shape[2:]))
        assert isinstance(coarser, Adam)


def test_moments_are_rescaled_to_the_gradients_of_the_next_scale(start) -> None:
    run = start(**SCALES, optimizer="adam")
    taken = iter(run)
    for _ in range(3):
        next(taken)
    coarse, settings = run.scale_run.optimizer, run.settings
    image = resize(coarse.image, 33, 44)
    fine = ScaleRun(run.scale_run.objective, image, settings, coarse).optimizer
    assert (fine.steps, fine.first_moment.shape) == (3, (1, 3, 33, 44))
    assert float(fine.first_moment.sum()) == pytest.approx(float(coarse.first_moment.sum()), rel=0.05)
    assert float(fine.second_moment.sum()) == pytest.approx(float(coarse.second_moment.sum()) / 4, rel=0.2)


def test_a_small_run_equals_the_beginning_of_a_large_one_bit_for_bit(narrow: VGG19) -> None:
    """Also with input images larger than either run."""
    generator = torch.Generator().manual_seed(1)
    content, init, keep, mask, first, second, detail = (
        Picture(torch.rand(3, height, width, generator=generator), name=f"{height}.png")
        for height, width in [(150, 200), (120, 160), (180, 240), (75, 100), (130, 90), (300, 200), (90, 120)]
    )
    styles = [Style(first, mask=mask), Style(second)]
    large, small = (
        Run(
            content,
            styles,
            SMALL.replace(size=size, first_scale=22, steps=2, color="match", init="120.png"),
            init=init,
            keep=keep,
            detail=detail,
            vgg=narrow,
        )
        for size in (88, 44)
    )
    ends = {step.scale: step.preview().tensor for step in large}
    list(small)
    assert torch.equal(ends[44], small.picture.tensor)


@pytest.mark.parametrize("init", ["content", "noise"])
def test_an_initial_image_that_the_settings_do_not_name_is_refused(init: str, pair, narrow: VGG19) -> None:
    with pytest.raises(SettingError, match=f"^init: got '{init}' and an image; set it to the name of the image"):
        Run(pair[0], [pair[1]], SMALL.replace(init=init), init=pair[1], vgg=narrow)


def test_a_mask_shared_by_style_images_is_reduced_once(pair, narrow: VGG19) -> None:
    one, other = (Picture(torch.rand(3, 150, 200)) for _ in range(2))
    shared, apart = (
        Run(pair[0], [Style(pair[1], mask=mask) for mask in masks], Settings(size=64, first_scale=32), vgg=narrow)
        for masks in [(one, one), (one, other)]
    )
    assert shared.inputs.nbytes < apart.inputs.nbytes


def test_a_scale_at_which_an_image_is_too_small_is_left_out(pair, narrow: VGG19) -> None:
    settings = Settings(size=100, first_scale=25, steps=2)
    run = Run(Picture(torch.rand(3, 30, 100)), [pair[1]], settings, vgg=narrow)
    assert [plan.size for plan in run.plan] == [(30, 100)]
    run = Run(pair[0], [Picture(torch.rand(3, 80, 200))], settings, vgg=narrow)
    assert [plan.size for plan in run.plan] == [(38, 50), (75, 100)]


def test_every_scale_has_its_own_content_weight(start) -> None:
    run = start(size=512, first_scale=128, steps=1, coarse_content=16, content_weight=2, convention="impasto")
    weights = [run.scale_run.objective.weights.content for _ in run]
    assert weights == pytest.approx([32, 8, 2])


# -- upsampling --


def test_the_last_scale_is_upsampled_with_the_content_image(pair, start, narrow: VGG19) -> None:
    large, small = start(**SCALES, last_scale=44), start(**SCALES | {"size": 44})
    previews = [step.preview().tensor for step in large]
    list(small)
    content = [resize(pair[0].tensor[None], *size) for size in ((33, 44), (66, 88))]
    expected = guided_upsampling(small.picture.tensor[None], *content)[0]
    assert torch.equal(large.picture.tensor, expected)
    assert [max(image.shape) for image in previews] == [22] * 3 + [88] * 3
    assert (large.width, large.height) == (88, 66)


def test_what_is_kept_has_the_pixels_of_the_content_image_after_upsampling(pair, narrow: VGG19) -> None:
    left = Picture(torch.zeros(3, 66, 88).index_fill_(2, torch.arange(30), 1))
    content = Picture(resize(pair[0].tensor[None], 66, 88)[0])
    run = Run(content, [pair[1]], Settings(**SCALES, last_scale=44), keep=left, vgg=narrow)
    list(run)
    assert torch.equal(run.picture.tensor[:, :, :30], content.tensor[:, :, :30])
    assert not torch.equal(run.picture.tensor[:, :, 30:], content.tensor[:, :, 30:])


def test_the_loss_of_an_upsampled_image_is_that_at_the_last_scale(start) -> None:
    run = start(**SCALES, last_scale=44)
    list(run)
    small = Picture(resize(run.picture.tensor[None], 33, 44)[0])
    assert run.evaluate(run.picture).to_floats() == run.evaluate(small).to_floats()
    assert result_of(run).notes == ()


def test_the_plan_counts_an_upsampled_result_and_its_rounded_copy(pair, narrow: VGG19) -> None:
    large = Picture(torch.rand(3, 900, 1200))
    settings = Settings(size=1200, last_scale=44, scale_factor=1, steps=1)
    upsampled, small = (Run(large, [pair[1]], each, vgg=narrow) for each in (settings, settings.replace(size=44)))
    more = upsampled.plan[-1].memory - small.plan[-1].memory
    assert more == pytest.approx(3 * 4 * 3 * 900 * 1200, rel=0.01)  # and the content image at that size


@pytest.mark.parametrize("changes", [{"content": False, "init": "noise"}, {"padding": "circular"}])
def test_a_texture_is_not_upsampled(changes: dict[str, object], start) -> None:
    with pytest.raises(SettingError, match=r"^last_scale: got 44 below the size 88, but a texture cannot"):
        start(**SCALES, last_scale=44, **changes)


# -- strips --


def test_a_run_in_strips_equals_a_whole_one(start, pair, narrow: VGG19) -> None:
    settings = Settings(size=64, first_scale=32, steps=3, optimizer="adam")
    whole, strips = (Run(pair[0], [pair[1]], settings, vgg=narrow, strips=each) for each in ((None, None), (16, 16)))
    assert [plan.strip for plan in strips.plan] == [16, 16]
    for one, other in zip(whole, strips, strict=True):
        assert one.terms.to_floats() == pytest.approx(other.terms.to_floats(), rel=1e-4)
    torch.testing.assert_close(whole.picture.tensor, strips.picture.tensor, rtol=0, atol=1e-3)


def test_a_memory_limit_that_nothing_fits_into_is_refused_before_the_first_step(pair, narrow: VGG19) -> None:
    with pytest.raises(SettingError, match="memory: 32x24 pixels need "):
        Run(pair[0], [pair[1]], SMALL, vgg=narrow, memory=1000)


def test_a_run_that_is_out_of_memory_continues_in_strips_with_a_note(start, monkeypatch) -> None:
    run, plain = start(optimizer="adam", size=64), start(optimizer="adam", size=64)
    evaluate = Objective.value_and_grad_rows

    def short_of_memory(self: Objective, image: Tensor):
        if self.strip is None or self.strip > 16:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return evaluate(self, image)

    list(plain)
    monkeypatch.setattr(Objective, "value_and_grad_rows", short_of_memory)
    notes = [step.notes for step in run]
    assert notes[0] == ("not enough memory; continuing in strips of 16 rows",)
    assert not any(notes[1:])
    assert [plan.strip for plan in run.plan] == [16]
    torch.testing.assert_close(run.picture.tensor, plain.picture.tensor, rtol=0, atol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("before", [0, 1])
def test_running_out_of_memory_during_the_gradient_counts_no_row_twice(  # noqa: PLR0917
    before: int, optimizer: str, start, pair, narrow: VGG19, monkeypatch
) -> None:
    near = {"content_layers": {"block1_conv2": 1.0}, "style_layers": {"block1_conv1": 1.0}}
    settings = SMALL.replace(optimizer=optimizer, size=64, steps=3, **near)
    run, plain = (Run(pair[0], [pair[1]], settings, vgg=narrow, strips=[32]) for _ in range(2))
    evaluate = Objective.value_and_grad_rows

    def short_of_memory(self: Objective, image: Tensor):
        terms, rows = evaluate(self, image)

        def failing():
            for number, each in enumerate(rows):
                if self.strip == 32 and number == before:
                    raise MemoryError
                yield each

        return terms, failing()

    list(plain)
    monkeypatch.setattr(Objective, "value_and_grad_rows", short_of_memory)
    notes = [step.notes for step in run]
    assert notes[0] == ("not enough memory; continuing in strips of 16 rows",)
    torch.testing.assert_close(run.picture.tensor, plain.picture.tensor, rtol=0, atol=1e-3)


def test_targets_are_computed_in_strips_when_out_of_memory(start, monkeypatch) -> None:
    forward = Backprop.forward

    def short_of_memory(self: Backprop, image: Tensor, read):
        if self.strip is None:
            raise MemoryError
        forward(self, image, read)

    monkeypatch.setattr(Backprop, "forward", short_of_memory)
    run = start(optimizer="adam", size=64)
    assert [plan.strip for plan in run.plan] == [16]
    assert not any(step.notes for step in run)


def test_a_run_that_is_out_of_memory_in_the_lowest_strips_fails(start, monkeypatch) -> None:
    def never(self: Objective, image: Tensor):
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr(Objective, "value_and_grad_rows", never)
    with pytest.raises(RuntimeError, match="can't allocate"):
        list(start(size=64))


# -- divergence --


@pytest.fixture
def failing(monkeypatch):
    """From the evaluation `first` on, `times` evaluations have a loss that is `value`."""

    def fail(first: int, times: int, value: float = math.nan) -> None:
        evaluate, count = Objective.value_and_grad_rows, iter(range(10**6))

        def failing(self: Objective, image: Tensor):
            terms, rows = evaluate(self, image)
            if first <= next(count) < first + times:
                terms = terms._replace(total=torch.tensor(value))
            return terms, rows

        monkeypatch.setattr(Objective, "value_and_grad_rows", failing)

    return fail


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("optimizer", ["adam", "keras-adam"])
def test_a_diverged_loss_returns_to_the_best_image_with_a_smaller_step_size(
    optimizer: str, value: float, start, failing
) -> None:
    run = start(optimizer=optimizer, steps=12)
    failing(5, 1, value)
    steps = list(run)
    (noted,) = [step for step in steps if step.notes]
    assert (noted.number, noted.notes) == (
        5,
        (f"the loss is {value:g} at step 5; returning to the best image with a smaller step size",),
    )
    assert run.scale_run.optimizer.learning_rate == pytest.approx(0.1 * SMALL.learning_rate)
    totals = [float(step.terms.total) for step in steps if step.number != 5]
    assert float(run.evaluate(run.picture).total) == pytest.approx(min(totals), rel=1e-5)
    assert float(steps[6].terms.total) == pytest.approx(min(totals[:5]), rel=1e-6)


def test_a_large_image_returns_to_its_best_one_in_8_bits(start, failing, monkeypatch) -> None:
    monkeypatch.setattr("impasto.optimize.memory_plan.LARGE_IMAGE", 100)
    run = start(steps=6)
    failing(3, 1)
    steps = list(run)
    assert isinstance(run.scale_run.optimizer, Adam)
    assert run.scale_run.best.dtype == torch.uint8
    totals = [float(step.terms.total) for step in steps]
    assert totals[4] == pytest.approx(min(totals[:3]), rel=1e-2)


def test_a_run_that_diverges_repeatedly_stops_with_its_best_image(start, failing) -> None:
    run = start(optimizer="adam", steps=30)
    failing(3, 100)
    steps = []
    with pytest.raises(
        DivergedError, match=r"step 7: the loss is nan; the run is stopped; lower the weights or --learning"
    ):
        steps.extend(run)
    assert sum(len(step.notes) for step in steps) == 1
    totals = [float(step.terms.total) for step in steps]
    assert float(run.scale_run.objective(run.picture.tensor[None]).total) == pytest.approx(min(totals[:3]), rel=1e-5)


def test_lbfgs_without_a_finite_loss_on_its_line_search_continues_with_adam(start, monkeypatch) -> None:
    run, evaluate, count = start(steps=8), Objective.value_and_grad_rows, iter(range(1000))

    def failing(self: Objective, image: Tensor):
        terms, rows = evaluate(self, image)
        if next(count) > 3 and isinstance(run.scale_run.optimizer, LBFGS):
            terms = terms._replace(total=torch.tensor(math.nan))
        return terms, rows

    monkeypatch.setattr(Objective, "value_and_grad_rows", failing)
    notes = [note for step in run for note in step.notes]
    assert len(notes) == 1
    assert "continuing with Adam" in notes[0]
    assert isinstance(run.scale_run.optimizer, Adam)
    assert run.picture.tensor.isfinite().all()
