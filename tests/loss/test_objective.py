import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.overrides import TorchFunctionMode

from impasto.loss import functional
from impasto.loss.conventions import loss_weights
from impasto.loss.grain import Grain, mixed, moments
from impasto.loss.nearest import Sample
from impasto.loss.objective import LossWeights, Objective, Terms
from impasto.loss.statistics import Gaussian, Gram, LayerTarget, Moments
from impasto.loss.style_targets import style_targets
from impasto.loss.targets import StyleTarget, Targets, content_targets
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.vgg.model import VGG19

SETTINGS = Settings(
    convention="impasto",
    content_weight=0.3,
    style_weight=0.7,
    tv_weight=11.0,
    grain_weight=13.0,
    content_layers={"block2_conv2": 2.0, "block4_conv2": 0.5},
    style_layers={"block1_conv1": 0.2, "block3_conv1": 0.1},
)


def random_image(seed: int, height: int = 20, width: int = 24) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(vgg: VGG19, content: Tensor | None, styles: list[Tensor], settings: Settings = SETTINGS) -> Objective:
    computed = targets(vgg, content, styles, settings)
    return Objective(vgg, computed, loss_weights(settings, computed))


def targets(
    vgg: VGG19, content: Tensor | None, styles: list[Tensor], settings: Settings, strip: int | None = None
) -> Targets:
    content_part = {} if content is None else content_targets(vgg, content, settings.content_layers, strip=strip)
    shares = [(style, 1 / len(styles)) for style in styles]
    grain = (
        Grain(mixed((share, moments(style / 2)) for style, share in shares)) if shares else None
    )  # half the contrast
    style = StyleTarget(style_targets(vgg, shares, settings.style_layers, strip=strip))
    return Targets(content_part, [style], [] if grain is None else [grain])


@pytest.fixture
def whole(narrow64: VGG19) -> Objective:
    vgg = narrow64.configured(pooling="avg", padding="replicate")  # smooth but for the ReLU
    return objective(vgg, random_image(1), [random_image(2), random_image(3, 30, 18)])


def gram_of(whole: Objective, layer: str) -> Tensor:
    """The Gram matrix of the style target."""
    return whole.targets.style[0].layers[layer].moments.second


def formula(whole: Objective, image: Tensor) -> Tensor:
    """The total, implemented independently, for autograd."""
    features = whole.vgg(image, {*whole.targets.content, *whole.targets.style[0].layers})
    total = whole.weights.tv * whole.weights.variation(image)
    for target in whole.targets.grain:  # its value has a graph; `test_grain` checks it
        total = total + whole.weights.grain * target.compare(image).loss()
    for name, weight in whole.weights.content_layers.items():
        total = (
            total
            + whole.weights.content * weight * (features[name] - whole.targets.content[name].values).square().mean()
        )
    for name, weight in whole.weights.style_layers[0].items():
        flat = features[name].flatten(2)
        gram = flat @ flat.mT / flat.shape[2]
        total = total + whole.weights.style * weight * (gram - gram_of(whole, name)).square().mean()
    return total


def test_the_formula_passes_gradcheck(narrow64: VGG19) -> None:
    image = random_image(4, 8, 9)
    small = objective(narrow64, random_image(1, 8, 9), [random_image(2, 12, 8)])
    assert torch.autograd.gradcheck(
        lambda pixels: formula(small, pixels) / 1e6, image.requires_grad_(), eps=1e-7, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("both", ["block3_conv1", "block4_pool"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_value_and_gradient_equal_autograd(narrow64: VGG19, pooling: str, padding: str, both: str) -> None:
    settings = SETTINGS.replace(
        content_layers={**SETTINGS.content_layers, both: 3.0}, style_layers={**SETTINGS.style_layers, both: 0.4}
    )
    vgg = narrow64.configured(pooling=pooling, padding=padding)  # type: ignore[arg-type]
    whole, image = (
        objective(vgg, random_image(1), [random_image(2), random_image(3, 30, 18)], settings),
        random_image(4).requires_grad_(),
    )
    expected = formula(whole, image)
    (expected_gradient,) = torch.autograd.grad(expected, image)
    terms, gradient = whole.value_and_grad(image.detach())
    assert float(terms.total) == pytest.approx(expected.item(), rel=1e-12)
    assert float((gradient - expected_gradient).norm() / expected_gradient.norm()) < 1e-10


def test_the_gradient_is_the_slope_of_the_loss_in_any_direction(whole: Objective) -> None:
    image = random_image(4)
    _, gradient = whole.value_and_grad(image)
    for seed in range(5, 9):
        direction = random_image(seed) - 0.5
        ahead, behind = (float(whole(image + sign * 1e-7 * direction).total) for sign in (1, -1))
        assert (ahead - behind) / 2e-7 == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_the_total_is_the_weighted_sum_of_the_terms(whole: Objective) -> None:
    terms = whole(random_image(4)).to_floats()
    assert min(terms.values()) > 0
    weighted = 0.3 * terms["content"] + 0.7 * terms["style"] + 11 * terms["tv"] + 13 * terms["grain"]
    assert terms["total"] == pytest.approx(weighted, rel=1e-14)


def test_the_terms_are_the_weighted_sums_of_the_layers_losses(whole: Objective) -> None:
    image, vgg = random_image(4), whole.vgg
    here, content = vgg(image), vgg(random_image(1))
    grams = {
        name: (functional.gram(vgg(random_image(2))[name]), functional.gram(vgg(random_image(3, 30, 18))[name]))
        for name in here
    }
    terms = whole(image)
    expected = sum(
        weight * ((here[name] - content[name]) ** 2).mean() for name, weight in SETTINGS.content_layers.items()
    )
    assert float(terms.content) == pytest.approx(float(expected), rel=1e-12)
    expected = sum(
        weight * ((functional.gram(here[name]) - (grams[name][0] + grams[name][1]) / 2) ** 2).mean()
        for name, weight in SETTINGS.style_layers.items()
    )
    assert float(terms.style) == pytest.approx(float(expected), rel=1e-12)
    assert float(terms.tv) == pytest.approx(float(functional.total_variation(image)), rel=1e-14)


def test_an_image_that_is_its_own_target_has_no_loss_and_no_gradient(narrow64: VGG19) -> None:
    terms, gradient = objective(
        narrow64, random_image(1), [random_image(1)], SETTINGS.replace(tv_weight=0, grain_weight=0)
    ).value_and_grad(random_image(1))
    assert terms.to_floats() == {
        "total": 0,
        "content": 0,
        "style": 0,
        "tv": pytest.approx(2 / 3, rel=0.2),
        "grain": 0,
    }
    assert not gradient.any()


def test_the_style_of_several_images_is_the_mean_of_their_gram_matrices(narrow64: VGG19) -> None:
    one, other = random_image(2), random_image(3, 30, 18)
    mixed = objective(narrow64, None, [one, other, other])
    for name in SETTINGS.style_layers:
        expected = (functional.gram(narrow64(one)[name]) + 2 * functional.gram(narrow64(other)[name])) / 3
        torch.testing.assert_close(gram_of(mixed, name), expected, rtol=1e-13, atol=0)


def test_the_order_of_style_images_does_not_matter(narrow64: VGG19) -> None:
    forth, back = (
        objective(narrow64, None, styles)
        for styles in ([random_image(2), random_image(3)], [random_image(3), random_image(2)])
    )
    assert float(forth(random_image(4)).style) == pytest.approx(float(back(random_image(4)).style), rel=1e-12)


def test_without_a_content_or_a_style_their_terms_are_zero(narrow64: VGG19) -> None:
    texture = objective(narrow64, None, [random_image(2)])(random_image(4))
    reconstruction = objective(narrow64, random_image(1), [])(random_image(4))
    assert (float(texture.content), float(reconstruction.style)) == (0, 0)
    assert float(texture.style) > 0
    assert float(reconstruction.content) > 0


def test_layers_above_the_last_compared_one_are_not_evaluated(narrow64: VGG19) -> None:
    kernels = {name: narrow64.kernels[name] for name in ("block1_conv1", "block1_conv2", *list(narrow64.kernels)[2:5])}
    assert "block3_conv2" not in kernels
    terms, _ = objective(VGG19(kernels, dtype=torch.float64), None, [random_image(2)]).value_and_grad(random_image(4))
    assert float(terms.style) > 0


def test_evaluating_changes_neither_the_image_nor_the_targets_and_leaves_no_graph(whole: Objective) -> None:
    image = random_image(4)
    held = {name: target.values for name, target in whole.targets.content.items()}
    held |= {name: gram_of(whole, name) for name in SETTINGS.style_layers}
    kept = {name: tensor.clone() for name, tensor in held.items()}
    first, second = whole.value_and_grad(image), whole.value_and_grad(image)
    assert torch.equal(image, random_image(4))
    assert not image.requires_grad
    assert not any(tensor.requires_grad for tensor in (*first[0][:5], *first[0].layers.values(), first[1]))
    assert first[0].to_floats() == second[0].to_floats()
    assert torch.equal(first[1], second[1])
    assert all(torch.equal(held[name], tensor) for name, tensor in kept.items())


def test_a_network_in_bfloat16_gives_float32_numbers_for_a_float32_image(narrow: VGG19) -> None:
    half = VGG19(narrow.kernels, dtype=torch.bfloat16)
    images = [random_image(seed).float() for seed in (1, 2, 4)]
    exact, near = (objective(vgg, images[0], [images[1]]).value_and_grad(images[2]) for vgg in (narrow, half))
    assert near[1].dtype == torch.float32
    assert all(term.dtype == torch.float32 for term in (*near[0][:5], *near[0].layers.values()))
    assert float(torch.cosine_similarity(near[1].flatten(), exact[1].flatten(), dim=0)) > 0.99
    assert float(near[0].total) == pytest.approx(float(exact[0].total), rel=0.1)


def test_terms_are_converted_by_name() -> None:
    terms = Terms(*(torch.tensor(float(value)) for value in (6, 1, 2, 3, 4)))
    assert terms.to_floats() == {"total": 6, "content": 1, "style": 2, "tv": 3, "grain": 4}


# -- strips --


def target_tensors(targets: Targets) -> list[Tensor]:
    """The tensors of content and style targets."""
    grams = [target.moments.second for target in targets.style[0].layers.values()]
    return [target.values for target in targets.content.values()] + grams


def striped(whole: Objective, strip: int) -> Objective:
    return Objective(whole.vgg, whole.targets, whole.weights, strip=strip)


@given(
    height=st.integers(16, 60),
    width=st.integers(16, 40),
    strip=st.integers(1, 64),
    content=st.sets(st.sampled_from(layers.up_to_last(["block4_pool"])), max_size=2),
    style=st.sets(st.sampled_from(layers.up_to_last(["block5_conv1"])), min_size=1, max_size=3),
)
@hypothesis.settings(max_examples=60)
def test_strips_give_the_numbers_of_the_whole_image(  # noqa: PLR0917
    height: int, width: int, strip: int, content: set[str], style: set[str], narrow64: VGG19
) -> None:
    settings = SETTINGS.replace(content_layers=dict.fromkeys(content, 2.0), style_layers=dict.fromkeys(style, 0.3))
    content_image, style_image = random_image(1, height, width), random_image(2, 30, 34)
    computed = [targets(narrow64, content_image, [style_image], settings, rows) for rows in (None, strip)]
    for one, other in zip(*(target_tensors(case) for case in computed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    whole = Objective(narrow64, computed[0], loss_weights(settings, computed[0]))
    expected, expected_gradient = whole.value_and_grad(random_image(4, height, width))
    terms, gradient = striped(whole, strip).value_and_grad(random_image(4, height, width))
    assert terms.to_floats() == pytest.approx(expected.to_floats(), rel=1e-10)
    assert float((gradient - expected_gradient).norm()) <= 1e-10 * float(expected_gradient.norm())


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("strip", [16, 40])
def test_strips_are_as_close_as_the_precision_is(strip: int, dtype: torch.dtype, error: float, narrow: VGG19) -> None:
    vgg = VGG19(narrow.kernels, dtype=dtype)
    images = [scale * random_image(seed, 90, 70).float() for seed, scale in ((1, 1), (2, 1), (4, 0.3))]
    whole = objective(vgg, images[0], [images[1]])
    expected, expected_gradient = whole.value_and_grad(images[2])
    terms, gradient = striped(whole, strip).value_and_grad(images[2])
    assert float(terms.total) == pytest.approx(float(expected.total), rel=error)
    assert float((gradient - expected_gradient).norm() / expected_gradient.norm()) < error


def test_narrower_strips_are_half_as_high_and_at_least_sixteen_rows(whole: Objective) -> None:
    strips = []
    for _ in range(4):
        whole.narrow_strips(100)
        strips.append(whole.strip)
    assert strips == [48, 16, 16, 16]


class NoNewTensors(TorchFunctionMode):
    """Refuses to make tensors of Python's numbers, which a GPU would have to copy from main memory."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.tensor, torch.Tensor.new_tensor)
        assert func is not torch.as_tensor or isinstance(args[0], Tensor)
        return func(*args, **(kwargs or {}))


def without_values(loss: str, guide: Tensor | None) -> LayerTarget:
    """A target of four channels on torch's device without values."""
    square, vector = torch.empty(1, 4, 4, device="meta"), torch.empty(1, 4, device="meta")
    if loss == "gram":
        return Gram(Moments(square), guide)
    if loss == "wasserstein":
        return Gaussian(Moments(square, vector), guide)
    return Sample(torch.empty(64, 4, device="meta"), guide)


@pytest.mark.parametrize("strip", [None, 16])
@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("loss", ["gram", "wasserstein", "nearest"])
def test_an_evaluation_does_not_wait_for_the_device(loss: str, guided: bool, strip: int | None, narrow: VGG19) -> None:
    # Reading a value on the device "meta" raises an error, and so does an operation on tensors of two devices.
    vgg, image = VGG19(narrow.kernels, device="meta"), torch.empty(1, 3, 40, 48, device="meta")
    style = without_values(loss, torch.empty(1, 1, 40, 48, device="meta") if guided else None)
    grain = Grain(moments(image), torch.empty(1, 1, 40, 48, device="meta") if guided else None)
    compared = Targets(content_targets(vgg, image, ["block4_conv2"]), [StyleTarget({"block1_conv1": style})], [grain])
    weights = LossWeights(1.0, 1.0, 1.0, {"block4_conv2": 1.0}, [{"block1_conv1": 1.0}], grain=1.0)
    evaluated = Objective(vgg, compared, weights, strip=strip)
    with NoNewTensors():
        terms, gradient = evaluated.value_and_grad(image)
    assert (terms.total.device.type, gradient.device.type) == ("meta", "meta")
