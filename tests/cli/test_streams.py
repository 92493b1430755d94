"""Signals, and standard streams that are closed or full: mostly in processes of their own, which are slow to start."""

import contextlib
import json
import locale
import os
import signal
import subprocess
import sys

import pytest

from impasto import api, reporting
from impasto.cli.app import app

LIMIT = 120


@pytest.fixture
def long_run(start, content_image, style_image):
    """A run of very many steps that has taken a few of them."""
    process = start(
        "stylize", content_image, style_image, "-o", "out.png", "--steps", 1_000_000, "--json", "--log", "l.jsonl"
    )
    for _ in range(5):  # what opens a run, and three steps
        process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.posix("signals of another process")
def test_an_interrupted_run_keeps_the_picture(number, status, long_run, tmp_path, impasto):
    long_run.send_signal(number)
    rest, err = long_run.communicate(timeout=LIMIT)
    assert long_run.returncode == status
    assert err == b"stopping after this step, the image so far is saved; a second signal stops at once\n"
    output = json.loads(impasto("inspect", tmp_path / "out.png").out)
    assert 3 <= output["steps_done"] < output["settings"]["steps"]
    ended = json.loads(rest.splitlines()[-2])
    assert (ended["complete"], ended["steps"]) == (False, output["steps_done"])
    assert len((tmp_path / "l.jsonl").read_text().splitlines()) == output["steps_done"]
    assert sorted(os.listdir(tmp_path)) == ["l.jsonl", "out.png", "out.png.checkpoint"]


@pytest.mark.posix("SIGHUP")
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(start, content_image, style_image):
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does

    process = start(
        "stylize", content_image, style_image, "-o", "out.png", "--steps", 1_000_000, "--json", preexec_fn=ignore
    )
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    for _ in range(5):
        assert json.loads(process.stdout.readline())["event"] == "stepped"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 143


def interrupt(*_, **__):
    signal.raise_signal(signal.SIGINT)


def test_a_second_interrupt_ends_the_run_at_once(stylize, out, monkeypatch):
    opening = reporting.start_events

    def interrupted(run):
        interrupt()
        yield from opening(run)
        interrupt()

    monkeypatch.setattr(reporting, "start_events", interrupted)
    assert stylize("--quiet").complaint(130) == "interrupted; nothing was saved"
    assert [*out.parent.iterdir()] == []


def test_a_second_interrupt_in_the_midst_of_saving_leaves_no_half_file(stylize, out, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (interrupt(), interrupt()))
    assert stylize("--quiet").status == 130
    assert [*out.parent.iterdir()] == []


def test_an_interrupt_before_the_run_is_told_in_a_line(stylize, out, monkeypatch):
    monkeypatch.setattr(api, "create_run", interrupt)
    assert stylize().complaint(130) == "interrupted; nothing was saved"
    assert not out.exists()


def test_signals_are_handled_as_before_when_the_run_is_over(stylize):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert stylize().status == 0
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_reader_that_goes_away_does_not_end_the_run(start, content_image, style_image, tmp_path):
    process = start("stylize", content_image, style_image, "-o", "out.png", "--steps", 30, "--json")
    assert json.loads(process.stdout.readline())["event"] == "began"
    process.stdout.close()
    assert process.wait(LIMIT) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
    assert (tmp_path / "out.png").exists()


@pytest.mark.posix("preexec_fn")
def test_closed_streams_do_not_end_the_run(start, content_image, style_image, tmp_path):
    def close():
        os.close(1)
        os.close(2)

    flags = ["--json", "--log", "l.jsonl"]
    process = start("stylize", content_image, style_image, "-o", "out.png", *flags, preexec_fn=close)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert (tmp_path / "out.png").exists()
    assert len((tmp_path / "l.jsonl").read_text().splitlines()) == 3


def test_without_home_language_or_path_and_with_names_that_are_no_text(start, content_image, style_image, tmp_path):
    name, out = b"\xff\xfe.png", b"out\xff.png"
    (tmp_path / os.fsdecode(name)).write_bytes(content_image.read_bytes())
    process = start("stylize", name, style_image, "-o", out, env={})
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert err.splitlines()[-1] == b"saved out\\udcff.png"
    assert (tmp_path / os.fsdecode(out)).exists()


def test_a_process_says_what_is_wrong_in_a_line_and_ends_with_2(start, style_image):
    process = start("stylize", b"no\xff.png", style_image, "-o", "out.png", "--steps", 1)
    said, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, said) == (2, b"")
    assert err == b"impasto: no\\udcff.png: does not exist; check the name\n"


def run(*arguments, **options):
    """A command that loads no torch, and so starts in a moment."""
    command = [sys.executable, "-m", "impasto", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=LIMIT, check=False, **options)


@pytest.mark.linux("/dev/full")
def test_a_full_disk_behind_standard_output_is_told_in_a_line():
    with open("/dev/full", "wb") as full:
        process = run("presets", stdout=full)
    assert process.returncode == 1
    assert process.stderr.startswith(b"impasto: standard output: No space left on device; ")
    assert process.stderr.count(b"\n") == 1


def test_a_reader_that_goes_away_ends_a_listing_in_silence():
    reader, writer = os.pipe()
    os.close(reader)
    process = run("presets", "keras", stdout=writer)
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, b"")


def test_help_of_no_command_loads_torch():
    commands = [name for name in app if not name.startswith("-")]
    assert len(commands) == 21
    script = "import sys; from impasto.cli import main\n"
    script += f"for name in {commands}: assert main([name, '--help']) == 0\n"
    script += "main(['--version'])\nassert not {'torch', 'matplotlib'}.intersection(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=LIMIT)


def test_decimal_commas_of_the_locale_change_nothing(stylize, impasto, out):
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"):
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, name)
    try:
        if locale.localeconv()["decimal_point"] != ",":
            pytest.skip("no locale with decimal commas is installed")
        assert stylize("--content-weight", "0.5").status == 0
        assert json.loads(impasto("inspect", out).out)["settings"]["content_weight"] == 0.5
    finally:
        locale.setlocale(locale.LC_ALL, before)
