"""Jobs on the command line: --print-job and `impasto run`."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def command(run_small, impasto):
    """Run a command at a small size; the one-pass method takes no steps, and not the narrow network."""

    def run(*arguments):
        is_fast = "fast" in arguments
        return impasto(*arguments, "--size", 48, "--device", "cpu") if is_fast else run_small(*arguments)

    return run


@pytest.fixture
def print_job(command):
    """Print the job of a command."""

    def run(*arguments):
        outcome = command(*arguments, "--print-job")
        assert (outcome.status, outcome.err) == (0, "")
        return json.loads(outcome.out)

    return run


@pytest.fixture
def run_job(impasto, small):
    """Run a job with the narrow network."""
    flags = [each for name in ("--device", "--precision", "--weights") for each in (name, small[name])]
    return lambda path, *more: impasto("run", path, *flags, *more)


@pytest.fixture
def folder(tmp_path, content_image, style_image):
    for name, path in (("content.png", content_image), ("style.png", style_image)):
        (tmp_path / name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_printed_job_gives_the_image_of_the_command(print_job, run_job, run_small, folder, pixels, monkeypatch):  # noqa: PLR0917
    monkeypatch.chdir(folder)
    arguments = "content.png", "style.png=2", "content.png", "--seed", 3, "--keep", "content.png"
    job = print_job("stylize", *arguments, "-o", "job.png", "--log", "job.jsonl")
    assert [style["weight"] for style in job["styles"]] == [2, 1]
    assert all(len(each["sha256"]) == 64 for each in (*job["styles"], job["content"], job["keep"]))
    (folder / "job.json").write_text(json.dumps(job))
    monkeypatch.chdir(Path("/"))  # its paths start in its own folder
    assert run_job(folder / "job.json").status == 0
    assert len((folder / "job.jsonl").read_text().splitlines()) == 3
    monkeypatch.chdir(folder)
    assert run_small("stylize", *arguments, "-o", "direct.png").status == 0
    assert np.array_equal(pixels(folder / "job.png"), pixels(folder / "direct.png"))
    assert "exists already" in run_job("job.json").complaint()
    assert run_job("job.json", "--overwrite").status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["texture", "style.png"],
        ["reconstruct", "content.png"],
        ["stylize", "content.png", "style.png"],
        ["stylize", "content.png", "style.png", "--method", "fast"],
    ],
)
def test_every_task_is_a_job(arguments, print_job, run_job, command, folder, pixels, monkeypatch):  # noqa: PLR0917
    monkeypatch.chdir(folder)
    (folder / "job.json").write_text(json.dumps(print_job(*arguments, "-o", "whole.png")))
    precision = ["--precision", "float32"]
    assert run_job("job.json").status == 0
    assert command(*arguments, "-o", "other.png", *(precision if "fast" in arguments else [])).status == 0
    assert np.array_equal(pixels(folder / "whole.png"), pixels(folder / "other.png"))


def test_a_job_is_read_from_standard_input(print_job, run_job, folder, monkeypatch):
    monkeypatch.chdir(folder)
    text = json.dumps(print_job("stylize", "content.png", "style.png", "-o", "a.png"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run_job("-").status == 0
    assert (folder / "a.png").exists()


def test_a_job_may_use_its_folder_and_those_that_are_allowed(print_job, run_job, folder, content_image, style_image):
    inside = folder / "jobs"
    inside.mkdir()
    job = print_job("stylize", content_image, style_image, "-o", "out.png")
    (inside / "job.json").write_text(json.dumps(job))
    complaint = run_job(inside / "job.json").complaint()
    assert complaint.startswith(f"content: {content_image} is outside of the allowed folders; allow its folder with")
    both = ["--allow", content_image.parent, "--allow", style_image.parent]
    assert run_job(inside / "job.json", *both).status == 0
    assert (inside / "out.png").exists()


def test_inputs_that_have_changed_are_refused(print_job, run_job, folder, style_image, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "job.json").write_text(json.dumps(print_job("stylize", "content.png", "style.png", "-o", "a.png")))
    (folder / "content.png").write_bytes(style_image.read_bytes())
    assert "content.png: has changed since the job was created" in run_job("job.json").complaint()
    assert not (folder / "a.png").exists()


def test_a_job_cannot_name_a_pipe(run_small, content_image, style_image):
    for arguments in (["-", style_image, "-o", "a.png"], [content_image, style_image, "-o", "-"]):
        complaint = run_small("stylize", *arguments, "--print-job").complaint()
        assert complaint == "--print-job: got - for a file, but a job is run later; give the name of a file"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"keep": {"path": "content.png"}}, "the one-pass method takes a content image and styles without masks"),
        ({"task": "texture", "content": None}, "the one-pass method takes a content image"),
    ],
)
def test_what_the_one_pass_method_cannot_do_is_refused(change, complaint, print_job, run_job, folder, monkeypatch):  # noqa: PLR0917
    monkeypatch.chdir(folder)
    job = print_job("stylize", "content.png", "style.png", "--method", "fast", "-o", "a.png")
    (folder / "job.json").write_text(json.dumps(job | change))
    assert complaint in run_job("job.json").complaint()
    (folder / "job.json").write_text(json.dumps(job))
    assert "--resume: " in run_job("job.json", "--resume").complaint()
