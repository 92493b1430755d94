"""Each preset against the formula of the paper or program that it is named after, implemented from that source."""

import pastiche.pastiche
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.loss import statistics
from impasto.loss.conventions import CONVENTIONS, loss_weights
from impasto.loss.objective import Objective
from impasto.loss.statistics import Gram, Moments
from impasto.loss.style_targets import style_targets
from impasto.loss.targets import StyleTarget, Targets, content_targets
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.presets import names, preset
from impasto.vgg.model import VGG19

CONTENT = "block4_conv2"
STYLE = tuple(f"block{block}_conv1" for block in range(1, 6))
HEIGHT, WIDTH = 33, 42
Features = dict[str, Tensor]


def random_image(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CONTENT_IMAGE, STYLE_IMAGE = random_image(1), random_image(2)


def ours(vgg: VGG19, settings: Settings, style: Tensor = STYLE_IMAGE) -> Objective:
    vgg = vgg.configured(pooling=settings.pooling, padding=settings.padding)
    targets = Targets(
        content_targets(vgg, CONTENT_IMAGE, settings.content_layers),
        [StyleTarget(style_targets(vgg, [(style, 1)], settings.style_layers))],
    )
    return Objective(vgg, targets, loss_weights(settings, targets))


def matrices(features: Features) -> Features:
    """F of each layer: C channels by M positions."""
    return {name: values[0].reshape(values.shape[1], -1) for name, values in features.items()}


def impasto(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    total = 2 * ((f[CONTENT] - p[CONTENT]) ** 2).sum() / f[CONTENT].numel()
    for name in STYLE:
        grams = [x @ x.T / x.shape[1] for x in (f[name], a[name])]
        total = total + 3 * 0.2 * ((grams[0] - grams[1]) ** 2).sum() / grams[0].numel()
    along_y, along_x = (image[:, :, 1:] - image[:, :, :-1]).abs(), (image[..., 1:] - image[..., :-1]).abs()
    return total + 7 * (along_y.mean() + along_x.mean())


def relative(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    total = 2 * ((f[CONTENT] - p[CONTENT]) ** 2).sum() / (p[CONTENT] ** 2).sum()
    for name in STYLE:
        grams = [x @ x.T / x.shape[1] for x in (f[name], a[name])]
        total = total + 3 * 0.2 * ((grams[0] - grams[1]) ** 2).sum() / (grams[1] ** 2).sum()
    along_y, along_x = (image[:, :, 1:] - image[:, :, :-1]).abs(), (image[..., 1:] - image[..., :-1]).abs()
    return total + 7 * (along_y.mean() + along_x.mean())


def gatys(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    """arXiv 1508.06576, eq. 1, 4, 5 and 7 with alpha / beta = 1e-3."""
    content = 0.5 * ((f[CONTENT] - p[CONTENT]) ** 2).sum()
    style = torch.zeros((), dtype=torch.float64)
    for name in STYLE:
        n, m = f[name].shape
        style = style + 0.2 * ((f[name] @ f[name].T - a[name] @ a[name].T) ** 2).sum() / (4 * n**2 * m**2)
    return 1e-3 * content + style


def keras(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    """style_transfer.ipynb, with the layers of the paper; total variation as `tf.image.total_variation`."""

    def gram_matrix(x: Tensor) -> Tensor:
        return torch.einsum("ci,di->cd", x, x) / x.shape[1]

    style = sum(torch.mean((gram_matrix(f[name]) - gram_matrix(a[name])) ** 2) for name in STYLE)
    content = torch.mean((f[CONTENT] - p[CONTENT]) ** 2)
    along_y = (image[:, :, 1:, :] - image[:, :, :-1, :]).abs().sum()
    along_x = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().sum()
    return style * 1e-2 / 5 + content * 1e-4 + 30 * (along_y + along_x)


def neural_style(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    """neural_style.lua at its defaults, all but total variation, which it codes as a gradient only."""

    def gram(x: Tensor) -> Tensor:
        return x @ x.T / x.numel()  # G:div(input:nElement())

    total = 5 * F.mse_loss(f[CONTENT], p[CONTENT])
    for name in STYLE:
        total = total + 100 * F.mse_loss(gram(f[name]), gram(a[name]))
    return total


def pastiches(image: Tensor, f: Features, p: Features, a: Features) -> Tensor:
    """`PasticheArtist._calc_loss`, with the package's own Gram matrix and -tv-weight 3."""

    def gram(x: Tensor) -> Tensor:
        return pastiche.pastiche.gram(x[None, :, None])

    total = 0.01 * F.mse_loss(f[CONTENT], p[CONTENT])
    for name in STYLE:
        total = total + 10.0 / f[name].shape[0] ** 2 * F.mse_loss(gram(f[name]), gram(a[name]))
    pixels = image * 255
    tv = (pixels[:, :, :, 1:] - pixels[:, :, :, :-1]).abs().mean()
    tv = tv + (pixels[:, :, 1:, :] - pixels[:, :, :-1, :]).abs().mean()
    return total + 0.5 * 3 * tv


OWN = Settings(content_weight=2, style_weight=3, tv_weight=7, style_layers=STYLE)
CASES = {
    "impasto": (OWN.replace(convention="impasto"), impasto),
    "relative": (OWN.replace(convention="relative"), relative),
    "gatys-2015": (preset("gatys-2015"), gatys),
    "gatys-2016": (preset("gatys-2016"), gatys),
    "keras": (preset("keras").replace(tv_weight=30), keras),
    "neural-style": (preset("neural-style").replace(tv_weight=0), neural_style),
    "pastiche": (preset("pastiche").replace(tv_weight=3), pastiches),
}


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_of_a_preset_are_those_of_its_source(narrow64: VGG19, name: str) -> None:
    settings, formula = CASES[name]
    vgg = narrow64.configured(pooling=settings.pooling, padding=settings.padding)
    image = random_image(3).requires_grad_()
    p, a = (matrices(vgg(source, layers.CONVS)) for source in (CONTENT_IMAGE, STYLE_IMAGE))
    expected = formula(image, matrices(vgg(image, layers.CONVS)), p, a)
    (expected_gradient,) = torch.autograd.grad(expected, image)
    terms, gradient = ours(narrow64, settings).value_and_grad(image)
    assert float(terms.total) == pytest.approx(float(expected.detach()), rel=1e-10)
    torch.testing.assert_close(
        gradient, expected_gradient, rtol=1e-9, atol=1e-10 * float(expected_gradient.abs().max())
    )


def test_every_convention_and_every_preset_is_checked_here() -> None:
    assert {settings.convention for settings, _ in CASES.values()} == set(CONVENTIONS)
    runs = {name for name in names() if name.startswith("keras-")}  # the settings of keras with other numbers
    assert set(names()) - runs == set(CASES) - {"impasto", "relative"} | {"painterly", "distill", "nnst", "quick"}
    assert preset("painterly").convention in {"impasto", "relative"}


def test_total_variation_of_neural_style_has_the_gradient_of_its_lua_code(narrow64: VGG19) -> None:
    settings = preset("neural-style")
    image = random_image(3)
    with_tv = ours(narrow64, settings).value_and_grad(image)[1]
    without = ours(narrow64, settings.replace(tv_weight=0)).value_and_grad(image)[1]
    pixels, grad = 255 * image[0], torch.zeros(3, HEIGHT, WIDTH, dtype=torch.float64)
    x_diff = pixels[:, :-1, :-1] - pixels[:, :-1, 1:]
    y_diff = pixels[:, :-1, :-1] - pixels[:, 1:, :-1]
    grad[:, :-1, :-1] += x_diff + y_diff
    grad[:, :-1, 1:] -= x_diff
    grad[:, 1:, :-1] -= y_diff
    expected = 255 * 1e-3 * grad  # with respect to the image in [0, 1]
    assert float(expected.norm()) > 1e-6 * float(without.norm())
    torch.testing.assert_close((with_tv - without)[0], expected, rtol=0, atol=1e-10 * float(without.abs().max()))


@pytest.mark.parametrize("name", ["impasto", "relative", "keras", "neural-style", "pastiche"])
def test_a_style_image_of_another_size_is_normalized_by_its_own_number_of_positions(narrow64: VGG19, name: str) -> None:
    settings, formula = CASES[name]
    vgg = narrow64.configured(pooling=settings.pooling, padding=settings.padding)
    style, image = random_image(4, 57, 29), random_image(3)
    features = (matrices(vgg(source, layers.CONVS)) for source in (image, CONTENT_IMAGE, style))
    expected = formula(image, *features)
    assert float(ours(narrow64, settings, style)(image).total) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_layers_weight_multiplies_its_term_in_every_convention(narrow64: VGG19, name: str) -> None:
    settings = Settings(convention=name, content_layers={CONTENT: 1}, style_layers={"block3_conv1": 1})
    tripled = settings.replace(content_layers={CONTENT: 3}, style_layers={"block3_conv1": 5})
    once, more = (ours(narrow64, case)(random_image(3)) for case in (settings, tripled))
    assert float(more.content) == pytest.approx(3 * float(once.content), rel=1e-12)
    assert float(more.style) == pytest.approx(5 * float(once.style), rel=1e-12)


def test_the_error_is_not_normalized_by_a_target_of_zeros() -> None:
    relative = CONVENTIONS["relative"]
    assert relative.content(statistics.ContentFeatures(torch.zeros(1, 4, 2, 2))) == 1
    assert relative.style(Gram(Moments(torch.full((1, 4, 4), 3.0)))) == pytest.approx(1 / 9)


@pytest.mark.parametrize(("strength", "factor"), [(0.5, 1), (0, 100), (1, 0.01), (0.25, 10)])
def test_style_strength_is_a_factor_on_the_content_weight_alone(
    strength: float, factor: float, narrow64: VGG19
) -> None:
    settings = Settings(content_weight=3, style_weight=2)
    plain, other = (ours(narrow64, case).weights for case in (settings, settings.replace(strength=strength)))
    assert other.content == pytest.approx(factor * plain.content)
    assert (other.style, other.style_layers, other.content_layers) == (
        plain.style,
        plain.style_layers,
        plain.content_layers,
    )
