"""The choice of engines and precision by a trial, whose times are kept."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
import torch

from impasto.errors import SettingError
from impasto.settings import layers
from impasto.vgg import engines, ncnn_convolution, trial
from impasto.vgg.convolution import DIRECTIONS
from impasto.vgg.model import VGG19

CPU = torch.device("cpu")
WIDTHS = (16, 16, 32, 32, 32)
ABLE = tuple(f"{name} {direction}" for name in layers.CONVS[1:] for direction in DIRECTIONS)


@pytest.fixture(scope="module")
def kernels() -> engines.Kernels:
    return VGG19.random(WIDTHS).kernels


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def no_ncnn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "ncnn", None)  # importing it fails
    ncnn_convolution.ncnn_module.cache_clear()
    yield
    ncnn_convolution.ncnn_module.cache_clear()


@pytest.fixture
def ncnn() -> None:
    pytest.importorskip("ncnn")


@pytest.fixture
def measured(ncnn: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Times that the trial shall find, by a part of their keys; all others are 1."""
    found: dict[str, float] = {}

    def times(kernels, ways):
        keys = {
            trial.time_key(direction, kernel, way) for kernel, _ in kernels for direction in DIRECTIONS for way in ways
        }
        return {key: next((found[part] for part in found if part in key), 1.0) for key in keys}

    monkeypatch.setattr(trial, "times", times)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    return found


def test_each_convolution_is_evaluated_by_the_faster_engine(kernels, measured) -> None:
    measured |= {"gradient 32>32 torch float32": 0.5, "32>32 ncnn": 0.7, "ncnn": 2}
    chosen = engines.select(kernels, CPU, "float32", "auto")
    assert chosen.dtype == torch.float32
    assert set(chosen.ncnn) == {f"block{n}_conv{i} forward" for n, i in WIDE}


WIDE = [(block, conv) for block in (3, 4, 5) for conv in (1, 2, 3, 4) if (block, conv) != (3, 1)]


@pytest.mark.parametrize(("seconds", "dtype"), [(0.4, torch.bfloat16), (0.6, torch.float32)])
def test_bfloat16_is_compared_with_the_best_of_float32(seconds: float, dtype, kernels, measured) -> None:
    measured |= {"ncnn": 0.5, "bfloat16": seconds}
    chosen = engines.select(kernels, CPU, "auto", "auto")
    assert chosen == engines.Engines(dtype, () if dtype == torch.bfloat16 else ABLE)


def test_emulated_bfloat16_is_tried_on_one_convolution_at_most(kernels, ncnn, cache, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    measure, tried = trial.times, []

    def times(kernels, ways):
        if "torch bfloat16" not in ways:
            return measure(kernels, ways)
        tried.extend(kernels)
        return {trial.time_key(direction, kernel, ways[0]): 1e9 for kernel, _ in kernels for direction in DIRECTIONS}

    monkeypatch.setattr(trial, "times", times)
    assert engines.select(kernels, CPU, "auto", "auto").dtype == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert engines.select(kernels, CPU, "auto", "auto").dtype == torch.float32
    assert len(tried) == 1


def test_the_times_are_measured_once_for_a_number_of_threads(kernels, ncnn, cache: Path) -> None:
    ways, able = ("torch float32", "ncnn float32"), list(kernels.values())[1:5]
    first = trial.times(able, ways)
    assert set(first) >= {"forward 16>32 torch float32", "gradient 16>32 torch float32", "16>32 ncnn float32"}
    assert min(first.values()) > 0
    (file,) = cache.iterdir()
    assert trial.times(able, ways) == first
    more = trial.times(list(kernels.values())[5:6], ["ncnn float32"])
    assert json.loads(file.read_text()) == first | more
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        trial.times(able[:1], ways)
    finally:
        torch.set_num_threads(threads)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"16>16 ncnn float32": -1}', b'{"a": "1"}', b"\xff", b'{"a": NaN}'])
def test_damaged_times_are_measured_again(damage: bytes, kernels, ncnn, cache: Path) -> None:
    some = list(kernels.values())[1:2]
    keys = set(trial.times(some, ["ncnn float32"]))
    (file,) = cache.iterdir()
    file.write_bytes(damage)
    assert trial.times(some, ["ncnn float32"]).keys() == keys
    assert json.loads(file.read_text()).keys() == keys


def test_a_cache_that_cannot_be_written_is_no_error(kernels, ncnn, cache: Path, monkeypatch) -> None:
    some = list(kernels.values())[1:2]
    cache.write_bytes(b"a file, not a folder")
    assert len(trial.times(some, ["ncnn float32"])) == 1

    def homeless(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    assert len(trial.times(some, ["ncnn float32"])) == 1


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_without_ncnn_torch_evaluates_everything(precision, dtype, kernels, no_ncnn, cache: Path) -> None:
    for engine in ("auto", "torch", ()):
        assert engines.select(kernels, CPU, precision, engine) == engines.Engines(dtype)
    assert not cache.exists()
    with pytest.raises(SettingError, match='ncnn is not installed; `pip install "impasto\\[ncnn\\]"`, or give torch'):
        engines.select(kernels, CPU, "auto", "ncnn")
    with pytest.raises(SettingError, match="ncnn is not installed"):
        VGG19.random(WIDTHS).with_ncnn(ABLE)


def test_engine_ncnn_evaluates_all_that_it_can(kernels, ncnn, cache: Path) -> None:
    assert engines.select(kernels, CPU, "auto", "ncnn") == engines.Engines(torch.float32, ABLE)
    assert not cache.exists()
    assert engines.select(VGG19.random((4, 8, 16, 16, 20)).kernels, CPU, "float32", "ncnn").ncnn == tuple(
        f"block{block}_conv{conv} {direction}"
        for block, first in ((3, 2), (4, 1))
        for conv in range(first, 5)
        for direction in DIRECTIONS
    )


def test_the_convolutions_of_a_recipe_apply_to_its_device_and_precision_only(kernels, ncnn) -> None:
    some = ABLE[3:7]
    assert engines.select(kernels, CPU, "float32", some).ncnn == some
    assert engines.select(kernels, CPU, "bfloat16", some).ncnn == ()
    assert engines.select(kernels, torch.device("meta"), "float32", some).ncnn == ()
    assert VGG19(kernels).with_ncnn(some).engine == "torch and ncnn"
    assert VGG19(kernels, dtype=torch.bfloat16).with_ncnn(some).engine == "torch"


@pytest.mark.parametrize(
    ("precision", "engine", "complaint"),
    [
        ("auto", "mkl", "engine: got 'mkl'; give one of auto, torch, ncnn"),
        ("bfloat16", "ncnn", "engine: got ncnn with cpu and bfloat16; it needs the cpu and float32"),
        ("float32", ["block1_conv1 forward"], "engine: ncnn cannot evaluate 'block1_conv1 forward' of this network"),
        ("float32", ["block1_conv2 sideways"], "engine: ncnn cannot evaluate 'block1_conv2 sideways'"),
        ("float32", ["block9_conv2 forward"], "engine: ncnn cannot evaluate 'block9_conv2 forward'"),
    ],
)
def test_what_ncnn_cannot_do_is_refused(precision: str, engine, complaint: str, kernels, ncnn) -> None:
    with pytest.raises(SettingError) as caught:
        engines.select(kernels, CPU, precision, engine)
    assert str(caught.value).startswith(complaint)
