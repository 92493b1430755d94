"""Where a result may be written, and what becomes of it when the disk or the memory ends."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from impasto import api, reporting
from impasto.jobs import runner


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing can be flushed to the disk for so many times."""

    def fill(times):
        flushes = iter([True] * times)

        def fsync(_):
            if next(flushes, False):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)

    return fill


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/out.png", "no does not exist; create it"),
        ("file.png/out.png", "file.png is a file; create it, or choose another"),
        ("folder.png", "is a folder; give the name of a file in it"),
        ("", "is a folder"),
        ("/", "is a folder"),
        (".", "is a folder"),
        ("file.png", "exists already; choose another name or allow overwriting (--overwrite)"),
        ("out", "its suffix names no known format; end it in .png, "),
        ("out.gif", "its suffix names no known format; end it in .png, "),
        ("x" * 252 + ".png", "a file name has at most 255 bytes; choose a shorter one"),
        ("x/" * 3000 + "o.png", "does not exist; create it"),
        ("a\0b.png", "a file name cannot hold a NUL character"),
        ("dangling.png", "exists already"),
        ("/dev/full", "is not a regular file; choose another name"),
    ],
)
@pytest.mark.linux("/dev/full")
def test_a_place_that_cannot_be_written_is_refused_before_any_work(name, said, stylize, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "create_run", None)  # the work
    (tmp_path / "file.png").write_text("precious")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to("nowhere.png")
    before = sorted(tmp_path.iterdir())
    assert said in stylize("-o", f"{tmp_path}/{name}" if name not in {"/dev/full", "/", "."} else name).complaint()
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file.png").read_text() == "precious"


@pytest.mark.posix("links without a privilege")
def test_a_link_into_a_folder_that_is_not_there_is_refused_even_if_it_may_be_replaced(stylize, out):
    out.symlink_to("no/such.png")
    assert "does not exist; create it" in stylize("--overwrite").complaint()


def test_a_read_only_folder_is_refused(stylize, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "is read-only; choose another place" in stylize().complaint()


@pytest.mark.posix("links without a privilege")
def test_no_flag_makes_an_input_an_output(run_small, content_image, style_image, narrow_weights, tmp_path):
    preset = tmp_path / "mine.toml"
    preset.write_text("[settings]\nsteps = 1\n")
    link = tmp_path / "link.png"
    link.symlink_to(style_image)
    start = tmp_path / "start.png"
    start.write_bytes(content_image.read_bytes())
    for flag, path in (
        *((flag, path) for flag in ("-o", "--preview") for path in (content_image, style_image, link, start)),
        *(("--log", path) for path in (narrow_weights, preset)),
    ):
        flags = [flag, path, "--init", start, "--preset", preset, "--overwrite"]
        assert "is also an input" in run_small("stylize", content_image, style_image, *flags).complaint()
    assert start.read_bytes() == content_image.read_bytes()


@pytest.mark.parametrize("flag", ["-o", "--log", "--preview", "--timelapse", "--checkpoint"])
def test_a_folder_is_no_output_file(flag, stylize, tmp_path):
    (tmp_path / "folder").mkdir()
    assert stylize(flag, tmp_path / "folder").complaint() == (
        f"{tmp_path / 'folder'}: is a folder; give the name of a file in it"
    )


@pytest.mark.parametrize("flag", ["--preview", "--log"])
def test_two_outputs_in_one_file_are_refused(flag, stylize, out):
    (out.parent / "folder").mkdir()
    assert "is given for two outputs" in stylize(flag, out.parent / "folder" / ".." / "out.png").complaint()


@pytest.mark.parametrize(
    "name", ["with space.png", "-dash.png", "two\nlines.png", "\N{ARTIST PALETTE}.png", "x" * 251 + ".png", "ä.png"]
)
def test_a_file_may_have_any_name(name, run_small, content_image, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content_image.read_bytes())
    monkeypatch.chdir(tmp_path / "in")
    out = tmp_path / name
    outcome = run_small("stylize", "-o", out, "--optimizer", "adam", "--", name, name)
    assert outcome.status == 0
    assert [line.split()[0] for line in outcome.err.splitlines()] == ["stylize:", "plan:", "note:", "done", "saved"]
    assert out.exists()


def test_an_output_may_begin_with_a_dash(stylize, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stylize("-o", tmp_path / "x.png", "--preview=-p.png", "--preview-every", 1).status == 0
    assert (tmp_path / "-p.png").exists()


@pytest.mark.posix("links without a privilege")
def test_a_link_stays_a_link_and_its_file_is_replaced(stylize, out, tmp_path, pixels):
    (tmp_path / "file.png").write_text("old")
    out.symlink_to("file.png")
    assert stylize("--overwrite").status == 0
    assert out.is_symlink()
    assert pixels(tmp_path / "file.png").shape == (24, 32, 3)


def test_a_picture_that_cannot_be_saved_is_saved_elsewhere(stylize, out, full_disk, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    full_disk(1)
    complaint = stylize("--quiet").complaint(1)
    (rescued,) = (tmp_path / "temporary").iterdir()
    assert complaint == (f"{out}: could not be written (No space left on device); the result is in {rescued} instead")
    with Image.open(rescued) as image:
        assert image.size == (32, 24)
    assert not out.exists()


def test_a_folder_that_is_gone_at_the_end_does_not_lose_the_picture(stylize, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    finished = runner.result_of
    monkeypatch.setattr(runner, "result_of", lambda run: (shutil.rmtree(folder), finished(run))[1])
    complaint = stylize("-o", folder / "out.png", "--quiet").complaint(1)
    assert complaint.startswith(f"{folder / 'out.png'}: the folder {folder} does not exist; ")
    (rescued,) = tmp_path.glob("impasto-*.png")
    assert complaint.endswith(f"; the result is in {rescued} instead")


def test_disks_that_are_all_full_leave_no_part_of_a_picture(stylize, out, full_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    full_disk(2)
    outcome = stylize("--quiet")
    assert outcome.complaint(1) == f"{out}: could not be written (No space left on device); nothing was saved"
    assert [*out.parent.iterdir()] == []


def test_a_full_disk_keeps_the_picture_that_was_to_be_replaced(stylize, out, full_disk):
    out.write_text("old")
    full_disk(1)
    assert stylize("--overwrite").status == 1
    assert out.read_text() == "old"


def test_a_preview_that_cannot_be_saved_does_not_end_the_run(stylize, out, full_disk):
    full_disk(1)
    outcome = stylize("--preview", out.with_name("p.png"), "--preview-every", 3)
    assert outcome.status == 0
    assert "p.png: could not be written (No space left on device)" in outcome.err
    assert [path.name for path in out.parent.iterdir()] == ["out.png"]


@pytest.mark.linux("/dev/full")
def test_a_full_log_does_not_end_the_run(stylize, out, monkeypatch):
    log, step_events = out.with_name("l.jsonl"), reporting.step_events

    def filling(step):
        if step.number == 1:  # from now on, all that is written to the log meets a full disk
            descriptors = (path for path in Path("/proc/self/fd").iterdir() if path.exists())
            (descriptor,) = (int(path.name) for path in descriptors if path.samefile(log))
            with open("/dev/full", "wb") as full:
                os.dup2(full.fileno(), descriptor)
        return step_events(step)

    monkeypatch.setattr(reporting, "step_events", filling)
    assert stylize("--log", log).status == 0
    assert out.exists()
    assert log.read_text().count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has 2 GiB"),
        MemoryError(),
    ],
)
def test_too_little_memory_is_told_in_a_line(error, stylize, out, monkeypatch):
    def prepare(*_, **__):
        raise error

    monkeypatch.setattr(api, "create_run", prepare)
    assert "not enough memory for this size; give a smaller --size" in stylize().complaint(1)
    assert not out.exists()


def test_an_error_that_nobody_foresaw_keeps_its_traceback(stylize, monkeypatch):
    def prepare(*_, **__):
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(api, "create_run", prepare)
    with pytest.raises(RuntimeError, match="a defect of ours"):
        stylize()


def test_a_loss_that_is_no_number_ends_the_run_in_a_line(stylize, narrow_weights, out):
    huge = out.with_name("huge.safetensors")
    save_file({name: values * 1e6 for name, values in load_file(narrow_weights).items()}, huge)
    complaint = stylize("--weights", huge, "--quiet").complaint(1)
    assert complaint.startswith("step 0: the loss is nan; ")
    assert not out.exists()


def test_what_is_saved_is_what_a_run_without_previews_and_logs_saves(stylize, out, tmp_path, pixels):
    assert stylize("-o", tmp_path / "plain.png").status == 0
    looked_at = ["--preview", tmp_path / "p.png", "--preview-every", 1, "--log", tmp_path / "l.jsonl", "--json"]
    assert stylize(*looked_at).status == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "plain.png"))
