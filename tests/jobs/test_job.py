"""Jobs: their ids, their JSON, and the files that they may use."""

import json
import os
from pathlib import Path

import pytest

from impasto.errors import JobError
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile, recipe_id
from impasto.jobs.worker import Worker
from impasto.settings.presets import preset


@pytest.fixture
def folder(tmp_path, content_image, style_image):
    """A folder with the test images as content.png and style.png, and a mask."""
    for name, source in (("content.png", content_image), ("style.png", style_image), ("mask.png", content_image)):
        (tmp_path / name).write_bytes(source.read_bytes())
    return tmp_path


@pytest.fixture
def job(folder):
    """A job on them, with hashes."""
    return Job(
        content=InputFile(path=str(folder / "content.png")),
        styles=(StyleFile(path=str(folder / "style.png")),),
        settings=preset().replace(size=32, steps=2),
        outputs=JobOutputs(result=str(folder / "out.png")),
    ).hashed()


def test_the_id_depends_on_the_contents_of_files_and_not_on_their_names(job, folder):
    os.rename(folder / "content.png", folder / "renamed.png")
    renamed = job.model_copy(update={"content": InputFile(path=str(folder / "renamed.png"))}).hashed()
    assert renamed.id == job.id
    assert job.model_copy(update={"outputs": JobOutputs(result="other.png")}).id == job.id


@pytest.mark.parametrize(
    "change",
    [
        lambda job: {"settings": job.settings.replace(strength=0.4)},
        lambda job: {"styles": (job.styles[0].model_copy(update={"weight": 2.0}), job.styles[0])},
        lambda job: {"styles": (job.styles[0], job.styles[0])},
        lambda job: {"styles": (job.styles[0].model_copy(update={"mask": "alpha"}),)},
        lambda job: {"styles": (job.styles[0].model_copy(update={"mask": job.content}),)},
        lambda job: {"content": InputFile(path="x", sha256=job.styles[0].sha256)},
        lambda job: {"keep": job.content},
        lambda job: {"detail": job.content},
        lambda _: {"parent": "0" * 64},
        lambda _: {"task": "reconstruct"},
    ],
)
def test_the_id_depends_on_all_that_changes_the_image(job, change):
    assert job.model_copy(update=change(job)).id != job.id


def test_an_id_needs_the_hashes_of_the_inputs(job):
    unknown = job.with_files(lambda _, file: InputFile(path=file.path))
    with pytest.raises(JobError, match="content: its SHA-256 is not known yet"):
        _ = unknown.id
    assert unknown.hashed() == job


@pytest.mark.parametrize("name", ["content.png", "b\udcffd.png", "pi\u00f1ata.png", "x://y"])
def test_a_job_survives_json(job, name):
    changed = job.model_copy(update={"content": InputFile(path=name, sha256=job.content.sha256)})
    assert Job.parse(changed.to_json()) == changed
    assert changed.to_json().isascii()


def test_a_recipe_is_the_record_of_its_job(job, narrow, monkeypatch):
    monkeypatch.setattr("impasto.jobs.compute.Compute.load_network", lambda *_: narrow)
    from impasto.images.loading import load_recipe
    from impasto.jobs.compute import Compute

    for settings in (job.settings, job.settings.replace(init="content", seed=3)):
        changed = job.model_copy(
            update={"settings": settings, "outputs": JobOutputs(result=f"{job.outputs.result}.png")}
        )
        assert Worker(Compute(device="cpu")).run(changed, overwrite=True).state == "done"
        recipe = load_recipe(changed.outputs.result)
        assert recipe_id(recipe, recipe.settings.replace(faces="soft")) == changed.id


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a job"),
        ("[]", "is not a job"),
        ("[" * 100_000, "is not a job"),
        ('{"settings": {}, "outputs": {"result": "a.png"}}', "content: is missing; the task stylize needs it"),
        ('{"settings": {}, "outputs": {"result": "a.png"}, "content": {"path": "a"}}', "styles: is missing"),
        ('{"settings": {"size": 1}, "outputs": {"result": "a.png"}}', "size: got '1'"),
        ('{"settings": {}, "outputs": {"result": ""}}', "outputs.result: got ''; give a path or URI"),
        ('{"settings": {}, "outputs": {"result": 3}}', "outputs.result"),
        ('{"settings": {}, "outputs": {}}', "outputs.result"),
        ('{"task": "texture", "styles": [{"path": "a"}], "settings": {"init": "x.png"}, %s}', "init: is missing"),
        ('{"task": "texture", "styles": [{"path": "a", "weight": 0}], "settings": {}, %s}', "styles.0.weight"),
        ('{"task": "texture", "styles": [{"path": "a"}], "settings": {}, %s, "run": "rm"}', "run"),
    ],
)  # fmt: skip
def test_what_is_no_job_is_refused_in_one_line(text, complaint):
    with pytest.raises(JobError) as error:
        Job.parse(text.replace("%s", '"outputs": {"result": "o"}'), "job.json")
    assert str(error.value).startswith("job.json: is not a job (")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("what", ["missing", "folder", "huge"])
def test_a_file_that_holds_no_job_is_refused(what, tmp_path):
    path = tmp_path / "job.json"
    if what == "folder":
        path.mkdir()
    if what == "huge":
        path.write_bytes(b" " * 1_000_001)
    with pytest.raises(JobError, match=r"job\.json: cannot be read"):
        Job.read(path)


def test_relative_paths_start_in_the_folder_of_the_job(job, folder):
    relative = job.with_files(lambda _, file: file.model_copy(update={"path": Path(file.path).name}))
    relative = relative.model_copy(update={"outputs": JobOutputs(result="sub/../out.png", log="a.jsonl")})
    confined = relative.confined(folder, [folder])
    assert [file.path for file in confined.inputs.values()] == [str(folder / "content.png"), str(folder / "style.png")]
    assert (confined.outputs.result, confined.outputs.log) == (str(folder / "out.png"), str(folder / "a.jsonl"))
    assert confined.id == job.id


@pytest.mark.parametrize("role", ["content", "style 1", "mask 1", "keep", "result", "log", "checkpoint"])
@pytest.mark.parametrize("path", ["../secret", "absolute", "s3://bucket/x.png", "file:///secret"])
def test_a_job_may_not_leave_its_folder(role, path, job, folder):
    (folder / "jobs").mkdir()
    path = str(folder / "secret") if path == "absolute" else path
    inside = InputFile(path="content.png", sha256=job.content.sha256)
    changes = {"content": inside, "styles": (StyleFile(path="style.png"),), "outputs": JobOutputs(result="out.png")}
    outside = InputFile(path=path)
    if role in {"content", "keep"}:
        changes[role] = outside
    elif role == "style 1":
        changes["styles"] = (StyleFile(path=path),)
    elif role == "mask 1":
        changes["styles"] = (StyleFile(path="style.png", mask=outside),)
    else:
        changes["outputs"] = JobOutputs(**{"result": "out.png", role: path})
    with pytest.raises(JobError, match=f"^{role}: .* (is outside of the allowed folders|is not at an allowed place)"):
        job.model_copy(update=changes).confined(folder / "jobs", [folder / "jobs"])


@pytest.mark.posix("symbolic links")
def test_links_do_not_lead_out_of_the_folder(job, folder):
    (folder / "jobs").mkdir()
    (folder / "jobs" / "link").symlink_to(folder)
    inside = job.with_files(lambda _, file: file.model_copy(update={"path": f"link/{Path(file.path).name}"}))
    with pytest.raises(JobError, match=r"content: link/content\.png is outside of the allowed folders"):
        inside.confined(folder / "jobs", [folder / "jobs"])
    assert inside.confined(folder / "jobs", [folder]).content.path == str(folder / "content.png")


def test_uris_may_be_allowed_by_their_beginning(job):
    def with_result(uri):
        return job.model_copy(update={"outputs": JobOutputs(result=uri)})

    allowed = [Path(job.content.path).parent, "s3://bucket/in"]
    assert with_result("s3://bucket/in/a.png").confined(Path(), allowed).outputs.result == "s3://bucket/in/a.png"
    for uri in ("s3://bucket/in/../a.png", "s3://bucket/input/a.png", "s3://other/in/a.png", "s3://bucket/in"):
        with pytest.raises(JobError, match="is not at an allowed place"):
            with_result(uri).confined(Path(), allowed)


def test_a_parent_is_an_id(job):
    text = job.to_json()
    assert Job.parse(json.dumps(json.loads(text) | {"parent": job.id})).parent == job.id
    with pytest.raises(JobError, match="parent"):
        Job.parse(json.dumps(json.loads(text) | {"parent": "../x"}))
