"""The worker: jobs one after the other with one network; nothing is done twice, nothing foreign is replaced."""

import dataclasses
import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto import api
from impasto.errors import PictureError
from impasto.events import Noted, Stepped
from impasto.images.loading import load_recipe
from impasto.jobs import rerun
from impasto.jobs.compute import Compute
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile
from impasto.jobs.worker import Worker
from impasto.optimize import run as runs
from impasto.settings.presets import preset
from impasto.vgg.model import VGG19

SETTINGS = preset().replace(size=32, steps=3)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """A narrow network is faster on one thread."""


@pytest.fixture
def make_job(content_image, style_image, tmp_path):
    def make(name="out.png", settings=SETTINGS, **outputs):
        return Job(
            content=InputFile(path=str(content_image)),
            styles=(StyleFile(path=str(style_image)),),
            settings=settings,
            outputs=JobOutputs(result=str(tmp_path / name), **outputs),
        )

    return make


@pytest.fixture
def compute(narrow_weights):
    return Compute(device="cpu", precision="float32", weights=str(narrow_weights), checkpoint_seconds=0)


@pytest.fixture
def worker(compute):
    return Worker(compute)


def bytes_of(job):
    return Path(job.outputs.result).read_bytes()


class Killed(BaseException):
    """The process ends at this moment."""


def killed(*_):
    raise Killed


def killed_at(step):
    """A receiver of events that ends the run at a step."""
    return lambda event: isinstance(event, Stepped) and event.step == step and killed()


def test_a_job_gives_the_image_of_the_call(worker, make_job, content_image, style_image, narrow):
    result = worker.run(make_job())
    expected = impasto.stylize(content_image, style_image, SETTINGS, vgg=narrow)
    assert (result.state, result.steps, result.message) == ("done", 3, "")
    assert result.loss == expected.recipe["loss"]
    with Image.open(make_job().outputs.result) as image:
        assert np.array_equal(np.asarray(image), np.asarray((expected.tensor * 255).round().byte()).transpose(1, 2, 0))


def test_the_network_and_the_style_are_loaded_once(worker, make_job, monkeypatch):
    loads, load = [], VGG19.load
    monkeypatch.setattr(VGG19, "load", lambda *given, **named: loads.append(1) or load(*given, **named))
    for seed in range(3):
        assert worker.run(make_job(f"{seed}.png", SETTINGS.replace(seed=seed))).state == "done"
    assert len(loads) == 1


def test_a_finished_job_is_not_repeated(worker, make_job, monkeypatch):
    assert worker.run(make_job()).state == "done"
    monkeypatch.setattr("impasto.jobs.runner.execute", lambda *_: pytest.fail("it was repeated"))
    again = worker.run(make_job(), overwrite=True)
    assert (again.state, again.steps) == ("done", 3)


def test_the_result_of_another_job_is_not_replaced(worker, make_job):
    assert worker.run(make_job()).state == "done"
    before = bytes_of(make_job())
    other = make_job(settings=SETTINGS.replace(seed=1, init="noise"))
    result = worker.run(other)
    assert result.state == "failed"
    assert "out.png: exists already" in result.message
    assert bytes_of(other) == before
    assert worker.run(other, overwrite=True).state == "done"
    assert bytes_of(other) != before


@pytest.mark.parametrize("moment", ["before the result", "after the result"])
def test_a_killed_job_is_resumed_to_the_same_bytes(worker, make_job, compute, moment, monkeypatch):
    whole, job = make_job("whole.png"), make_job("out.png", log=make_job("out.jsonl").outputs.result)
    assert worker.run(whole).state == "done"
    with monkeypatch.context() as patch:
        if moment == "after the result":  # and before the checkpoint is removed
            patch.setattr("impasto.optimize.checkpointer.Checkpointer.discard", killed)
        with pytest.raises(Killed):
            worker.run(job, killed_at(2) if moment == "before the result" else None)
    assert Path(f"{job.outputs.result}.checkpoint").exists()
    steps = []
    result = Worker(compute).run(job, steps.append)
    assert result.state == "done"
    assert sum(isinstance(event, Stepped) for event in steps) == (0 if moment == "after the result" else 1)
    assert bytes_of(job) == bytes_of(whole)
    assert not Path(f"{job.outputs.result}.checkpoint").exists()


def test_a_stopped_job_keeps_its_image_and_is_resumed(worker, make_job):
    whole, job = make_job("whole.png"), make_job()
    assert worker.run(whole).state == "done"
    stops = iter([False, True, True, True, True, True])
    result = worker.run(job, should_stop=lambda: next(stops, True))
    assert (result.state, load_recipe(job.outputs.result).is_complete) == ("stopped", False)
    assert worker.run(job).state == "done"
    assert bytes_of(job) == bytes_of(whole)


def test_a_damaged_checkpoint_is_removed_and_the_job_starts_over(worker, make_job):
    job, notes = make_job(), []
    checkpoint = Path(f"{job.outputs.result}.checkpoint")
    checkpoint.write_bytes(b"x" * 100)
    assert worker.run(job, notes.append).state == "done"
    assert any("is not a checkpoint or is damaged" in note.message for note in notes if isinstance(note, Noted))
    assert not checkpoint.exists()


def test_the_checkpoint_of_another_job_is_not_replaced(worker, make_job):
    job = make_job()
    with pytest.raises(Killed):
        worker.run(job, killed_at(2))
    checkpoint = Path(f"{job.outputs.result}.checkpoint")
    before = checkpoint.read_bytes()
    result = worker.run(make_job(settings=SETTINGS.replace(strength=0.3)))
    assert "out.png.checkpoint: exists already" in result.message
    assert checkpoint.read_bytes() == before


def test_a_file_that_has_changed_since_is_refused(worker, make_job, tmp_path, content_image, style_image):
    changing = tmp_path / "content.png"
    changing.write_bytes(content_image.read_bytes())
    job = make_job().model_copy(update={"content": InputFile(path=str(changing))}).hashed()
    changing.write_bytes(style_image.read_bytes())
    result = worker.run(job)
    assert (result.state, result.id) == ("failed", job.id)
    assert "content.png: has changed since the job was created" in result.message
    assert not Path(job.outputs.result).exists()


def test_images_in_memory_stand_for_files(compute, make_job, content_image, style_image):
    pictures = [impasto.load(path) for path in (content_image, style_image)]
    given = [dataclasses.replace(picture, sha256=picture.content_hash) for picture in pictures]
    worker = Worker(compute, {picture.sha256: picture for picture in given})
    job = make_job().hashed().with_files(lambda _, file: file.model_copy(update={"path": "nowhere.png"}))
    assert worker.run(job).state == "done"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory for this size"),
        (RuntimeError("CUDA out of memory"), "not enough memory for this size"),
        (PictureError("x.png: is damaged"), "x.png: is damaged"),
    ],
)
def test_a_job_that_fails_does_not_end_the_worker(worker, make_job, monkeypatch, error, message):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "__iter__", fail)
        assert worker.run(make_job()).message.startswith(message)
    assert worker.run(make_job()).state == "done"


def test_other_errors_are_not_hidden(worker, make_job, monkeypatch):
    monkeypatch.setattr(runs.Run, "__iter__", lambda _: {}["x"])
    with pytest.raises(KeyError):
        worker.run(make_job())


def test_a_job_of_the_one_pass_method(worker, make_job, content_image, style_image):
    job = make_job(settings=SETTINGS.replace(method="fast", size=48))
    assert worker.run(job).state == "done"
    network = impasto.FastNetwork("cpu", "float32")
    expected = impasto.fast(content_image, style_image, SETTINGS.replace(size=48), network=network)
    with Image.open(job.outputs.result) as image:
        assert np.array_equal(np.asarray(image), np.asarray((expected.tensor * 255).round().byte()).transpose(1, 2, 0))
    before = Path(job.outputs.result).stat().st_mtime_ns
    assert worker.run(job).state == "done"
    assert Path(job.outputs.result).stat().st_mtime_ns == before


@pytest.mark.parametrize("method", ["optimize", "fast"])
def test_a_result_and_its_rerun_name_the_parent(worker, make_job, narrow_weights, method):
    job = make_job(settings=SETTINGS.replace(method=method, size=48)).model_copy(update={"parent": "ab" * 32})
    assert worker.run(job).state == "done"
    before = Path(job.outputs.result).stat().st_mtime_ns
    assert worker.run(job).state == "done"  # it is known as the result of this job
    assert Path(job.outputs.result).stat().st_mtime_ns == before
    found = rerun.find_inputs(Path(job.outputs.result), [Path(file.path) for file in job.inputs.values()])
    if method == "fast":
        again = rerun.rerun_fast(found)
    else:
        again = api.complete(rerun.recreate_run(found, str(narrow_weights)))
    assert (found.recipe.parent, again.recipe["parent"]) == ("ab" * 32, "ab" * 32)


def test_a_folder_that_is_gone_fails_the_job_in_a_line(worker, make_job, tmp_path):
    result = worker.run(make_job("gone/out.png"))
    assert result.state == "failed"
    assert (
        result.message
        == f"{tmp_path}/gone/out.png: the folder {tmp_path}/gone does not exist; create it, or choose another"
    )


@pytest.mark.linux("/proc")
def test_a_result_that_cannot_be_written_is_kept_elsewhere(worker, make_job, monkeypatch, tmp_path):
    job, kept = make_job(), tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    fsync = os.fsync

    def full(handle):
        if Path(os.readlink(f"/proc/self/fd/{handle}")).parent == Path(job.outputs.result).parent:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        result = worker.run(job)
    assert result.state == "failed"
    assert "No space left on device" in result.message
    (elsewhere,) = kept.glob("*.png")
    assert str(elsewhere) in result.message
    assert worker.run(job).state == "done"
    assert bytes_of(job) == elsewhere.read_bytes()
