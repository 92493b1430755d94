"""Where the jobs of a batch run, and where its files are."""

import json
import sys

import pytest

from impasto.batches.inline import InlineExecutor
from impasto.cli import cluster_options
from impasto.images.loading import load_recipe
from impasto.jobs.staging import StagingWorker


@pytest.fixture
def batch(run_small, content_image, style_image, tmp_path_factory):
    """Run `impasto batch` on the two test images, which are at URIs."""
    folder = tmp_path_factory.mktemp("contents")  # other tests have files beside the content image
    (folder / content_image.name).write_bytes(content_image.read_bytes())
    uris = f"file://{folder}/*.png", "--style", f"file://{style_image}"
    return lambda *flags: run_small("batch", *uris, *flags)


class Noisy(InlineExecutor):
    """Runs the jobs in this process, and prints as a cluster's package may."""

    def run(self, jobs, on_event, should_stop):
        sys.stdout.write("a node has ended\n")
        yield from super().run(jobs, on_event, should_stop)


@pytest.fixture
def _inline(monkeypatch):
    """Jobs run in this process."""

    def create(compute, *_, overwrite, **__):
        return Noisy(StagingWorker(compute), overwrite=overwrite)

    monkeypatch.setattr(cluster_options, "LocalExecutor", create)


@pytest.mark.parametrize(("executor", "name"), [("ray", "Ray"), ("slurm", "submitit")])
def test_a_missing_package_is_named(batch, out, monkeypatch, executor, name):
    monkeypatch.setitem(sys.modules, name.lower(), None)
    complaint = batch("--executor", executor, "-o", out).complaint(1)
    assert complaint == f"--executor {executor}: {name} is not installed; pip install 'impasto[{executor}]'"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("-o", "memory://out"), "memory://out: a URI has no manifest; give a local FOLDER for it (--manifest)"),
        (("-o", "out", "--manifest", "m"), "--manifest: got m, but the output is no URI; leave it out"),
        (("--sbatch", "account"), "--sbatch: got 'account'; give NAME=VALUE, such as account=lab"),
        (("--time", "4"), "--time: got '4'; give a time such as 30m or 4h"),
        (("--executor", "slurm", "--gpus", "2", "--device", "auto"), "--gpus: got 2; give 0 or 1: a worker uses one"),
    ],
)
def test_options_that_contradict_each_other_are_refused(batch, tmp_path, monkeypatch, flags, complaint):
    monkeypatch.chdir(tmp_path)
    assert batch(*flags).complaint() == complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_inline")
def test_a_batch_at_uris_is_resumed_by_its_local_manifest(batch, tmp_path):
    shared, manifest = tmp_path / "shared", tmp_path / "manifest"
    shared.mkdir()
    where = "-o", f"file://{shared}", "--manifest", manifest, "--grid", "seed=1,2", "--workers", 1, "--json"
    first = batch(*where)
    assert (first.status, first.err) == (0, "a node has ended\n")  # which is not between the lines of JSON
    assert {*map(type, map(json.loads, first.out.splitlines()))} == {dict}
    names = ["photo-painting_seed=1.png", "photo-painting_seed=2.png"]
    assert sorted(path.name for path in shared.iterdir()) == names
    assert sorted(path.name for path in manifest.iterdir()) == ["manifest.jsonl", "results.csv"]
    assert load_recipe(shared / names[0]).pictures["content"].name == "photo.png"
    (shared / names[1]).unlink()
    again = batch(*where, "--resume")
    events = [json.loads(line) for line in again.out.splitlines()]
    assert [event["finished"] for event in events if event["event"] == "batchbegan"] == [1]
    assert sorted(path.name for path in shared.iterdir()) == names


def test_a_job_at_uris_is_run_where_it_is_allowed(impasto, small, tmp_path, content_image, style_image):
    flags = [word for flag in small.items() for word in flag]
    printed = impasto("stylize", content_image, style_image, "-o", "out.png", *flags, "--print-job")
    job = json.loads(printed.out)
    job["content"]["path"] = f"file://{content_image}"
    job["styles"][0]["path"] = f"file://{style_image}"
    job["outputs"]["result"] = f"file://{tmp_path}/out.png"
    (tmp_path / "job.json").write_text(json.dumps(job))
    running = [word for name, value in small.items() if name not in ("--size", "--steps") for word in (name, value)]
    run = "run", tmp_path / "job.json", *running
    assert "allow it with --allow URI" in impasto(*run).complaint()
    folders = [f"file://{path}" for path in (content_image.parent, style_image.parent, tmp_path)]
    done = impasto(*run, *(word for folder in folders for word in ("--allow", folder)))
    assert (done.status, f"saved file://{tmp_path}/out.png" in done.err) == (0, True)
    assert load_recipe(tmp_path / "out.png").is_complete
