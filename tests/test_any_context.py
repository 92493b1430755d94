"""Every public call works in inference mode, in a thread, in a process started by spawn; two runs share a network."""

import contextlib
import dataclasses
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

import impasto
from impasto import Picture, Run, Settings
from impasto.feedforward import train
from impasto.settings import layers
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=2)
WORKER = (sys.executable, str(Path(__file__).parent / "batches" / "fake_worker.py"))


@dataclasses.dataclass(frozen=True)
class Files:
    """What the calls read, and a folder of their own that they write to."""

    content: Path
    style: Path
    weights: Path
    result: Path
    folder: Path

    @property
    def vgg(self) -> VGG19:
        return impasto.VGG19.load(self.weights, device="cpu", precision="float32")


def sweep(given: Files) -> object:
    """Without drawing, in the other process, too: `plot` draws."""
    folder = given.folder / "sweep"
    with patch("matplotlib.figure.Figure.savefig", lambda _, file, **__: file.write(b"not drawn")):
        impasto.sweep(given.content, given.style, {"steps": [1]}, folder, SMALL, vgg=given.vgg)
    return impasto.load(next(folder.glob("*steps*.png"))).content_hash


def compute(given: Files) -> impasto.Compute:
    return impasto.Compute("cpu", "float32", weights=str(given.weights), threads=1)


def batch(given: Files) -> object:
    """With a worker process that loads no torch: it knows nothing of this context; `run_job` compares losses."""
    executor = impasto.LocalExecutor(compute(given), 1, command=WORKER)
    summary = impasto.batch(given.content, given.style, given.folder / "batch", SMALL, executor=executor)
    return [(record.state, dict(record.loss)) for record in summary.records]


def job(given: Files) -> impasto.Job:
    files = {"content": {"path": str(given.content)}, "styles": [{"path": str(given.style)}]}
    outputs = {"result": str(given.folder / "job.png")}
    return impasto.Job.model_validate({**files, "settings": SMALL.model_dump(), "outputs": outputs})


def run_job(given: Files) -> object:
    result = impasto.run_job(job(given), compute=compute(given))
    return result.state, dict(result.loss)


def plot(given: Files) -> object:
    log = given.folder / "log.jsonl"
    entry = '{"step": 0, "scale": 32, "seconds": 1, "total": 1, "content": 1, "style": 1, "tv": 1}\n'
    log.write_text(entry, encoding="utf-8")
    impasto.plot(log).save(given.folder / "plot.svg")
    return (given.folder / "plot.svg").exists()


def compare(given: Files) -> object:
    compared = impasto.compare([given.content, given.style])
    compared.save(given.folder / "sheet.png")
    return impasto.load(given.folder / "sheet.png").content_hash


def distill(given: Files) -> object:
    settings = impasto.preset("distill").replace(steps=1, style_layers=["block1_conv1"])
    image = Picture(torch.linspace(0, 1, 256).expand(3, 256, 256).contiguous())
    with patch.object(train, "VIEWS", (train.View(64, (2, 4)),)):  # small crops, in the other process, too
        style = impasto.distill(given.style, [image], settings, vgg=given.vgg, checkpoint=given.folder / "checkpoint")
    style.save(given.folder / "style.safetensors")
    return impasto.fast(given.content, given.folder / "style.safetensors").content_hash


def rerun(given: Files) -> object:
    threads = torch.get_num_threads()
    overrides = impasto.Overrides(threads=threads)
    return impasto.rerun(given.result, given.content.parent, weights=given.weights, overrides=overrides).content_hash


def take_steps(given: Files) -> object:
    run = impasto.Run(impasto.load(given.content), [impasto.load(given.style)], SMALL, vgg=given.vgg)
    return [(type(step) is impasto.Step, step.terms.to_floats(), step.preview().content_hash) for step in run]


def one_pass(given: Files) -> object:
    network = impasto.FastNetwork("cpu", "float32")
    return impasto.fast(given.content, given.style, network=network).content_hash


def styled(given: Files) -> object:
    styles = [impasto.Style(impasto.load(given.style), 0.5), given.content]
    return impasto.stylize(given.content, styles, SMALL, vgg=given.vgg, on_event=lambda _: None).content_hash


def losses(given: Files) -> object:
    features = given.vgg(impasto.load(given.content).tensor[None], layers.CONVS[:1])[layers.CONVS[0]]
    return impasto.losses.gram(features).tolist()


def raise_errors(given: Files) -> object:
    try:
        return impasto.load(given.folder / "missing.png")
    except impasto.ImpastoError as error:
        return type(error) is impasto.errors.PictureError


def ask_a_server(_: Files) -> object:
    try:
        return impasto.Client("http://127.0.0.1:1").job(1)
    except impasto.ImpastoError as error:
        return str(error)


def serve(given: Files) -> object:
    """With an address that it cannot listen at."""
    try:
        return impasto.serve(given.folder / "data", host="192.0.2.1", workers=1, compute=compute(given))
    except impasto.errors.OutputError as error:
        return str(error)


CALLS: dict[str, Callable[[Files], object]] = {
    "Client": ask_a_server,
    "Compute": lambda given: compute(given).threads,
    "FastNetwork": one_pass,
    "ImpastoError": raise_errors,
    "Job": lambda given: job(given).hashed().id,
    "LocalExecutor": lambda given: impasto.LocalExecutor(compute(given), 2, jobs=1).workers,
    "Overrides": rerun,
    "Picture": lambda given: impasto.Picture(impasto.load(given.content).tensor).rounded().content_hash,
    "RayExecutor": lambda _: callable(impasto.RayExecutor),
    "Recipe": lambda given: impasto.Recipe.parse(impasto.load_recipe(given.result).model_dump(), "x").task,
    "Run": take_steps,
    "Settings": lambda given: impasto.Settings(size=99).model_dump(),
    "SlurmExecutor": lambda _: callable(impasto.SlurmExecutor),
    "Step": take_steps,
    "Style": styled,
    "StyleTargets": lambda given: (
        impasto.stylize(given.content, impasto.StyleTargets(given.style, vgg=given.vgg), SMALL).content_hash
    ),
    "VGG19": lambda given: impasto.VGG19.random((4, 6, 8, 8, 8)).kernels["block1_conv1"][0].tolist(),
    "batch": batch,
    "compare": compare,
    "distill": distill,
    "errors": raise_errors,
    "events": lambda given: impasto.events.Noted("x").as_dict(),
    "fast": lambda given: impasto.fast(given.content, given.style).content_hash,
    "info": lambda given: impasto.info(SMALL, vgg=given.vgg).torch,
    "installed_weights": lambda given: [each.sha256 for each in impasto.installed_weights()],
    "load": lambda given: impasto.load(given.content).content_hash,
    "load_recipe": lambda given: impasto.load_recipe(given.result).model_dump(),
    "losses": losses,
    "network_for": lambda given: impasto.network_for(given.style).sha256,
    "plot": plot,
    "preset": lambda given: impasto.preset().model_dump(),
    "presets": lambda given: [each.name for each in impasto.presets()],
    "recolor": lambda given: impasto.recolor(given.style, given.content, "content").content_hash,
    "reconstruct": lambda given: impasto.reconstruct(given.content, settings=SMALL, vgg=given.vgg).content_hash,
    "rerun": rerun,
    "run_job": run_job,
    "serve": serve,
    "stylize": styled,
    "sweep": sweep,
    "texture": lambda given: impasto.texture(given.style, SMALL, vgg=given.vgg).content_hash,
    "weights": lambda given: impasto.weights.find(given.weights).kind,
}
"""Public name -> a call whose value can be compared."""


def call(name: str, given: Files) -> object:
    """In a process of its own, too: the calls themselves cannot be sent there."""
    return CALLS[name](given)


def test_every_public_name_has_a_call_here() -> None:
    assert sorted(CALLS) == sorted(set(impasto.__all__) - {"__version__"})


@pytest.fixture(scope="module")
def files(
    content_image: Path, style_image: Path, narrow_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Files]:
    folder = tmp_path_factory.mktemp("inputs")
    paths = [folder / image.name for image in (content_image, style_image)]
    for image, path in zip((content_image, style_image), paths, strict=True):
        path.write_bytes(image.read_bytes())
    given = Files(*paths, narrow_weights, folder / "result.png", folder)
    impasto.stylize(given.content, given.style, SMALL, vgg=given.vgg).save(given.result)
    return lambda: dataclasses.replace(given, folder=tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def process() -> Iterator[Executor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), torch.set_num_threads, [1]) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """As in the other process."""


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_works_in_any_context(name: str, files: Callable[[], Files], process: Executor) -> None:
    expected = call(name, files())
    with torch.inference_mode():
        assert call(name, files()) == expected
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(call, name, files()).result() == expected
    assert process.submit(call, name, files()).result(timeout=120) == expected


PAIRS = [
    ({"optimizer": "lbfgs"}, {"optimizer": "lbfgs", "style_loss": "wasserstein", "pooling": "avg"}),
    ({"optimizer": "adam", "average": 0.5}, {"optimizer": "lbfgs", "style_loss": "nearest", "padding": "circular"}),
]


@pytest.mark.parametrize("caller", ["default", "float64", "matmul"])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_runs_in_two_threads_share_a_network(
    pair: tuple[dict[str, Any], ...], caller: str, files: Callable[[], Files]
) -> None:
    given, settings = files(), [SMALL.replace(size=64, first_scale=32, steps=4, **changes) for changes in pair]
    vgg = given.vgg
    content, style = impasto.load(given.content), impasto.load(given.style)
    alone = [finish(Run(content, [style], each, vgg=vgg)) for each in settings]
    meeting = threading.Barrier(2, timeout=60)  # before each step
    with state_of(caller), ThreadPoolExecutor(2) as threads:
        runs = [
            threads.submit(lambda each=each: finish(Run(content, [style], each, vgg=vgg), meeting.wait))
            for each in settings
        ]
        assert [run.result() for run in runs] == alone
        assert torch.get_default_dtype() == (torch.float64 if caller == "float64" else torch.float32)
        assert torch.get_float32_matmul_precision() == ("medium" if caller == "matmul" else "highest")


def finish(run: Run, before_step: Callable[[], object] = lambda: None) -> object:
    """The losses of all steps, and the result."""
    losses, steps = [], iter(run)
    for _ in range(run.steps):
        before_step()
        losses.append(next(steps).terms.to_floats())
    return losses, run.picture.content_hash


@contextlib.contextmanager
def state_of(caller: str) -> Iterator[None]:
    """The caller's own state, which belongs to the process and not to a thread."""
    torch.set_default_dtype(torch.float64 if caller == "float64" else torch.float32)
    torch.set_float32_matmul_precision("medium" if caller == "matmul" else "highest")
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")


def test_a_run_is_created_in_one_thread_and_finished_in_another(files: Callable[[], Files]) -> None:
    given = files()
    vgg, content, style = given.vgg, impasto.load(given.content), impasto.load(given.style)
    expected = finish(Run(content, [style], SMALL, vgg=vgg))
    with torch.inference_mode():
        run = Run(content, [style], SMALL, vgg=given.vgg)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(finish, run).result() == expected


def test_warning_filters_which_belong_to_the_process_are_changed_in_one_place_under_a_lock() -> None:
    source = Path(impasto.__file__).parent
    changing = {path.name for path in source.rglob("*.py") if "catch_warnings" in path.read_text(encoding="utf-8")}
    assert changing == {"quiet.py"}
