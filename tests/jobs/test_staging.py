"""Jobs whose files are at URIs: what is read and written there, by which worker, and what happens when it fails."""

import shutil
import uuid
from pathlib import Path

import fsspec
import pytest

from impasto import storage
from impasto.errors import JobError, MissingError
from impasto.events import Noted, Saved, Stepped
from impasto.images.loading import load_recipe
from impasto.jobs.compute import Compute
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile, recipe_id
from impasto.jobs.staging import StagingWorker
from impasto.jobs.worker import Worker
from impasto.settings.presets import preset

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = preset("painterly").replace(size=32, steps=6)


@pytest.fixture
def compute(narrow_weights):
    return Compute("cpu", "float32", engine="torch", weights=str(narrow_weights), checkpoint_seconds=0)


@pytest.fixture(scope="session")
def s3():
    """A server of S3 on this machine, with a bucket; without it the tests are skipped."""
    reason = "needs pip install 'moto[server]' s3fs"
    server = pytest.importorskip("moto.server", reason=reason)
    s3fs = pytest.importorskip("s3fs", reason=reason)
    with pytest.MonkeyPatch.context() as patch:
        started = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        started.start()
        host, port = started.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
        started.stop()


@pytest.fixture(params=["memory", "file", "s3"])
def shared(request, tmp_path):
    """A folder in a file system of fsspec, as a URI."""
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"
    folder = f"/shared-{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "shared")
    fsspec.filesystem(request.param).makedirs(folder)
    return f"{request.param}://{folder}"


@pytest.fixture
def job(shared, content_image, style_image):
    """A job that reads and writes at URIs."""
    storage.upload(content_image, f"{shared}/in/photo.png")
    storage.upload(style_image, f"{shared}/in/painting.png")
    return Job(
        content=InputFile(path=f"{shared}/in/photo.png"),
        styles=(StyleFile(path=f"{shared}/in/painting.png"),),
        settings=SETTINGS,
        outputs=JobOutputs(result=f"{shared}/out.png", log=f"{shared}/out.jsonl"),
    )


def names(shared):
    return sorted(map(storage.name_of, storage.files_at(shared)))


def result_of(shared, tmp_path, name="out.png"):
    storage.fetch(f"{shared}/{name}", tmp_path / f"fetched-{name}")
    return tmp_path / f"fetched-{name}"


@pytest.fixture
def local_job(job, content_image, style_image, tmp_path):
    """The same job with local files."""
    folder = tmp_path / "here"
    folder.mkdir()
    files = {"content": content_image, "style 1": style_image}
    outputs = job.outputs.with_paths(lambda role, path: str(folder / Path(path).name))
    changed = job.with_files(lambda role, file: file.model_copy(update={"path": str(files[role])}))
    return changed.model_copy(update={"outputs": outputs})


def stop_after(steps):
    """A receiver of events, and whether it has seen so many steps."""
    seen = []
    return (lambda event: seen.append(event) if isinstance(event, Stepped) else None), lambda: len(seen) >= steps


def test_a_job_at_uris_writes_the_bytes_that_it_writes_at_paths(job, shared, compute, local_job, tmp_path):
    events = []
    result = StagingWorker(compute).run(job, events.append)
    assert (result.state, result.output, result.message) == ("done", f"{shared}/out.png", "")
    assert names(shared) == ["out.jsonl", "out.png"]  # no checkpoint is left, nor an incomplete file
    assert Saved(f"{shared}/out.png") in events
    assert Worker(compute).run(local_job).state == "done"
    found = result_of(shared, tmp_path)
    assert found.read_bytes() == (tmp_path / "here" / "out.png").read_bytes()
    assert recipe_id(load_recipe(found)) == result.id == local_job.hashed().id


def test_another_machine_resumes_from_the_uploaded_checkpoint(job, shared, compute, local_job, tmp_path):
    on_event, should_stop = stop_after(3)
    first = StagingWorker(compute).run(job, on_event, should_stop)
    assert (first.state, names(shared)) == ("stopped", ["out.jsonl", "out.png", "out.png.checkpoint"])
    events = []
    second = StagingWorker(compute).run(job, events.append)  # its cache is empty
    assert second.state == "done"
    assert Noted("resuming at step 3 of 6") in events
    assert names(shared) == ["out.jsonl", "out.png"]
    Worker(compute).run(local_job)
    assert result_of(shared, tmp_path).read_bytes() == (tmp_path / "here" / "out.png").read_bytes()


def test_a_checkpoint_is_uploaded_while_the_run_goes_on(job, shared, compute):
    seen = []

    def on_event(event):
        if isinstance(event, Stepped):
            seen.append((event.step, "out.png.checkpoint" in names(shared)))

    StagingWorker(compute).run(job, on_event)
    assert seen == [(0, False), *((step, True) for step in range(1, 6))]


def test_a_finished_job_is_not_run_again(job, compute):
    done = StagingWorker(compute).run(job)
    steps = []
    again = StagingWorker(compute).run(job, lambda event: steps.append(event) if isinstance(event, Stepped) else None)
    assert (again.state, again.id, again.loss, steps) == ("done", done.id, done.loss, [])


def test_inputs_are_fetched_once_for_all_jobs_of_a_worker(job, shared, compute):
    worker, hashed = StagingWorker(compute), job.hashed()
    assert worker.run(hashed).state == "done"
    for name in ("photo.png", "painting.png"):
        storage.remove(f"{shared}/in/{name}")
    other = hashed.model_copy(update={"outputs": JobOutputs(result=f"{shared}/other.png")})
    assert worker.run(other).state == "done"
    failed = StagingWorker(compute).run(other.model_copy(update={"outputs": JobOutputs(result=f"{shared}/third.png")}))
    assert (failed.state, failed.message) == ("failed", f"{shared}/in/photo.png: does not exist; check the name")
    assert failed.id == hashed.id


def test_an_input_that_was_replaced_is_refused(job, shared, compute, style_image):
    hashed = job.hashed()
    storage.upload(style_image, f"{shared}/in/photo.png")
    result = StagingWorker(compute).run(hashed)
    assert result.state == "failed"
    assert result.message.startswith(f"{shared}/in/photo.png: has changed since the job was created")


def test_the_file_of_somebody_else_is_kept(job, shared, compute, content_image, tmp_path):
    storage.upload(content_image, f"{shared}/out.png")
    result = StagingWorker(compute).run(job)
    assert result.state == "failed"
    assert result.message.startswith(f"{shared}/out.png: exists already")
    assert result_of(shared, tmp_path).read_bytes() == content_image.read_bytes()
    assert StagingWorker(compute).run(job, overwrite=True).state == "done"


def test_an_output_that_is_an_input_is_refused(job, shared, compute):
    wrong = job.model_copy(update={"outputs": JobOutputs(result=f"{shared}/in/photo.png")})
    result = StagingWorker(compute).run(wrong)
    assert result.message == f"{shared}/in/photo.png: is also an input; choose another name so that nothing is lost"


def test_a_result_that_cannot_be_uploaded_is_kept_on_the_worker(job, compute, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def refuse(path, uri):
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(fsspec.core.url_to_fs(job.outputs.result)[0], "put_file", refuse)
    events = []
    worker = StagingWorker(compute)
    result = worker.run(job, events.append)
    assert result.state == "failed"
    assert result.message.count("\n") == 0
    notes = [event.message for event in events if isinstance(event, Noted) and "Access Denied" in event.message]
    assert len(notes) == 1  # of the checkpoints, which do not end the run
    (kept,) = tmp_path.glob("impasto-*/out.png")
    assert f"the result is in {kept} on " in result.message
    assert recipe_id(load_recipe(kept)) == job.hashed().id
    worker.close()
    shutil.rmtree(kept.parent)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("impasto-")] == []


def test_an_upload_that_failed_is_made_up_for_at_the_end(job, shared, compute, monkeypatch):
    system = fsspec.core.url_to_fs(job.outputs.result)[0]
    put_file = system.put_file
    on_event, should_stop = stop_after(3)

    def refuse_during_the_run(path, uri, **options):
        if not should_stop():
            raise ConnectionResetError("the connection was lost")
        put_file(path, uri, **options)

    monkeypatch.setattr(system, "put_file", refuse_during_the_run)
    assert StagingWorker(compute).run(job, on_event, should_stop).state == "stopped"
    assert names(shared) == ["out.jsonl", "out.png", "out.png.checkpoint"]


def test_a_log_that_cannot_be_uploaded_does_not_lose_the_result(job, shared, compute, monkeypatch):
    system = fsspec.core.url_to_fs(job.outputs.result)[0]
    put_file = system.put_file

    def refuse_logs(path, uri, **options):
        if str(path).endswith(".jsonl"):
            raise PermissionError(13, "Access Denied")
        put_file(path, uri, **options)

    monkeypatch.setattr(system, "put_file", refuse_logs)
    result = StagingWorker(compute).run(job)
    assert (result.state, result.message.startswith(f"{shared}/out.jsonl: cannot be written (")) == ("failed", True)
    assert names(shared) == ["out.png"]
    assert StagingWorker(compute).run(job).state == "done"


def test_a_file_is_uploaded_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_bytes(b"old")
    seen = []
    system = fsspec.filesystem("file")
    original = type(system).put_file

    def watched(self, source, target, **options):
        original(self, source, target, **options)
        seen.append((tmp_path / "shared" / "file").read_bytes())
        raise ConnectionResetError("the connection was lost")

    monkeypatch.setattr(type(system), "put_file", watched)
    with pytest.raises(Exception, match="the connection was lost"):
        storage.upload(tmp_path / "new", f"file://{tmp_path}/shared/file")
    assert seen == [b"old"]
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["file"]
    monkeypatch.undo()
    storage.upload(tmp_path / "new", f"file://{tmp_path}/shared/file")
    assert (tmp_path / "shared" / "file").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("uri", "kind", "message"),
    [
        ("memory:///none.png", JobError, "memory:///none.png: does not exist; check the name"),
        ("nosuch://host/a.png", JobError, "nosuch://host/a.png: cannot be read (Protocol not known: nosuch)"),
        ("hdfs://host/a.png", MissingError, "pip install 'impasto[cloud]'"),
    ],
)
def test_errors_are_one_line(uri, kind, message):
    with pytest.raises(kind) as caught:
        storage.sha256_of(uri)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_uri_stands_for_a_file_a_folder_or_a_pattern(tmp_path):
    for name in ("b.png", "a.png", ".hidden.png", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder").mkdir()
    base = f"file://{tmp_path}"
    assert storage.files_at(base) == [f"{base}/{name}" for name in ("a.png", "b.png", "c.txt")]
    assert storage.files_at(f"{base}/*.png") == [f"{base}/a.png", f"{base}/b.png"]
    assert storage.files_at(f"{base}/c.txt") == [f"{base}/c.txt"]
