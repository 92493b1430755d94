import dataclasses

import hypothesis
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.images.masks import layer_guides
from impasto.loss import functional
from impasto.loss.matching import matched_samples
from impasto.loss.nearest import LEAST_LENGTH, Sample
from impasto.loss.objective import LossWeights, Objective
from impasto.loss.statistics import NOISE, Gaussian, Moments, local_weights
from impasto.loss.style_targets import SAMPLE_SIZE, style_targets
from impasto.loss.targets import StyleTarget, Targets, content_targets
from impasto.settings import layers
from impasto.vgg.model import VGG19

LAYERS = ("block1_conv1", "block3_conv1")
KINDS = ("gram", "wasserstein", "nearest", "matched")
"""Statistics of style; "matched": nearest neighbors of a content image's features."""


def random_image(seed: int, height: int = 24, width: int = 28) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def guide(seed: int, height: int = 24, width: int = 28) -> Tensor:
    return random_image(seed, height, width)[:, :1]


def objective(
    vgg: VGG19, kind: str, guides: list[Tensor | None], *, height: int = 24, strip: int | None = None
) -> Objective:
    """One style image for each guide, and a content image in another layer."""
    regions = []
    for number, each in enumerate(guides):
        found = style_targets(
            vgg,
            [(random_image(10 + number, 30, 26), 1)],
            LAYERS,
            loss="nearest" if kind == "matched" else kind,
            guides=layer_guides(each, LAYERS),
            strip=strip,
        )
        if kind == "matched":
            found = matched_samples(vgg, random_image(1, height), found, strip=strip)
        regions.append(StyleTarget(found, dict.fromkeys(LAYERS, 0.3 + number)))
    targets = Targets(content_targets(vgg, random_image(1, height), ["block2_conv2"]), regions)
    layers = [region.shares for region in regions]
    return Objective(vgg, targets, LossWeights(2.0, 3.0, 0.0, {"block2_conv2": 0.5}, layers), strip=strip)


def moments(features: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and covariance by torch.cov."""
    flat, weights = features[0].flatten(1), counted.flatten()
    mean = (flat * weights).sum(1) / weights.sum()
    return mean, torch.cov(flat, aweights=weights, correction=0)


def square_root(matrix: Tensor) -> Tensor:
    """By the Denman-Beavers iteration, which autograd can differentiate at equal eigenvalues."""
    y, z = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(40):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return y


def formula(whole: Objective, kind: str, guides: list[Tensor | None], image: Tensor) -> Tensor:
    """The total, implemented independently, for autograd."""
    features = whole.vgg(image, ["block2_conv2", *LAYERS])
    content = whole.targets.content["block2_conv2"].values
    total = 2 * 0.5 * (features["block2_conv2"] - content).square().mean()
    for number, each in enumerate(guides):
        region = whole.targets.style[number]
        for name in LAYERS:
            here = features[name]
            counted = torch.ones_like(here[:, :1]) if each is None else layer_guides(each, [name])[name]
            total = total + 3 * region.shares[name] * single(kind, here, counted, region.layers[name])
    return total


def single(kind: str, here: Tensor, counted: Tensor, target) -> Tensor:
    flat, weights = here[0].flatten(1), counted.flatten()
    if kind == "gram":
        return ((flat * weights) @ flat.T / weights.sum() - target.moments.second[0]).square().mean()
    if kind == "wasserstein":
        (mean, cov), first = moments(here, counted), target.moments.first[0]
        wanted = target.moments.second[0] - torch.outer(first, first)
        powers = cov.trace() + mean.square().sum() + target.moments.second[0].trace()
        noise = NOISE * powers * torch.eye(len(wanted), dtype=wanted.dtype)
        cov, wanted = cov + noise, wanted + noise
        root = square_root(wanted)
        between = cov.trace() + wanted.trace() - 2 * square_root(root @ cov @ root).trace()
        return ((mean - first).square().sum() + between) / len(first)
    away, bank = flat.T - target.values.mean(0), target.values - target.values.mean(0)
    least = LEAST_LENGTH**2 * target.values.square().sum(1).mean()
    bank, away = (each / (each.square().sum(1, keepdim=True) + least).sqrt() for each in (bank, away))
    cosine = away @ bank.T
    if kind == "nearest":
        nearest, factors = cosine.argmax(1), torch.ones_like(weights)
    else:
        nearest, factors = target.indices.flatten(), target.factors.flatten()
    return (factors * (1 - cosine.gather(1, nearest[:, None])[:, 0]) * weights).sum() / weights.sum()


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_of_every_style_loss_equal_autograd(narrow64: VGG19, kind: str, guided: bool) -> None:
    vgg = narrow64.configured(pooling="avg", padding="replicate")
    guides: list[Tensor | None] = [guide(5), guide(6)] if guided else [None]
    whole = objective(vgg, kind, guides)
    image = random_image(4).requires_grad_()
    expected = formula(whole, kind, guides, image)
    (slope,) = torch.autograd.grad(expected, image)
    terms, gradient = whole.value_and_grad(image.detach())
    assert float(terms.total) == pytest.approx(float(expected.detach()), rel=1e-9)
    assert float((gradient - slope).norm() / slope.norm()) < 1e-9


@given(
    kind=st.sampled_from(list(KINDS)),
    strip=st.integers(1, 40),
    height=st.integers(16, 40),
    guided=st.booleans(),
)
@hypothesis.settings(max_examples=40)
def test_strips_give_the_numbers_of_the_whole_image(
    kind: str, strip: int, height: int, guided: bool, narrow64: VGG19
) -> None:
    guides: list[Tensor | None] = [guide(5, height), None] if guided else [None]
    image = random_image(4, height)
    found = []
    for each in (None, strip):
        target = objective(narrow64, kind, guides, height=height, strip=each)
        regions = target.targets.style
        target = Objective(narrow64, Targets({}, regions), target.weights, strip=each)
        found.append(target.value_and_grad(image))
    (whole, slope), (terms, gradient) = found
    assert terms.to_floats() == pytest.approx(whole.to_floats(), rel=1e-8)
    assert float((gradient - slope).norm()) <= 1e-7 * float(slope.norm())


def weighted_content(vgg: VGG19, weights: Tensor, *, strip: int | None = None) -> Objective:
    """A content image whose errors are weighted by position in one of two layers."""
    layer, other = "block3_conv2", "block1_conv1"
    found = content_targets(vgg, random_image(1), [layer, other], strip=strip)
    found[layer] = dataclasses.replace(found[layer], weights=layer_guides(weights, [layer])[layer])
    return Objective(vgg, Targets(found, []), LossWeights(2.0, 1.0, 0.0, {layer: 0.5, other: 3.0}, []), strip=strip)


@pytest.mark.parametrize("strip", [None, 3])
def test_content_errors_weighted_by_position_equal_autograd(narrow64: VGG19, strip: int | None) -> None:
    vgg = narrow64.configured(pooling="avg", padding="replicate")
    weights = 4 * guide(5)
    here = weighted_content(vgg, weights, strip=strip)
    image = random_image(4).requires_grad_()
    errors = {
        name: (features - here.targets.content[name].values).square()
        for name, features in vgg(image, ["block3_conv2", "block1_conv1"]).items()
    }
    positions = torch.nn.functional.avg_pool2d(weights, 4)
    expected = 2 * (0.5 * (positions * errors["block3_conv2"]).mean() + 3 * errors["block1_conv1"].mean())
    (slope,) = torch.autograd.grad(expected, image)
    terms, gradient = here.value_and_grad(image.detach())
    assert float(terms.total) == pytest.approx(float(expected.detach()), rel=1e-9)
    assert float((gradient - slope).norm() / slope.norm()) < 1e-9


def test_content_weights_do_not_change_the_normalizer(narrow64: VGG19) -> None:
    one, other = (weighted_content(narrow64, share * torch.ones(1, 1, 24, 28)) for share in (1, 4))
    layers = "block3_conv2", "block1_conv1"
    normalizers = [[each.targets.content[name].normalizer for name in layers] for each in (one, other)]
    assert normalizers[0] == normalizers[1]


@pytest.mark.parametrize("kind", ["gram", "wasserstein", "nearest"])
def test_a_style_image_has_no_style_loss_against_itself(narrow64: VGG19, kind: str) -> None:
    image = random_image(3)
    target = style_targets(narrow64, [(image, 1)], LAYERS, loss=kind)
    own = Objective(narrow64, Targets({}, [StyleTarget(target)]), LossWeights(0, 1, 0, {}, [dict.fromkeys(LAYERS, 1)]))
    assert abs(float(own(image).style)) < 1e-3 * float(own(random_image(4)).style)


def test_the_distance_of_scalar_gaussians_is_that_of_their_means_and_deviations() -> None:
    def gaussian(mean: float, deviation: float) -> Moments:
        return Moments(torch.tensor([[[mean**2 + deviation**2]]]).double(), torch.tensor([[mean]]).double())

    loss, slope = Gaussian(gaussian(3, 0.5)).loss_and_gradient(gaussian(1, 2))
    noise = NOISE * (5 + 9.25)  # the second moments
    assert float(loss) == pytest.approx(4 + ((4 + noise) ** 0.5 - (0.25 + noise) ** 0.5) ** 2, rel=1e-9)
    # at mean m and second moment q: (m - 3)^2 + (sqrt(q - m^2) - 0.5)^2, but for the noise
    assert float(slope.second) == pytest.approx(1.5 / 2, rel=1e-3)
    assert float(slope.first) == pytest.approx(-4 - 1.5, rel=1e-3)


def test_the_bures_distance_of_commuting_covariances_is_that_of_their_deviations() -> None:
    one, other = (torch.diag(torch.tensor(values, dtype=torch.float64)) for values in ([4.0, 9, 1], [1.0, 16, 4]))
    forth, back = functional.transport_maps(one, other)
    torch.testing.assert_close(forth.diagonal(), torch.tensor([1 / 2, 4 / 3, 2], dtype=torch.float64))
    torch.testing.assert_close(forth @ back, torch.eye(3, dtype=torch.float64))
    assert float(functional.squared_bures_distance(one, other, forth)) == pytest.approx(1 + 1 + 1)


def covariance(channels: int, rank: int, decay: float, seed: int) -> Tensor:
    """A covariance of random directions with eigenvalues 1, 2^-decay, 3^-decay, ..., and 0 from `rank` on."""
    generator = torch.Generator().manual_seed(seed)
    directions, _ = torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64))
    values = torch.arange(1, channels + 1, dtype=torch.float64) ** -decay
    values[rank:] = 0
    return (directions * values) @ directions.T


def centered(second: Tensor) -> Moments:
    return Moments(second[None], torch.zeros(1, len(second), dtype=second.dtype))


@pytest.mark.parametrize("scale", [1e-4, 1, 100])
@pytest.mark.parametrize(("channels", "rank", "decay"), [(64, 64, 0.5), (64, 20, 2), (512, 100, 3)])
def test_the_distance_of_any_covariances_is_that_of_scipys_matrix_roots(
    channels: int, rank: int, decay: float, scale: float
) -> None:
    one, other = scale * covariance(channels, rank // 2, decay, 1), covariance(channels, rank, decay, 2)
    noise = NOISE * (one.trace() + other.trace()) * torch.eye(channels, dtype=torch.float64)
    root = scipy.linalg.sqrtm((other + noise).numpy())
    middle = scipy.linalg.sqrtm(root @ (one + noise).numpy() @ root)
    distance = float((one + noise).trace() + (other + noise).trace()) - 2 * np.trace(middle)
    forth = torch.from_numpy(root @ np.linalg.inv(middle) @ root)
    drift = NOISE * (2 * channels - forth.trace() - torch.linalg.inv(forth).trace())
    slope = torch.eye(channels, dtype=torch.float64) * (1 + drift) - forth
    for dtype, near, near_slope in ((torch.float64, 1e-9, 1e-9), (torch.float32, 1e-4, 3e-3)):
        loss, gradient = Gaussian(centered(other.to(dtype))).loss_and_gradient(centered(one.to(dtype)))
        assert float(loss) == pytest.approx(distance / channels, rel=near)
        assert float((gradient.second[0].double() * channels - slope).norm() / slope.norm()) < near_slope


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("channels", "rank", "decay"), [(64, 20, 2), (64, 1, 1), (512, 20, 3)])
def test_a_covariance_of_any_rank_is_a_minimum_of_the_distance_from_itself(
    channels: int, rank: int, decay: float, dtype: torch.dtype
) -> None:
    own = centered(covariance(channels, rank, decay, 1).to(dtype))
    loss, gradient = Gaussian(own).loss_and_gradient(own)
    far_loss, far = Gaussian(own).loss_and_gradient(centered(covariance(channels, rank, decay, 2).to(dtype)))
    assert abs(float(loss)) < 1e-5 * float(far_loss)
    assert float(gradient.second.norm()) < 1e-3 * float(far.second.norm())


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_features_without_variance_have_a_finite_distance(value: float) -> None:
    flat = Moments(torch.full((1, 8, 8), value**2), torch.full((1, 8), value))
    rich = centered(covariance(8, 8, 1, 1).float())
    for one, other in ((flat, rich), (rich, flat), (flat, flat)):
        loss, gradient = Gaussian(one).loss_and_gradient(other)
        assert all(each.isfinite().all() for each in (loss, gradient.second, gradient.first))


@pytest.mark.parametrize("kind", ["gram", "wasserstein"])
def test_a_mixture_has_the_moments_of_an_image_composed_of_both(narrow64: VGG19, kind: str) -> None:
    one, other = random_image(2), random_image(3, 40, 20)
    mixed = style_targets(narrow64, [(one, 0.25), (other, 0.75)], LAYERS, loss=kind)
    for name in LAYERS:
        parts = [narrow64(each, [name])[name][0].flatten(1) for each in (one, other)]
        second = sum(share * part @ part.T / part.shape[1] for share, part in zip((0.25, 0.75), parts, strict=True))
        torch.testing.assert_close(mixed[name].moments.second[0], second, rtol=1e-12, atol=1e-12)
        if kind == "wasserstein":
            first = sum(share * part.mean(1) for share, part in zip((0.25, 0.75), parts, strict=True))
            torch.testing.assert_close(mixed[name].moments.first[0], first, rtol=1e-12, atol=1e-12)


def features_of_copies(vgg: VGG19, image: Tensor, layer: str) -> Tensor:
    """(M, C) features of a style image and of its three rotated copies."""
    return torch.cat([vgg(image.rot90(turns, (2, 3)), [layer])[layer][0].flatten(1).T for turns in range(4)])


def are_in(values: Tensor, others: Tensor) -> Tensor:
    """For each row of `values` whether `others` has one that is equal up to rounding."""
    return torch.cat([torch.cdist(chunk, others, p=torch.inf).amin(1) < 1e-9 for chunk in values.split(256)])


def test_a_sample_has_its_share_of_every_style_image_and_is_bounded(
    narrow64: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.loss.style_targets.SAMPLE_SIZE", 64)
    layer, (one, other) = "block4_conv1", (random_image(2, 80, 64), random_image(3, 80, 64))
    (mixed,) = style_targets(narrow64, [(one, 0.25), (other, 0.75)], [layer], loss="nearest").values()
    assert len(mixed.values) == 64
    of_one = are_in(mixed.values, features_of_copies(narrow64, one, layer))
    assert of_one.tolist() == [True] * 16 + [False] * 48


def test_a_sample_has_features_of_four_rotated_copies(narrow64: VGG19) -> None:
    layer, image = "block4_conv1", random_image(2, 40, 56)
    (sample,) = style_targets(narrow64, [(image, 1)], [layer], loss="nearest").values()
    for turns in range(4):
        copy = narrow64(image.rot90(turns, (2, 3)), [layer])[layer][0].flatten(1).T
        assert int(are_in(sample.values, copy).sum()) == len(copy) == len(sample.values) // 4


@given(
    layer=st.sampled_from(["block4_conv1", "block4_pool", "block5_conv1"]),
    sizes=st.lists(st.tuples(st.integers(32, 150), st.integers(32, 150)), min_size=2, max_size=3),
    weights=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    strip=st.none() | st.just(40),
)
@hypothesis.settings(max_examples=20)
def test_a_sample_has_its_share_of_every_style_image_at_any_size(
    layer: str, sizes: list[tuple[int, int]], weights: list[float], strip: int | None, narrow64: VGG19
) -> None:
    total = sum(weights[: len(sizes)])
    mixture = [(random_image(n, *size), weights[n] / total) for n, size in enumerate(sizes)]
    sample = style_targets(narrow64, mixture, [layer], loss="nearest", strip=strip)[layer].values
    available = [4 * layers.position_count(layer, *size) for size in sizes]
    largest = min(SAMPLE_SIZE, *(count / share for count, (_, share) in zip(available, mixture, strict=True)))
    start = 0
    for image, share in mixture:  # the features of each image follow those of the image before
        count = int(are_in(sample[start:], features_of_copies(narrow64, image, layer)).sum())
        assert count >= 4
        assert abs(count - share * largest) <= 2 or count == 4  # each of the four copies has its own rounding
        start += count
    assert start == len(sample)


@pytest.mark.parametrize("smallest", [1e-6, 1e-300, 0.0])
def test_a_style_image_of_almost_no_weight_adds_one_feature_of_each_copy(narrow64: VGG19, smallest: float) -> None:
    mixture = [(random_image(2, 64, 48), 1 - smallest), (random_image(3, 64, 48), smallest)]
    (sample,) = style_targets(narrow64, mixture, ["block4_conv1"], loss="nearest").values()
    assert len(sample.values) == 4 * (8 * 6 + 1)


def test_the_neighbors_are_those_of_the_centered_content_features(narrow64: VGG19) -> None:
    content, style, layer = random_image(1, 40, 48), random_image(2), "block3_conv1"
    samples = style_targets(narrow64, [(style, 1)], [layer], loss="nearest", guides={})
    sample = matched_samples(narrow64, content, samples)[layer]
    features = narrow64(content, [layer])[layer][0].flatten(1).T
    away, bank = features - features.mean(0), sample.values - sample.values.mean(0)
    cosine = torch.nn.functional.cosine_similarity(away[:, None], bank[None], dim=2)
    assert torch.equal(sample.indices.flatten(), cosine.argmax(1))


def test_the_uses_of_a_feature_count_as_much_as_those_of_an_average_one() -> None:
    sample, indices = Sample(torch.eye(8)), torch.tensor([0] * 12 + [1, 2, 3, 4]).view(1, 2, 8)
    assert sample.matched(indices).factors.flatten().tolist() == pytest.approx([2 / 12] * 12 + [1] * 4)  # 16 / 8 uses
    inside = torch.tensor([1.0] * 6 + [0.0] * 8 + [1.0] * 2).view(1, 1, 2, 8)  # six uses of 0, one of 3 and of 4
    guided = dataclasses.replace(sample, guide=inside).matched(indices)
    assert guided.factors.flatten().tolist() == pytest.approx([1 / 6] * 12 + [1] * 4)


def test_features_without_directions_have_a_finite_loss_and_gradient() -> None:
    for sample in (Sample(torch.ones(6, 4)), Sample(torch.zeros(6, 4))):
        accumulator, features = sample.accumulator(), torch.ones(1, 4, 2, 3)
        accumulator.add(features, slice(0, 2))
        assert float(accumulator.loss()) == 1
        assert not accumulator.gradient(1.0)(features, slice(0, 2)).any()


def test_the_nearest_neighbor_is_the_one_with_the_highest_cosine() -> None:
    sample = Sample(torch.tensor([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]]))
    features = torch.tensor([[9.0, 1.0], [1.5, 1.9], [-3.0, -4.0]]).T.view(1, 2, 1, 3)
    assert functional.nearest_indices(features, sample.directions, sample.center).tolist() == [[[0, 1, 2]]]


def test_two_halves_with_guides_equal_two_images(narrow64: VGG19) -> None:
    left = torch.zeros(1, 1, 24, 28, dtype=torch.float64)
    left[..., :12] = 1
    layer = ["block1_conv1"]
    parts = [
        style_targets(narrow64, [(random_image(2), 1)], layer, guides=layer_guides(each, layer))
        for each in (left, 1 - left)
    ]
    halves = Targets({}, [StyleTarget(part) for part in parts])
    whole = Objective(narrow64, halves, LossWeights(0, 1, 0, {}, [{layer[0]: 1}, {layer[0]: 1}]))
    features, image = narrow64(random_image(4), layer)[layer[0]], random_image(4)
    wanted = parts[0][layer[0]].moments.second
    expected = sum(
        float(functional.distance(functional.gram(half), wanted)) for half in (features[..., :12], features[..., 12:])
    )
    assert float(whole(image).style) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("strip", [None, 3])
@pytest.mark.parametrize("kind", ["gram", "wasserstein", "nearest"])
def test_inner_statistics_are_those_of_the_cropped_features(narrow64: VGG19, kind: str, strip: int | None) -> None:
    image, wanted = random_image(3, 40, 33), LAYERS
    found = style_targets(narrow64, [(image, 1)], wanted, loss=kind, strip=strip, inner=True)
    for name, target in found.items():
        turned = [narrow64(image.rot90(turns, (2, 3)), [name])[name][0, :, 1:-1, 1:-1].flatten(1) for turns in range(4)]
        inside = turned[0]
        if isinstance(target, Sample):
            sampled, all_inside = (torch.unique(values, dim=0) for values in (target.values, torch.cat(turned, 1).T))
            torch.testing.assert_close(sampled, all_inside, rtol=1e-9, atol=1e-9)
        else:
            expected = inside @ inside.T / inside.shape[1]
            torch.testing.assert_close(target.moments.second[0], expected, rtol=1e-12, atol=1e-12)


def test_a_layer_too_small_for_a_margin_is_used_whole(narrow64: VGG19) -> None:
    whole, inner = (
        style_targets(narrow64, [(random_image(3, 16, 40), 1)], ["block4_conv1"], inner=inner)
        for inner in (False, True)
    )
    assert torch.equal(whole["block4_conv1"].moments.second, narrow_gram(narrow64, slice(None), slice(None)))
    assert torch.equal(inner["block4_conv1"].moments.second, narrow_gram(narrow64, slice(None), slice(1, -1)))


def narrow_gram(vgg: VGG19, rows: slice, columns: slice) -> Tensor:
    return functional.gram(vgg(random_image(3, 16, 40), ["block4_conv1"])["block4_conv1"][:, :, rows, columns])


def test_local_weights_are_powers_of_the_smoothed_energy_relative_to_its_own_weighted_mean() -> None:
    features = torch.rand(1, 5, 9, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features[..., :6] *= 0.1
    energy = scipy.ndimage.uniform_filter(features[0].square().sum(0).numpy(), 3, mode="nearest")
    expected = np.minimum(energy / ((energy**2).sum() / energy.sum()), 1) ** 0.3
    np.testing.assert_allclose(local_weights(features, 0.3)[0, 0].numpy(), expected, rtol=1e-5)
    assert expected[:, :5].max() < 0.4
    assert expected[:, 7:].mean() > 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_that_are_the_same_everywhere_have_equal_local_weights(dtype: torch.dtype) -> None:
    flat = torch.full((1, 4, 6, 6), 0.3).to(dtype)
    torch.testing.assert_close(local_weights(flat, 0.25), torch.ones(1, 1, 6, 6), rtol=1e-4, atol=0)
    assert not local_weights(torch.zeros_like(flat), 0.25).any()
