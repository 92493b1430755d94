"""The command `impasto batch`: every content image with every style, in worker processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from impasto.batches.inline import InlineExecutor
from impasto.cli import cluster_options
from impasto.events import JobEnded
from impasto.images.loading import load_recipe
from impasto.jobs.worker import Worker

LIMIT = 120


@pytest.fixture
def images(tmp_path, content_image, style_image):
    """Folders `in` with two content images, and `styles` with two style images."""
    for folder, names in (("in", ("a.png", "b.png")), ("styles", ("s.png", "t.png"))):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            with Image.open(content_image if folder == "in" else style_image) as image:
                image.rotate(180 * number).save(tmp_path / folder / name)
    return tmp_path


@pytest.fixture
def batch(run_small, images, monkeypatch):
    """Run `impasto batch` in the folder of the images."""
    monkeypatch.chdir(images)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return lambda *arguments: run_small("batch", *arguments, "-o", "out")


def rows(folder):
    with (folder / "out" / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_content_image_with_every_style_and_value(batch, run_small, images, pixels):
    grid = ["--grid", "seed=1,2", "--init", "noise"]
    outcome = batch("in", "--style", "styles/s.png", "--style", "styles/t.png", *grid, "--workers", 2)
    assert outcome.status == 0, outcome.err
    names = [f"{content}-{style}_seed={seed}.png" for content in "ab" for style in "st" for seed in (1, 2)]
    others = ["manifest.jsonl", "results.csv", "sheet.jpg"]
    assert sorted(path.name for path in (images / "out").iterdir()) == sorted([*names, *others])
    assert [row["image"] for row in rows(images)] == names
    for row in rows(images):
        recipe = load_recipe(images / "out" / row["image"])
        assert (row["content_image"], row["style_image"]) == (recipe.content.name, recipe.styles[0].name)
        assert (row["seed"], row["state"], row["steps"]) == (str(recipe.settings.seed), "done", "3")
        assert float(row["total"]) == recipe.loss["total"]
    flags = ["--init", "noise", "--seed", 2, "--threads", 1, "-o", "alone.png"]
    assert run_small("stylize", "in/b.png", "styles/s.png", *flags).status == 0
    assert np.array_equal(pixels(images / "alone.png"), pixels(images / "out" / "b-s_seed=2.png"))
    with Image.open(images / "out" / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 120
    assert "8 of 8: " in outcome.err


@pytest.fixture
def _inline(monkeypatch):
    """Jobs run in this process: worker processes take seconds to start."""

    def create(compute, *_, overwrite, **__):
        return InlineExecutor(Worker(compute), overwrite=overwrite)

    monkeypatch.setattr(cluster_options, "LocalExecutor", create)


@pytest.mark.usefixtures("_inline")
def test_a_job_that_fails_is_reported_and_the_others_are_done(batch, images):
    (images / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    outcome = batch("in/*.png", "in/missing.png", "--style", "styles/s.png", "--workers", 1)
    assert outcome.status == 1
    *_, first, second, last = outcome.err.splitlines()
    assert first == "note: failed: in/missing.png: does not exist; check the name"
    assert second.startswith("note: failed: broken-s.png: in/broken.png: ")
    assert last == "impasto: 2 of 4 jobs failed; see out/results.csv"
    assert [row["state"] for row in rows(images)] == ["done", "done", "failed"]
    before = {path.name: path.stat().st_mtime_ns for path in (images / "out").glob("?-s.png")}
    shutil.copy(images / "in" / "a.png", images / "in" / "c.png")
    with Image.open(images / "in" / "a.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "in" / "broken.png")
    outcome = batch("in", "--style", "styles/s.png", "--workers", 1, "--resume", "--json")
    assert outcome.status == 0
    assert {path.name: path.stat().st_mtime_ns for path in (images / "out").glob("?-s.png")} == before
    events = [json.loads(line) for line in outcome.out.splitlines()]
    # c.png is a copy of a.png: the same job
    assert events[0] == {"event": "batchbegan", "jobs": 3, "finished": 2, "workers": 1}
    assert [event["output"] for event in events if event["event"] == JobEnded.__name__.lower()] == ["broken-s.png"]


@pytest.mark.posix("kill")
@pytest.mark.usefixtures("_inline")
def test_a_killed_batch_is_resumed_to_the_same_bytes(start, run_small, images, monkeypatch):
    """The batch that is killed has worker processes; the others are run in this one."""
    monkeypatch.chdir(images)
    where = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    flags = ["in", "--style", "styles", "--workers", 2, "--checkpoint-every", "0s", "--steps", 40]
    assert run_small("batch", *flags, "-o", "whole").status == 0
    process = start("batch", *flags, "-o", "out", **where)
    deadline = time.monotonic() + LIMIT
    while not list((images / "out").glob("*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert list((images / "out").glob("*.checkpoint"))
    assert run_small("batch", *flags, "-o", "out", "--resume").status == 0
    for path in (images / "whole").glob("*.png"):
        assert path.read_bytes() == (images / "out" / path.name).read_bytes(), path.name
    assert {path.name for path in (images / "out").iterdir()} == {path.name for path in (images / "whole").iterdir()}


@pytest.mark.posix("signals")
def test_what_appears_in_a_watched_folder_is_stylized(start, images):
    process = start("batch", "in", "--style", "styles/s.png", "--watch", "--workers", 1, "-o", "out")
    deadline = time.monotonic() + LIMIT
    while not (images / "out" / "a-s.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with Image.open(images / "in" / "a.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "in" / "new.png")
    while not (images / "out" / "new-s.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 143, err
    assert [row["image"] for row in rows(images)] == ["a-s.png", "b-s.png", "new-s.png"]


@pytest.mark.posix("signals")
def test_a_signal_leaves_images_so_far_and_checkpoints(start, images):
    flags = ["in", "--style", "styles/s.png", "--workers", 1, "--steps", 5000, "-o", "out"]
    process = start("batch", *flags)
    deadline = time.monotonic() + LIMIT
    while not list((images / "out").glob(".a-s.png.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, b"stopping after this step" in err) == (130, True), err
    assert (images / "out" / "a-s.png.checkpoint").exists()
    assert not load_recipe(images / "out" / "a-s.png").is_complete
    assert [row["state"] for row in rows(images)] == ["stopped"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("in",), "--style is missing (see `impasto batch --help`)"),
        (("--style", "styles"), "CONTENT... is missing (see `impasto batch --help`)"),
        (("-", "--style", "styles"), "-: a batch reads files and writes a folder of results; give their names"),
        (("in", "--style", "empty"), "empty: contains no images; give another folder"),
        (("in", "--style", "none.png"), "none.png: does not exist; check the name"),
        (("nothing*", "--style", "styles"), "nothing*: matches no images; check the pattern"),
        (("in", "--style", "styles", "--grid", "seed=x"), "grid seed: got 'x'"),
        (("in", "--style", "styles", "--grid", "seed=1", "--seed", "2"), "seed: got 2, but the grid varies it"),
        (("in", "--style", "styles", "--format", "jpg", "--depth", "16"), "16"),
        (("in", "--style", "styles", "--workers", "0"), "--workers: got 0; give 1 or more"),
        (("in", "out", "--style", "styles", "--watch"), "out: is a watched folder; give another output"),
        (("in/a.png", "--style", "styles", "--watch"), "--watch: got 'in/a.png'; give a FOLDER"),
        (("in", "--style", "styles", "--init", "none.png"), "none.png: does not exist; check the name"),
    ],
)
def test_what_cannot_be_a_batch_is_refused_before_any_work(arguments, complaint, batch, images):
    (images / "empty").mkdir()
    assert complaint in batch(*arguments).complaint()
    assert not (images / "out").exists()


def test_a_folder_with_files_is_refused(batch, images):
    (images / "out").mkdir()
    (images / "out" / "mine.txt").write_text("x")
    complaint = batch("in", "--style", "styles").complaint()
    assert complaint.startswith("out: contains files; choose another folder, resume what is in it (--resume)")
    shutil.rmtree(images / "out")
    (images / "out").write_text("x")
    assert "out: is not a folder" in batch("in", "--style", "styles").complaint()
