"""Runs replace only their own files, and no two of them write to the same file."""

import signal

import pytest
from PIL import Image

from impasto import reporting
from impasto.jobs.claims import claimed

FLAGS = {"-o": "x.png", "--preview": "x.png", "--timelapse": "x.gif", "--log": "x.jsonl", "--checkpoint": "x"}
BUSY = "is being written by another run; choose another name, or wait until it has ended"


@pytest.fixture
def at_step(monkeypatch):
    """Do something after a step, counted from 1; nothing any more with None."""
    step_events = reporting.step_events

    def do(number, action=None):
        def acting(step):
            if step.number + 1 == number:
                action()
            return step_events(step)

        monkeypatch.setattr(reporting, "step_events", acting)

    return do


@pytest.fixture
def stop(at_step, stylize):
    """Stop a run after a step."""

    def run(*flags, step=1):
        at_step(step, lambda: signal.raise_signal(signal.SIGTERM))
        outcome = stylize(*flags)
        at_step(None)
        return outcome.status

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("flag", "name"), [each for each in FLAGS.items() if each[0] != "--checkpoint"])
def test_resuming_replaces_no_file_of_others(flag, name, stop, stylize, out, tmp_path):  # noqa: PLR0917
    assert stop() == 143
    checkpoint = out.with_name("out.png.checkpoint")
    before = checkpoint.read_bytes()
    path = tmp_path / name
    path.write_text("precious")
    how = ("--checkpoint", checkpoint, "--resume", "--preview-every", 1, flag, path)
    said = f"{path}: exists already; choose another name or allow overwriting (--overwrite)"
    assert stylize(*how).complaint() == said
    assert (path.read_text(), checkpoint.read_bytes()) == ("precious", before)
    assert stylize(*how, "--overwrite").status == 0
    assert "precious" not in path.read_bytes().decode(errors="replace")


def test_a_run_replaces_its_own_files_as_often_as_it_is_resumed(stop, stylize, out, tmp_path):
    how = ["--log", tmp_path / "l.jsonl", "--timelapse", tmp_path / "t.gif", "--checkpoint-every", "0s"]
    how += ["--preview", tmp_path / "p.png", "--preview-every", 1]
    assert stop(*how, step=1) == 143
    assert stop(*how, "--resume", step=2) == 143
    assert stylize(*how, "--resume").status == 0
    assert names(tmp_path) == ["l.jsonl", "out.png", "p.png", "t.gif"]
    assert len((tmp_path / "l.jsonl").read_text().splitlines()) == 3


def test_a_result_that_appeared_since_a_run_was_killed_is_not_replaced(stylize, at_step, out):
    def kill():
        raise SystemExit(9)

    at_step(2, kill)
    with pytest.raises(SystemExit):
        stylize("--checkpoint-every", "0s")
    at_step(None)
    out.write_text("of another program")
    assert "out.png: exists already; " in stylize("--resume").complaint()
    out.unlink()
    assert stylize("--resume").status == 0


def test_a_log_is_not_cut_off_when_its_checkpoint_is_refused(stop, stylize, tmp_path):
    log = tmp_path / "l.jsonl"
    assert stop("--log", log) == 143
    before = log.read_text() + "later\n"
    log.write_text(before)
    assert "was started with steps 3, got 4" in stylize("--log", log, "--resume", "--steps", 4).complaint()
    assert log.read_text() == before


@pytest.mark.parametrize(("flag", "name"), FLAGS.items())
def test_a_file_that_another_run_writes_is_refused_before_any_work(flag, name, stylize, tmp_path):
    with claimed([tmp_path / name]):
        for how in ([], ["--overwrite"], ["--resume"]):
            assert stylize(flag, tmp_path / name, *how).complaint() == f"{tmp_path / name}: {BUSY}"
    assert stylize(flag, tmp_path / name).status == 0


@pytest.mark.parametrize(
    "command",
    [
        "texture {style}",
        "reconstruct {content}",
        "demo",
        pytest.param("stylize {content} {style} --method fast", marks=pytest.mark.weights),
        pytest.param("fast {content} {style}", marks=pytest.mark.weights),
        "rerun {result} {content} {style}",
    ],
)
def test_every_command_refuses_a_claimed_output(  # noqa: PLR0917
    command, impasto, stylize, content_image, style_image, narrow_weights, tmp_path
):
    result, path = tmp_path / "result.png", tmp_path / "claimed.png"
    if command.startswith("rerun"):
        assert stylize("-o", result).status == 0
    words = [word.format(content=content_image, style=style_image, result=result) for word in command.split()]
    weights = [] if "fast" in command else ["--weights", narrow_weights]
    with claimed([path]):
        assert BUSY in impasto(*words, "-o", path, *weights).complaint()
    assert not path.exists()


def test_a_name_that_is_taken_during_the_run_is_left_and_a_free_one_is_used(stylize, at_step, out, tmp_path):
    (tmp_path / "out-2.png").write_text("taken, too")
    at_step(2, lambda: out.write_text("of another program"))
    complaint = stylize("--quiet").complaint(1)
    assert complaint == f"{out}: exists already; the result is in {tmp_path / 'out-3.png'} instead"
    assert out.read_text() == "of another program"
    with Image.open(tmp_path / "out-3.png") as image:
        assert image.size == (32, 24)
    assert names(tmp_path) == ["out-2.png", "out-3.png", "out.png"]


@pytest.mark.parametrize(("flag", "name"), [("--preview", "x.png"), ("--timelapse", "x.gif"), ("--checkpoint", "x")])
def test_other_names_that_are_taken_during_the_run_are_left_and_reported(  # noqa: PLR0917
    flag, name, stylize, at_step, out, tmp_path
):
    path = tmp_path / name
    at_step(1, lambda: path.write_text("of another program"))
    outcome = stylize(flag, path, "--preview-every", 3, "--checkpoint-every", "0s")
    assert outcome.status == 0
    assert f"{path}: exists already" in outcome.err
    assert path.read_text() == "of another program"
    assert names(tmp_path) == sorted([name, "out.png"])


def test_with_overwrite_a_file_that_appears_during_the_run_is_replaced(stylize, at_step, out):
    at_step(2, lambda: out.write_text("of another program"))
    assert stylize("--overwrite").status == 0
    with Image.open(out) as image:
        assert image.size == (32, 24)
