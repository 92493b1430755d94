import dataclasses
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from impasto.errors import SettingError
from impasto.loss.conventions import loss_weights
from impasto.loss.matching import matched_samples
from impasto.loss.objective import Objective
from impasto.loss.style_targets import style_targets
from impasto.loss.targets import StyleTarget, Targets, content_targets, statistics_of
from impasto.optimize.memory_plan import GPU_BYTES, STRIP_HEIGHTS, CostModel, ScalePlan
from impasto.optimize.scale_run import ScaleRun
from impasto.settings.layers import CONVS, WIDTHS, block_of
from impasto.settings.model import Settings, StyleLoss
from impasto.settings.schedule import Scale
from impasto.vgg.model import VGG19

GIB = 2**30


@pytest.fixture(scope="module")
def costs() -> CostModel:
    """The costs of a run with the default settings and VGG19's real widths."""
    settings = Settings()
    layer_names = (*settings.content_layers, *settings.style_layers)
    return CostModel(VGG19.random(WIDTHS), settings, layer_names, input_bytes=0)


def plan(edge: int, steps: int = 20) -> ScalePlan:
    size = edge * 3 // 4, edge
    return ScalePlan(Scale(edge, steps, 1), size, (size,))


def test_an_image_that_fits_is_evaluated_whole(costs: CostModel) -> None:
    assert costs.fit(plan(512), 4 * GIB).strip is None


@pytest.mark.parametrize("strip", [None, 512, 64, 16])
def test_strips_are_as_high_as_the_memory_allows(costs: CostModel, strip: int | None) -> None:
    enough = costs.estimate(plan(4096), strip).memory
    assert costs.fit(plan(4096), enough).strip == strip
    if strip != STRIP_HEIGHTS[-1]:
        lower = costs.fit(plan(4096), enough - 1)
        assert lower.strip is not None
        assert lower.strip < (strip or 3072)
        assert lower.memory < enough


def test_an_image_that_does_not_fit_is_refused_with_what_to_do(costs: CostModel) -> None:
    with pytest.raises(SettingError, match=r"memory: 8192x6144 pixels need \d+\.\d GB, got 1\.1 GB; give a smaller"):
        costs.fit(plan(8192), GIB)


def test_a_larger_style_scale_needs_more_memory(costs: CostModel) -> None:
    large = dataclasses.replace(plan(512), style_sizes=((3072, 4096),))
    assert costs.estimate(large, None).memory > 4 * costs.estimate(plan(512), None).memory


def test_strips_need_half_as_much_work_again(costs: CostModel) -> None:
    whole, strips = (costs.estimate(plan(2048), strip) for strip in (None, 128))
    assert strips.multiply_adds == 1.5 * whole.multiply_adds
    assert costs.estimate(plan(512), 4000) == costs.estimate(plan(512), None)


def test_feature_maps_in_strips_grow_with_the_width_of_an_image_not_with_its_height(costs: CostModel) -> None:
    tiny = dataclasses.replace(plan(64), style_sizes=())  # with almost no feature maps of its own
    bytes_of = {
        name: costs.estimate(dataclasses.replace(tiny, size=(65, 64), style_sizes=(size,)), 64).memory
        - costs.estimate(tiny, None).memory
        for name, size in SIZES.items()
    }
    assert bytes_of["high"] == pytest.approx(bytes_of["square"], rel=0.01)
    assert bytes_of["wide"] == pytest.approx(4 * bytes_of["square"], rel=0.01)


SIZES = {"square": (2048, 2048), "high": (8192, 2048), "wide": (2048, 8192)}


def test_seconds_are_proportional_to_steps(costs: CostModel) -> None:
    one, many = (costs.estimate(plan(512, steps), None) for steps in (1, 10))
    assert many.seconds(1e-12) == pytest.approx(10 * one.seconds(1e-12))


class LiveBytes(TorchDispatchMode):
    """The bytes of all tensors that exist, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._storages: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                self._track(tensor.untyped_storage())
        return result

    def _track(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()  # one object as long as a tensor uses it
        if key not in self._storages:
            self._storages.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._storages.discard(key)
        self.now -= size


def vgg_without_values(dtype: torch.dtype) -> VGG19:
    """A VGG19 on torch's device without memory, whose layers are evaluated all rows at once as on a GPU."""
    kernels, channels = {}, 3
    for name in CONVS:
        width = WIDTHS[block_of(name) - 1]
        kernels[name] = torch.empty(width, channels, 3, 3, device="meta"), torch.empty(width, device="meta")
        channels = width
    return VGG19(kernels, device="meta", dtype=dtype)


@pytest.mark.parametrize("style_loss", ["gram", "nearest"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize(("dtype", "strip"), [(torch.bfloat16, None), (torch.float32, None), (torch.bfloat16, 192)])
def test_the_memory_on_a_gpu_is_that_of_the_tensors_of_a_step(
    dtype: torch.dtype, strip: int | None, optimizer: str, style_loss: StyleLoss
) -> None:
    vgg = vgg_without_values(dtype)
    settings = Settings(optimizer=optimizer, convention="impasto", style_loss=style_loss)
    names = (*settings.content_layers, *settings.style_layers)
    planned = CostModel(vgg, settings, names, input_bytes=10**12).estimate(plan(512), strip)
    with LiveBytes() as live:
        image, style = (torch.empty(1, 3, *planned.size, device="meta") for _ in range(2))
        content = content_targets(vgg, image, settings.content_layers, strip=strip)
        styles = []
        for statistic, layer_names in statistics_of(style_loss, settings.style_layers).items():
            found = style_targets(vgg, [(style, 1.0)], layer_names, loss=statistic, strip=strip)
            styles.append(
                StyleTarget(matched_samples(vgg, image, found, strip=strip) if statistic == "nearest" else found)
            )
        targets = Targets(content, styles)
        objective = Objective(vgg, targets, loss_weights(settings, targets), strip=strip)
        run = ScaleRun(objective, image, settings)
        for number in range(2):
            run.step(number, is_last=False)
    assert 0.7 < live.peak / (planned.memory - GPU_BYTES - vgg.nbytes) < 1
