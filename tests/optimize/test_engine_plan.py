"""ncnn is used only where its kernels fit into the memory."""

import dataclasses

import pytest

from impasto.errors import SettingError
from impasto.optimize.engine_plan import fit_engines
from impasto.optimize.memory_plan import STRIP_HEIGHTS, CostModel, ScalePlan
from impasto.settings import layers
from impasto.settings.model import Settings
from impasto.settings.schedule import Scale
from impasto.vgg.convolution import DIRECTIONS
from impasto.vgg.model import VGG19
from impasto.vgg.ncnn_convolution import workspace_bytes

pytest.importorskip("ncnn")

PLANS = tuple(ScalePlan(Scale(edge, 20, 1), (edge * 3 // 4, edge), ((edge, edge),)) for edge in (512, 2048))
LAYERS = ("block1_conv1", "block4_conv2", "block5_conv1")


@pytest.fixture(scope="module")
def costs() -> CostModel:
    vgg = VGG19.random(layers.WIDTHS)
    every = [f"{name} {direction}" for name in layers.CONVS[1:] for direction in DIRECTIONS]
    return CostModel(vgg.with_ncnn(every), Settings(), LAYERS, input_bytes=0)


def test_the_kernels_of_the_layers_that_are_evaluated_count(costs: CostModel) -> None:
    by_torch = dataclasses.replace(costs, vgg=costs.vgg.with_ncnn(()))
    kernels = [costs.vgg.kernels[name][0].nbytes for name in layers.CONVS[1:13]]  # up to block5_conv1
    difference = costs.estimate(PLANS[0], None).memory - by_torch.estimate(PLANS[0], None).memory
    workspace = difference - 2 * sum(kernels) * 36 // 9  # both directions, 6x6 numbers in place of 3x3
    assert workspace == workspace_bytes(512) < workspace_bytes(8192) < 250 * 2**20


def test_torch_evaluates_all_where_the_kernels_of_ncnn_do_not_fit(costs: CostModel) -> None:
    lowest = max(costs.estimate(plan, STRIP_HEIGHTS[-1]).memory for plan in PLANS)
    vgg, plans = fit_engines(costs, PLANS, lowest)
    assert vgg is costs.vgg
    assert plans[-1].strip == STRIP_HEIGHTS[-1]
    vgg, higher = fit_engines(costs, PLANS, lowest - 1)
    assert vgg.ncnn == ()
    assert plans[-1].strip < higher[-1].strip
    assert higher[-1].memory < lowest


def test_what_does_not_fit_without_ncnn_either_is_refused(costs: CostModel) -> None:
    with pytest.raises(SettingError, match="memory: 512x384 pixels need"):
        fit_engines(costs, PLANS, 10**8)
