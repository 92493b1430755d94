"""The hand-written forward and backward passes against float64 autograd of the same network."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.settings import layers
from impasto.vgg.backward import Backprop, gather_gradient
from impasto.vgg.model import VGG19

WIDTHS = (4, 6, 8, 8, 8)


def random_image(seed: int, height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(features: dict[str, Tensor]) -> Tensor:
    """A smooth loss that depends on every feature."""
    return torch.stack([features[name].pow(2).sum() / 2 for name in sorted(features)]).sum()


def loss_gradient(chunk: Tensor, _: slice) -> Tensor:
    """Its gradient with respect to the features: the features."""
    return chunk.clone()


def features_of(network: Backprop, image: Tensor) -> dict[str, Tensor]:
    """The features that `forward` reports, concatenated."""
    bands: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in network.wanted}
    network.forward(image, lambda name, chunk, rows: bands[name].append((rows.start, chunk.clone())))
    return {
        name: torch.cat([chunk for _, chunk in sorted(chunks, key=lambda item: item[0])], 2)
        for name, chunks in bands.items()
    }


def error(network: Backprop, image: Tensor) -> float:
    """Relative error of the gradient against autograd in float64."""
    exact = VGG19(network.vgg.kernels, dtype=torch.float64).configured(
        pooling=network.vgg.pooling, padding=network.vgg.padding
    )
    image = image.requires_grad_()
    (expected,) = torch.autograd.grad(loss(exact(image, network.wanted)), image)
    network.forward(image.detach().to(network.vgg.dtype), lambda *_: None)
    gradient = gather_gradient(network.backward(dict.fromkeys(network.wanted, loss_gradient)), image)
    return float((gradient.double() - expected).norm() / expected.norm().clamp_min(1e-300))


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
def test_the_gradient_equals_autograd_for_any_size_layers_bands_and_strips(  # noqa: PLR0917
    height: int, width: int, wanted: set[str], pooling: str, padding: str, band: int, strip: int | None
) -> None:
    vgg = VGG19.random(WIDTHS, seed=1, dtype=torch.float64).configured(pooling=pooling, padding=padding)  # type: ignore[arg-type]
    strip = None if padding == "circular" else strip
    assert error(Backprop(vgg, wanted, band=band, strip=strip), random_image(height * width, height, width)) < 1e-10


@pytest.mark.parametrize("shift", [(16, 0), (0, 32), (16, -16)])
@pytest.mark.parametrize("band", [3_000, 2**23])
def test_circular_padding_commutes_with_shifts(narrow64: VGG19, band: int, shift: tuple[int, int]) -> None:
    wanted = ["block1_conv1", "block3_conv1", "block5_conv1"]
    network = Backprop(narrow64.configured(pooling="max", padding="circular"), wanted, band=band)
    image, results = random_image(5, 48, 64), []
    for shifted in (image, image.roll(shift, (2, 3))):
        features = features_of(network, shifted)
        results.append((features, gather_gradient(network.backward(dict.fromkeys(wanted, loss_gradient)), shifted)))
    (features, gradient), (rolled, rolled_gradient) = results
    for name, values in features.items():
        cell = 48 // values.shape[2]
        expected = values.roll([pixels // cell for pixels in shift], (2, 3))
        torch.testing.assert_close(rolled[name], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(rolled_gradient, gradient.roll(shift, (2, 3)), rtol=1e-9, atol=1e-9)


def test_circular_padding_refuses_strips(narrow64: VGG19) -> None:
    with pytest.raises(ValueError, match="needs the last one; evaluate the image whole"):
        Backprop(narrow64.configured(pooling="max", padding="circular"), ["block1_conv1"], strip=16)


@pytest.mark.parametrize("strip", [None, 16])
@pytest.mark.parametrize("band", [20_000, 2**23])
def test_the_gradient_in_float32_is_close_to_float64(narrow: VGG19, band: int, strip: int | None) -> None:
    wanted = ["block1_conv1", "block3_conv1", "block4_conv2", "block5_conv1"]
    assert error(Backprop(narrow, wanted, band=band, strip=strip), random_image(1, 61, 53)) < 1e-5


@pytest.mark.parametrize("strip", [None, 1, 7, 16, 36, 37, 100])
@pytest.mark.parametrize("band", [1, 5_000, 2**23])
def test_the_features_equal_those_of_the_network(narrow64: VGG19, band: int, strip: int | None) -> None:
    wanted = ["block1_conv2", "block2_pool", "block4_conv3"]
    image = random_image(2, 37, 29)
    features = features_of(Backprop(narrow64, wanted, band=band, strip=strip), image)
    assert set(features) == set(wanted)
    for name, expected in narrow64(image, wanted).items():
        torch.testing.assert_close(features[name], expected, rtol=1e-12, atol=1e-12)


def test_the_image_size_may_change_between_evaluations(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block2_conv1", "block3_pool"])
    for height, width in ((32, 24), (17, 40), (32, 24)):
        assert error(network, random_image(3, height, width)) < 1e-10


def test_feature_buffers_are_reused(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block3_conv1", "block1_conv1"])
    addresses: dict[str, set[int]] = {name: set() for name in network.wanted}
    for seed in (1, 2, 3):
        network.forward(random_image(seed, 20, 20), lambda name, chunk, _: addresses[name].add(chunk.data_ptr()))
        list(network.backward(dict.fromkeys(network.wanted, loss_gradient)))
    assert [len(layer) for layer in addresses.values()] == [1, 1]


def test_a_loss_of_no_layer_has_a_zero_gradient(narrow64: VGG19) -> None:
    network = Backprop(narrow64, [])
    assert features_of(network, random_image(1, 5, 4)) == {}
    ((rows, gradient),) = network.backward({})
    assert (rows, gradient.shape, gradient.count_nonzero()) == (slice(0, 5), (1, 3, 5, 4), 0)


def test_no_autograd_graph_is_left(narrow64: VGG19) -> None:
    network = Backprop(narrow64, ["block2_conv2"])
    image = random_image(1, 20, 20)
    features = features_of(network, image.requires_grad_())
    ((_, gradient),) = network.backward({"block2_conv2": loss_gradient})
    assert not gradient.requires_grad
    assert not features["block2_conv2"].requires_grad


class Copies(TorchDispatchMode):
    """Refuses a pool whose arguments are not in channels_last memory: its kernel would copy all of them."""

    calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "max_pool2d_with_indices_backward" in str(func):
            self.calls += 1
            tensors = [leaf for leaf in args if isinstance(leaf, Tensor)]
            assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in tensors)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("strip", [None, 16])
def test_no_pool_copies_its_arguments(strip: int | None, narrow: VGG19) -> None:
    network, image = Backprop(narrow, ["block5_conv1"], strip=strip, band=3_000), random_image(0, 49, 50).float()
    network.forward(image, lambda *_: None)
    with Copies() as copies:
        gather_gradient(network.backward({"block5_conv1": loss_gradient}), image)
    assert copies.calls > 8
