import os
import platform
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.backends import cuda, cudnn

from impasto.errors import SettingError
from impasto.memory import BASE_BYTES, MEMORY_SHARE, memory_left, resident_memory, total_memory
from impasto.torch_state import default_state
from impasto.vgg import device

CPU = torch.device("cpu")


@pytest.fixture
def accelerators(monkeypatch: pytest.MonkeyPatch):
    """Makes torch report exactly these accelerators, two of each kind except mps, and have been built with xpu."""

    def pretend(*kinds: str) -> None:
        monkeypatch.setattr(device, "device_kinds", lambda: ("cuda", "mps", "xpu", "cpu"))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)
        for kind in ("cuda", "xpu"):
            monkeypatch.setattr(getattr(torch, kind), "is_available", lambda kind=kind: kind in kinds)
            monkeypatch.setattr(getattr(torch, kind), "device_count", lambda: 2)

    return pretend


@pytest.mark.parametrize(
    ("kinds", "best"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("mps", "cuda"), "cuda"), (("xpu",), "xpu")],
)
def test_auto_is_the_fastest_available_device(kinds: tuple[str, ...], best: str, accelerators) -> None:
    accelerators(*kinds)
    assert device.select_device() == torch.device(best)
    assert device.select_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cpu", "cpu:0", "cuda", "cuda:0", "cuda:1", "mps", "mps:0", "xpu", "xpu:1"])
def test_a_device_has_the_name_that_torch_gives_it(name: str, accelerators) -> None:
    accelerators("cuda", "mps", "xpu")
    assert device.select_device(name) == device.select_device(torch.device(name)) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "there"), [("cuda:2", "2 of that kind, give cuda:0 to cuda:1"), ("mps:1", "1 of that kind, give mps")]
)
def test_a_device_beyond_the_last_is_refused_with_those_that_exist(name: str, there: str, accelerators) -> None:
    accelerators("cuda", "mps")
    with pytest.raises(SettingError, match=f"^device: got '{name}'; this machine has {there}$"):
        device.select_device(name)


def test_the_index_of_a_device_is_not_cut_off(accelerators) -> None:
    accelerators("cuda")
    assert torch.device("cuda:257").index != 257
    with pytest.raises(SettingError, match="this machine has 2"):
        device.select_device("cuda:257")


@pytest.mark.parametrize("name", ["cuda", "mps", "cuda:1", "xpu"])
def test_an_unavailable_device_is_refused(name: str, accelerators) -> None:
    accelerators()
    with pytest.raises(SettingError, match=f"device: {torch.device(name).type} is not available to torch .* use cpu"):
        device.select_device(name)


def test_cuda_is_refused_in_a_process_forked_after_its_use(accelerators, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerators("cuda")
    monkeypatch.setattr(device, "is_cuda_lost", lambda: True)
    for name in ("auto", "cuda"):
        with pytest.raises(SettingError, match=r"^device: a process forked after cuda .* spawn$"):
            device.select_device(name)
    assert device.select_device("cpu") == CPU


@pytest.mark.parametrize(
    "name", ["gpu", "", "CPU", "cuda:", "cuda:-1", "cuda:x", "cuda:1:1", "cuda:٣", "cuda ", "meta"]
)
def test_an_unknown_device_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(SettingError, match=f"^device: got '{name}'; give auto, cuda, mps, .*cpu, or one with an index"):
        device.select_device(name)


def test_a_device_is_no_number() -> None:
    with pytest.raises(SettingError, match=r"^device: got 'None'; give auto"):
        device.select_device(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16"])
def test_auto_computes_in_bfloat16_where_the_processor_multiplies_it(
    feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, feature: True}, raising=False)
    assert device.cpu_features() == ("avx2", feature)
    assert device.select_dtype("auto", CPU) == torch.bfloat16
    assert device.select_dtype("float32", CPU) == torch.float32


def test_auto_computes_in_float32_on_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False, "cpu_name": "?"}, raising=False
    )
    assert device.select_dtype("auto", CPU) == torch.float32
    assert device.select_dtype("bfloat16", CPU) == torch.bfloat16


def test_auto_computes_in_float32_if_torch_does_not_report_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert device.cpu_features() == ()
    assert device.select_dtype("auto", CPU) == torch.float32


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_emulated_bfloat16_of_a_gpu_does_not_count(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_device = {"cuda:1": capability, "cuda:0": (9, 0)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda on: of_device[str(on)])
    assert device.has_bfloat16(torch.device("cuda:1")) is native
    assert device.has_bfloat16(torch.device("cuda:0"))
    assert device.has_bfloat16(torch.device("mps")) is False


def test_sums_are_float64_where_there_is_float64() -> None:
    kinds = {kind: device.accumulation_dtype(torch.device(kind)) for kind in ("cpu", "cuda", "mps")}
    assert kinds == {"cpu": torch.float64, "cuda": torch.float64, "mps": torch.float32}


@pytest.mark.parametrize("name", ["float16", "bf16", ""])
def test_an_unknown_precision_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(SettingError, match=f"precision: got '{name}'; give one of auto, float32, tf32, bfloat16"):
        device.select_dtype(name, CPU)


@pytest.mark.parametrize(("capability", "has_tf32"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_tf32_is_float32_on_a_gpu_that_has_it(
    capability: tuple[int, int], has_tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    on = torch.device("cuda:1")
    if has_tf32:
        assert device.select_dtype("tf32", on) == torch.float32
    else:
        with pytest.raises(SettingError, match=r"^precision: got 'tf32', which cuda:1 does not have; give float32 or"):
            device.select_dtype("tf32", on)


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_only_cuda_has_tf32(kind: str) -> None:
    with pytest.raises(SettingError, match=f"^precision: got 'tf32', which {kind} does not have"):
        device.select_dtype("tf32", torch.device(kind))


def settings_of_torch() -> list[object]:
    """The settings of this process that choose the kernels on CUDA: two for both precisions, then the precisions."""
    settings: list[object] = [cudnn.benchmark, cudnn.deterministic]
    if hasattr(cudnn, "conv"):
        return [*settings, cudnn.conv.fp32_precision, cuda.matmul.fp32_precision, cudnn.rnn.fp32_precision]
    return [*settings, cudnn.allow_tf32, cuda.matmul.allow_tf32]


@pytest.mark.parametrize("tf32", [True, False])
def test_kernels_on_cuda_are_the_same_in_every_process_and_the_callers_settings_are_restored(tf32: bool) -> None:
    before, on = settings_of_torch(), torch.device("cuda")
    with device.arithmetic(on, tf32=tf32):
        within = settings_of_torch()
        precision = ("tf32" if tf32 else "ieee") if hasattr(cudnn, "conv") else tf32
        assert within[:4] == [False, True, precision, precision]
        with device.arithmetic(on, tf32=tf32):
            assert settings_of_torch() == within
        assert settings_of_torch() == within
        with default_state():  # a step of a training computes in it
            assert settings_of_torch() == within
    assert settings_of_torch() == before


@pytest.mark.skipif(not hasattr(cudnn, "conv"), reason="torch before 2.9 has the older settings only")
@pytest.mark.parametrize("of", [cudnn.conv, cuda.matmul] if hasattr(cudnn, "conv") else [])
@pytest.mark.parametrize("theirs", ["ieee", "tf32"])
def test_a_caller_may_use_torchs_newer_settings(of: Any, theirs: str) -> None:
    before = of.fp32_precision
    try:
        of.fp32_precision = theirs  # after which reading the older setting may raise
        for tf32, ours in ((True, "tf32"), (False, "ieee")):
            with device.arithmetic(torch.device("cuda"), tf32=tf32):
                assert of.fp32_precision == ours
            assert of.fp32_precision == theirs
    finally:
        of.fp32_precision = before


def test_threads_take_turns_at_launching_kernels() -> None:
    on, seen = torch.device("cuda"), []

    def launch() -> None:
        with device.arithmetic(on, tf32=False):
            seen.append(settings_of_torch())

    before = settings_of_torch()
    with device.arithmetic(on, tf32=True):
        thread = threading.Thread(target=launch)
        thread.start()
        thread.join(0.05)
        assert not seen
    thread.join()
    with device.arithmetic(on, tf32=False):
        assert seen == [settings_of_torch()]
    assert settings_of_torch() == before


def test_other_devices_keep_the_callers_settings() -> None:
    before = settings_of_torch()
    with device.arithmetic(CPU, tf32=False):
        assert settings_of_torch() == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators return memory by themselves")
def test_freed_memory_that_malloc_keeps_is_released() -> None:
    blocks = [bytearray(2**16) for _ in range(2**11)]  # 128 MiB in blocks too small for a mapping of their own
    last = bytearray(2**16)  # malloc itself returns only what is free at the end of the heap
    del blocks
    kept = resident_memory()
    device.release_memory(CPU)
    assert kept - resident_memory() > 2**26
    del last


@pytest.mark.posix("sysconf")
def test_available_memory_is_a_share_of_the_total() -> None:
    total = total_memory()
    assert total == pytest.approx(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01)
    assert 0 < resident_memory() < total
    assert 0 < device.available_memory(CPU) <= MEMORY_SHARE * (total + resident_memory())


@pytest.mark.parametrize(("reserved", "allocated", "available"), [(0, 0, 1000), (600, 0, 1600), (600, 600, 1000)])
def test_memory_that_torch_keeps_for_reuse_on_a_gpu_is_available(
    reserved: int, allocated: int, available: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 5000))  # free and total, as the driver sees them
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: allocated)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda index: 1.0 + 0 * index, raising=False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)  # a device without an index is the current one
    assert device.available_memory(torch.device("cuda")) == round(MEMORY_SHARE * available)


@pytest.mark.parametrize(("fraction", "available"), [(1.0, 1600), (0.5, 2500 - 100), (0.2, 1000 - 100), (0.01, 0)])
def test_a_limit_of_the_process_on_a_gpu_applies(
    fraction: float, available: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1500, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 200)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", {1: fraction}.get, raising=False)
    expected = round(MEMORY_SHARE * min(available, 1600))
    assert device.available_memory(torch.device("cuda:1")) == expected


def test_memory_of_tensors_that_exist_on_apples_gpu_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 5000)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 2000)
    assert device.available_memory(torch.device("mps")) == round(MEMORY_SHARE * 3000)


@pytest.mark.linux("containers")
def test_a_memory_limit_of_the_container_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text

    def limited(path: Path, *arguments: str, **options: str) -> str:
        if path == Path("/sys/fs/cgroup/memory.max"):
            return "1000000\n"
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", limited)
    assert device.available_memory(CPU) == 800_000


def test_the_limit_of_a_gpu_is_none_for_main_memory() -> None:
    assert device.main_memory_limit(5000, CPU) == 5000
    assert device.main_memory_limit(5000, torch.device("cuda")) is None
    assert device.main_memory_limit(None, CPU) is None


def test_what_is_left_of_a_limit_is_less_what_the_process_uses() -> None:
    used = max(resident_memory(), BASE_BYTES)
    assert memory_left(used + 10**9) == pytest.approx(10**9, abs=10**8)
    assert memory_left(1) < 0 < memory_left(None)
