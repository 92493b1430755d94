"""The hand-written way there and back, against float64 autograd over the same network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.settings import layers
from impasto.vgg.backward import Backprop, gather_gradient, vjp
from impasto.vgg.model import VGG19

WIDTHS = (4, 6, 8, 8, 8)


def picture(seed: int, height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(responses: dict[str, Tensor]) -> Tensor:
    """A smooth loss that every response matters to."""
    return torch.stack([responses[name].pow(2).sum() / 2 for name in sorted(responses)]).sum()


def pulled(here: Tensor, _: slice) -> Tensor:
    """Its gradient at the responses: the responses."""
    return here.clone()


def seen(network: Backprop, image: Tensor) -> dict[str, Tensor]:
    """The responses that the network hands out, its bands put together."""
    bands: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in network.wanted}
    network.forward(image, lambda name, here, rows: bands[name].append((rows.start, here.clone())))
    return {
        name: torch.cat([here for _, here in sorted(found, key=lambda each: each[0])], 2)
        for name, found in bands.items()
    }


def error(network: Backprop, image: Tensor) -> float:
    """Relative distance of the gradient to autograd's in float64."""
    exact = VGG19(network.vgg.kernels, dtype=torch.float64).configured(
        pooling=network.vgg.pooling, padding=network.vgg.padding
    )
    image = image.requires_grad_()
    (expected,) = torch.autograd.grad(loss(exact(image, network.wanted)), image)
    network.forward(image.detach().to(network.vgg.dtype), lambda *_: None)
    found = gather_gradient(network.backward(dict.fromkeys(network.wanted, pulled)), image)
    return float((found.double() - expected).norm() / expected.norm().clamp_min(1e-300))


@settings(max_examples=150)
@given(
    height=st.integers(16, 70),
    width=st.integers(16, 40),
    wanted=st.sets(st.sampled_from(layers.up_to_last(["block5_conv2"])), min_size=1, max_size=4),
    pooling=st.sampled_from(["max", "avg"]),
    padding=st.sampled_from(["zeros", "replicate", "circular"]),
    band=st.sampled_from([1, 3_000, 10_000, 2**23]),
    strip=st.none() | st.integers(1, 80),
)
def test_the_gradient_is_autograds_for_any_size_layers_bands_and_strips(  # noqa: PLR0917
    height: int, width: int, wanted: set[str], pooling: str, padding: str, band: int, strip: int | None
) -> None:
    vgg = VGG19.random(WIDTHS, seed=1, dtype=torch.float64).configured(pooling=pooling, padding=padding)  # type: ignore[arg-type]
    strip = None if padding == "circular" else strip
    assert error(Backprop(vgg, wanted, band=band, strip=strip), picture(height * width, height, width)) < 1e-10


@pytest.mark.parametrize("shift", [(16, 0), (0, 32), (16, -16)])
@pytest.mark.parametrize("band", [3_000, 2**23])
def test_a_seamless_picture_has_no_edge(narrow64: VGG19, band: int, shift: tuple[int, int]) -> None:
    wanted = ["block1_conv1", "block3_conv1", "block5_conv1"]
    network = Backprop(narrow64.configured(pooling="max", padding="circular"), wanted, band=band)
    image, found = picture(5, 48, 64), []
    for each in (image, image.roll(shift, (2, 3))):
        responses = seen(network, each)
        found.append((responses, gather_gradient(network.backward(dict.fromkeys(wanted, pulled)), each)))
    (responses, gradient), (rolled, rolled_gradient) = found
    for name, each in responses.items():
        cell = 48 // each.shape[2]
        expected = each.roll([pixels // cell for pixels in shift], (2, 3))
        torch.testing.assert_close(rolled[name], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(rolled_gradient, gradient.roll(shift, (2, 3)), rtol=1e-9, atol=1e-9)


def test_a_seamless_picture_is_evaluated_whole(narrow64: VGG19) -> None:
    with pytest.raises(ValueError, match="needs the last one; evaluate the image whole"):
        Backprop(narrow64.configured(pooling="max", padding="circular"), ["block1_conv1"], strip=16)


@pytest.mark.parametrize("strip", [None, 16])
@pytest.mark.parametrize("band", [20_000, 2**23])
def test_in_float32_it_is_close(narrow: VGG19, band: int, strip: int | None) -> None:
    wanted = ["block1_conv1", "block3_conv1", "block4_conv2", "block5_conv1"]
    assert error(Backprop(narrow, wanted, band=band, strip=strip), picture(1, 61, 53)) < 1e-5


@pytest.mark.parametrize("strip", [None, 1, 7, 16, 36, 37, 100])
@pytest.mark.parametrize("band", [1, 5_000, 2**23])
def test_the_responses_are_those_of_the_network(narrow64: VGG19, band: int, strip: int | None) -> None:
    wanted = ["block1_conv2", "block2_pool", "block4_conv3"]
    image = picture(2, 37, 29)
    found = seen(Backprop(narrow64, wanted, band=band, strip=strip), image)
    assert set(found) == set(wanted)
    for name, expected in narrow64(image, wanted).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=1e-12)


def test_a_picture_of_another_size_may_follow(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block2_conv1", "block3_pool"])
    for height, width in ((32, 24), (17, 40), (32, 24)):
        assert error(network, picture(3, height, width)) < 1e-10


def test_a_second_step_takes_no_new_memory_for_responses(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block3_conv1", "block1_conv1"])
    places: dict[str, set[int]] = {name: set() for name in network.wanted}
    for seed in (1, 2, 3):
        network.forward(picture(seed, 20, 20), lambda name, here, _: places[name].add(here.data_ptr()))
        list(network.backward(dict.fromkeys(network.wanted, pulled)))
    assert [len(each) for each in places.values()] == [1, 1]


def test_a_loss_that_reads_no_layer_has_no_gradient(narrow64: VGG19) -> None:
    network = Backprop(narrow64, [])
    assert seen(network, picture(1, 5, 4)) == {}
    ((rows, gradient),) = network.backward({})
    assert (rows, gradient.shape, gradient.count_nonzero()) == (slice(0, 5), (1, 3, 5, 4), 0)


def test_nothing_is_left_for_autograd(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block2_conv2"])
    image = picture(1, 20, 20)
    responses = seen(network, image.requires_grad_())
    ((_, gradient),) = network.backward({"block2_conv2": pulled})
    assert not gradient.requires_grad
    assert not responses["block2_conv2"].requires_grad


def test_vjp_is_the_transposed_jacobian_times_the_vector() -> None:
    at = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = vjp(lambda x: torch.stack([x[0] * x[1], x[2] ** 2]), at, torch.tensor([10.0, 1.0], dtype=torch.float64))
    assert found.tolist() == [20, 10, 6]
    assert not at.requires_grad
