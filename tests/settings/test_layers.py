import pytest
import torch

from impasto.errors import SettingError
from impasto.settings import layers
from impasto.vgg.model import VGG19


def test_there_are_sixteen_convolutions_and_five_pools() -> None:
    assert len(layers.CONVS) == 16
    assert [name for name in layers.LAYERS if name not in layers.CONVS] == [f"block{i}_pool" for i in range(1, 6)]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("block4_conv5", "block4_conv4"), ("Block1_conv1", "block1_conv1"), ("block2_pol", "block2_pool")],
)
def test_an_unknown_layer_is_answered_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(SettingError) as caught:
        layers.check_layer(wrong)
    assert str(caught.value) == f"no layer {wrong!r} in VGG19; did you mean {nearest}?"


@pytest.mark.parametrize("wrong", ["", "20", "\n", "é" * 1000])
def test_anything_else_is_refused_in_one_line(wrong: str) -> None:
    with pytest.raises(SettingError, match="did you mean block") as caught:
        layers.check_layer(wrong)
    assert "\n" not in str(caught.value)


def test_all_layers_up_to_the_deepest_are_needed_whatever_the_order() -> None:
    assert layers.up_to_last(["block2_conv1", "block1_conv2"]) == layers.LAYERS[:4]
    assert layers.up_to_last([]) == ()


@pytest.mark.parametrize("layer", layers.LAYERS)
def test_the_smallest_edge_is_the_least_that_leaves_a_position(layer: str, narrow: VGG19) -> None:
    edge = layers.min_edge([layer, "block1_conv1"])
    assert narrow(torch.zeros(1, 3, edge, edge), [layer])[layer].shape[2:] == (1, 1)
    assert layers.position_count(layer, edge, edge) == 1
    if edge > 1:
        assert layers.position_count(layer, edge - 1, 100) == 0


@pytest.mark.parametrize("size", [(37, 50), (16, 99), (64, 64)])
def test_positions_are_those_of_the_networks_responses(size: tuple[int, int], narrow: VGG19) -> None:
    for name, response in narrow(torch.zeros(1, 3, *size), layers.CONVS).items():
        assert layers.position_count(name, *size) == response[0, 0].numel()


def test_multiplications_are_those_counted_by_hand() -> None:
    # 3 to 64 and 64 to 64 channels at 8x6, then 64 to 128 at 4x3; 9 values a kernel
    assert layers.multiply_adds(["block2_conv1"], 8, 6) == 9 * (48 * (3 * 64 + 64 * 64) + 12 * 64 * 128)


def test_responses_are_those_counted_by_hand() -> None:
    assert layers.feature_count(["block2_conv1"], 8, 6) == 2 * 64 * 48 + 64 * 12 + 128 * 12


def test_the_block_of_a_layer_is_in_its_name() -> None:
    assert [layers.block_of(f"block{block}_pool") for block in range(1, 6)] == [1, 2, 3, 4, 5]
