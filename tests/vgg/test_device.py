import os
import platform
from pathlib import Path

import pytest
import torch

from impasto.errors import SettingError
from impasto.memory import BASE_BYTES, MEMORY_SHARE, memory_left, resident_memory, total_memory
from impasto.vgg import device

CPU = torch.device("cpu")


@pytest.fixture
def accelerators(monkeypatch: pytest.MonkeyPatch):
    """Makes torch report exactly these accelerators."""

    def pretend(*kinds: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)

    return pretend


@pytest.mark.parametrize(
    ("kinds", "best"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("mps", "cuda"), "cuda")]
)
def test_auto_is_the_fastest_available_device(kinds: tuple[str, ...], best: str, accelerators) -> None:
    accelerators(*kinds)
    assert device.select_device() == torch.device(best)
    assert device.select_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_unavailable_device_is_refused(name: str, accelerators) -> None:
    accelerators()
    with pytest.raises(SettingError, match=f"device: {name} is not available to torch .* use cpu"):
        device.select_device(name)


def test_cuda_is_refused_in_a_process_forked_after_its_use(accelerators, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerators("cuda")
    monkeypatch.setattr(device, "is_cuda_lost", lambda: True)
    for name in ("auto", "cuda"):
        with pytest.raises(SettingError, match=r"^device: a process forked after cuda .* spawn$"):
            device.select_device(name)
    assert device.select_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:1", "", "CPU"])
def test_an_unknown_device_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(SettingError, match=f"device: got '{name}'; give one of auto, cpu, cuda, mps"):
        device.select_device(name)


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


@pytest.mark.parametrize("native", [True, False])
def test_emulated_bfloat16_of_a_gpu_does_not_count(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or native)
    assert device.has_bfloat16(torch.device("cuda")) is native
    assert device.has_bfloat16(torch.device("mps")) is False


def test_sums_are_float64_where_there_is_float64() -> None:
    kinds = {kind: device.accumulation_dtype(torch.device(kind)) for kind in ("cpu", "cuda", "mps")}
    assert kinds == {"cpu": torch.float64, "cuda": torch.float64, "mps": torch.float32}


@pytest.mark.parametrize("name", ["float16", "bf16", ""])
def test_an_unknown_precision_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(SettingError, match=f"precision: got '{name}'; give one of auto, float32, bfloat16"):
        device.select_dtype(name, CPU)


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
    assert device.available_memory(torch.device("cuda")) == round(MEMORY_SHARE * available)


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
