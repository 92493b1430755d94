import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingError
from impasto.settings import layers
from impasto.vgg.model import VGG19

WIDTHS = (4, 6, 8, 8, 8)  # of the fixtures narrow and narrow64
NAMES = [
    *("block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2", "block2_pool"),
    *("block3_conv1", "block3_conv2", "block3_conv3", "block3_conv4", "block3_pool"),
    *("block4_conv1", "block4_conv2", "block4_conv3", "block4_conv4", "block4_pool"),
    *("block5_conv1", "block5_conv2", "block5_conv3", "block5_conv4", "block5_pool"),
]


def image(height: int = 37, width: int = 50, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(vgg: VGG19, images: Tensor, pooling: str = "max", padding: str = "zeros") -> dict[str, Tensor]:
    """All features of VGG19, implemented independently."""
    red, green, blue = (images[:, [channel]] * 255 for channel in range(3))
    values = torch.cat([blue - 103.939, green - 116.779, red - 123.68], dim=1)
    features = {}
    for name in NAMES:
        if name.endswith("pool"):
            height, width = values.shape[2] // 2, values.shape[3] // 2
            windows = values[..., : 2 * height, : 2 * width].unflatten(2, (height, 2)).unflatten(4, (width, 2))
            values = windows.amax((3, 5)) if pooling == "max" else windows.mean((3, 5))
        else:
            kernel, bias = vgg.kernels[name]
            mode = "replicate" if padding == "replicate" and name == "block1_conv1" else "constant"
            padded = F.pad(values, (1, 1, 1, 1), mode=mode)
            values = F.conv2d(padded, kernel.contiguous(), bias)
            values = torch.where(values > 0, values, 0)
        features[name] = values
    return features


@pytest.mark.parametrize("pooling", ["max", "avg"])
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_every_layer_equals_an_independent_implementation(narrow64: VGG19, pooling: str, padding: str) -> None:
    vgg = narrow64.configured(pooling=pooling, padding=padding)
    found, expected = vgg(image(), NAMES), reference(narrow64, image(), pooling, padding)
    assert list(found) == NAMES
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-11, atol=1e-11)


def test_layers_have_their_keras_names_and_shapes(narrow64: VGG19) -> None:
    assert list(layers.LAYERS) == NAMES
    height, width = 37, 50
    for name, feature in narrow64(image(height, width), NAMES).items():
        if name.endswith("pool"):
            height, width = height // 2, width // 2
        assert feature.shape == (1, WIDTHS[int(name[5]) - 1], height, width)
    assert (height, width) == (1, 1)


def test_the_real_widths_are_those_of_vgg19() -> None:
    vgg = VGG19.random(seed=0)
    assert {name: vgg.channels(name) for name in ("block1_conv2", "block2_pool", "block3_conv4", "block5_conv1")} == {
        "block1_conv2": 64,
        "block2_pool": 128,
        "block3_conv4": 256,
        "block5_conv1": 512,
    }
    assert sum(kernel.numel() + bias.numel() for kernel, bias in vgg.kernels.values()) == 20_024_384  # as Keras says


def test_features_are_after_the_relu(narrow64: VGG19) -> None:
    for name, feature in narrow64(image(), layers.CONVS).items():
        assert float(feature.min()) == 0, name
        assert float(feature.max()) > 0, name


@pytest.mark.parametrize("last", ["block1_conv1", "block2_pool", "block4_conv2"])
def test_layers_above_the_last_wanted_one_are_not_evaluated(last: str) -> None:
    sound = VGG19.random(WIDTHS, seed=1, dtype=torch.float64)
    kernels = dict(sound.kernels)
    for name in NAMES[NAMES.index(last) + 1 :]:
        kernels[name] = None  # no tensor: to evaluate it would be a TypeError
    cut = object.__new__(VGG19)
    cut.__dict__ |= sound.__dict__ | {"kernels": kernels}
    assert torch.equal(cut(image(), [last])[last], sound(image(), [last])[last])
    with pytest.raises(TypeError):
        cut(image(), ["block5_conv4"])


def test_only_the_wanted_layers_are_returned_in_the_order_of_the_network(narrow64: VGG19) -> None:
    found = narrow64(image(), (name for name in ["block3_conv1", "block1_conv2", "block3_conv1"]))
    assert list(found) == ["block1_conv2", "block3_conv1"]
    assert narrow64(image(), []) == {}


def test_features_and_input_are_not_changed_by_later_layers(narrow64: VGG19) -> None:
    pixels = image()
    before = pixels.clone()
    alone = narrow64(pixels, ["block1_conv1"])["block1_conv1"]
    assert torch.equal(narrow64(pixels, NAMES)["block1_conv1"], alone)
    assert torch.equal(pixels, before)


def test_the_first_convolution_reads_blue_green_red_minus_the_mean() -> None:
    kernel = torch.zeros(3, 3, 3, 3)
    for channel in range(3):
        kernel[channel, channel, 1, 1] = 1  # the feature is the input
    sound = VGG19.random((3, 4, 4, 4, 4))
    vgg = VGG19({**sound.kernels, "block1_conv1": (kernel, torch.zeros(3))}, dtype=torch.float64)
    color = torch.tensor([1.0, 0.8, 0.6], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    feature = vgg(color, ["block1_conv1"])["block1_conv1"][0, :, 0, 0]
    expected = torch.tensor([153 - 103.939, 204 - 116.779, 255 - 123.68], dtype=torch.float64)  # blue, green, red
    torch.testing.assert_close(feature, expected, rtol=1e-12, atol=0)


def test_a_constant_image_has_constant_features_with_replicate_padding_and_not_with_zeros(narrow64: VGG19) -> None:
    white = torch.ones(1, 3, 6, 6, dtype=torch.float64)

    def spread(padding: str) -> float:
        feature = narrow64.configured(pooling="max", padding=padding)(white, ["block1_conv1"])["block1_conv1"]
        return float((feature.amax((2, 3)) - feature.amin((2, 3))).max())

    assert spread("replicate") < 1e-10
    assert spread("zeros") > 1


def test_another_configuration_shares_the_weights_and_leaves_the_first_unchanged(narrow: VGG19) -> None:
    other = narrow.configured(pooling="avg", padding="replicate")
    assert other.kernels is narrow.kernels
    assert (other.pooling, other.padding) == ("avg", "replicate")
    assert (narrow.pooling, narrow.padding) == ("max", "zeros")


@pytest.mark.parametrize("shape", [(3, 20, 20), (1, 4, 20, 20), (1, 1, 20, 20), (1, 3, 7, 20), (1, 3, 20, 7)])
def test_a_tensor_of_another_shape_is_refused_with_the_expected_shape(narrow: VGG19, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"give \(N, 3, H, W\) with H and W at least 8") as caught:
        narrow(torch.zeros(shape), ["block4_conv2"])
    assert str(shape) in str(caught.value)


def test_the_smallest_allowed_image_is_accepted(narrow: VGG19) -> None:
    assert narrow(torch.zeros(1, 3, 8, 8), ["block4_conv2"])["block4_conv2"].shape[2:] == (1, 1)


def test_an_unknown_layer_is_refused_with_the_nearest_one(narrow: VGG19) -> None:
    with pytest.raises(SettingError, match=r"no layer 'block4_conf2' in VGG19; did you mean block4_conv2\?"):
        narrow(torch.zeros(1, 3, 32, 32), ["block4_conf2"])
    with pytest.raises(SettingError, match="no layer 'fc6'"):
        narrow.channels("fc6")


def test_features_in_bfloat16_are_close_to_float64(narrow64: VGG19) -> None:
    half = VGG19(narrow64.kernels, dtype=torch.bfloat16)
    assert (half.precision, half.dtype) == ("bfloat16", torch.bfloat16)
    for name, exact in narrow64(image(), NAMES).items():
        feature = half(image().float(), [name])[name]
        assert feature.dtype == torch.bfloat16
        cosine = F.cosine_similarity(feature.double().flatten(), exact.flatten(), dim=0)
        assert float(cosine) > 0.999, name


def test_random_networks_are_determined_by_their_seed() -> None:
    one, same, other = (VGG19.random(WIDTHS, seed=seed) for seed in (1, 1, 2))
    pixels = image().float()
    assert torch.equal(one(pixels)["block5_conv4"], same(pixels)["block5_conv4"])
    assert not torch.equal(one(pixels)["block5_conv4"], other(pixels)["block5_conv4"])


@pytest.mark.weights
def test_the_bundled_network_is_loaded_in_the_given_precision() -> None:
    vgg = VGG19.load("bundled", device="cpu", precision="bfloat16")
    assert (vgg.precision, vgg.device.type, vgg.origin, len(vgg.sha256)) == ("bfloat16", "cpu", "bundled", 64)
    with pytest.raises(SettingError, match="precision: got 'half'"):
        VGG19.load("bundled", device="cpu", precision="half")


def test_a_network_in_tf32_says_so_and_keeps_it_with_other_settings(narrow: VGG19) -> None:
    vgg = narrow.configured(pooling="avg", padding="zeros")
    vgg.tf32 = True
    assert vgg.configured(pooling="max", padding="circular").precision == "tf32"
    assert (vgg.dtype, narrow.precision) == (torch.float32, "float32")


def test_the_size_of_the_weights_is_that_of_their_numbers() -> None:
    values = 20_024_384
    assert VGG19.random().nbytes == 4 * values
    assert VGG19.random(dtype=torch.bfloat16).nbytes == 2 * values


def test_a_network_on_another_device(narrow: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    network = VGG19(narrow.kernels, pooling="avg", padding="replicate")
    network.origin, network.sha256 = "file", "abc"
    assert network.to("cpu") is network
    with pytest.raises(SettingError, match="device: got 'gpu'"):
        network.to("gpu")
    monkeypatch.setattr("impasto.vgg.device.select_device", torch.device)
    other = network.to("meta")
    assert (other.origin, other.sha256, other.pooling, other.padding) == ("file", "abc", "avg", "replicate")
    assert {tensor.device.type for kernel in other.kernels.values() for tensor in kernel} == {"meta"}
    features = other(torch.rand(1, 3, 32, 32), ["block2_conv1"])["block2_conv1"]
    assert (features.device.type, features.shape) == ("meta", (1, 6, 16, 16))
    assert network.device.type == "cpu"
