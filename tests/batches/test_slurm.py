"""The executor of SLURM clusters, with submitit's executor of this machine: its tasks are processes here."""

import json
import os
import signal
import threading
import time

import psutil
import pytest

from impasto import LocalExecutor, batch
from impasto.batches.slurm import SPOOL, SlurmExecutor
from impasto.batches.slurm_task import ArrayTask, Spool
from impasto.errors import OutputError, SettingError
from impasto.events import BatchBegan, JobBegan, JobEnded, JobProgressed, Noted
from impasto.jobs.compute import Compute
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile
from impasto.settings.presets import preset

pytest.importorskip("submitit", reason="needs pip install 'impasto[slurm]'")
pytestmark = [
    pytest.mark.posix("submitit's signals"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # processes that submitit leaves to the system
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SETTINGS = preset("painterly").replace(size=32, steps=3)
LONG = SETTINGS.replace(steps=200)
SEEDS = {"seed": [1, 2, 3]}


@pytest.fixture
def compute(narrow_weights):
    return Compute("cpu", "float32", engine="torch", weights=str(narrow_weights), threads=1, checkpoint_seconds=0)


@pytest.fixture
def jobs(tmp_path, content_image, style_image):
    """Three jobs."""
    inputs = {"content": InputFile(path=str(content_image)), "styles": (StyleFile(path=str(style_image)),)}
    return [
        Job(
            **inputs, settings=SETTINGS.replace(seed=seed), outputs=JobOutputs(result=str(tmp_path / f"{seed}.png"))
        ).hashed()
        for seed in (1, 2, 3)
    ]


@pytest.fixture
def run(tmp_path, compute, content_image, style_image):
    """Run a batch of three jobs by two tasks; the summary."""

    def start(name, settings=SETTINGS, on_event=lambda _: None, executor=None, **options):
        folder = tmp_path / name
        executor = executor or SlurmExecutor(folder, compute, 2, cluster="local", gpus=0)
        return batch(
            content_image, style_image, folder, settings, grid=SEEDS, executor=executor, on_event=on_event, **options
        )

    return start


def images(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def tasks_of(folder):
    """The processes of the tasks: those that run jobs, not their controllers."""
    marker = str(folder / SPOOL / "log")
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "submitit.core._submit" in words and marker in words:
            found.append(process)
    return found


class OnceCheckpointed:
    """Does something to the tasks as soon as a job has a checkpoint."""

    def __init__(self, folder, action):
        self.done, self.folder, self.action = [], folder, action
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not list(self.folder.glob("*.checkpoint")):
            time.sleep(0.02)
        self.done.append(self.action())


def test_jobs_run_in_tasks_and_the_folder_of_messages_is_removed(run, tmp_path):
    events = []
    summary = run("out", on_event=events.append)
    assert [record.state for record in summary.records] == ["done"] * 3
    assert [event.workers for event in events if isinstance(event, BatchBegan)] == [2]
    assert len([event for event in events if isinstance(event, JobBegan)]) == 3
    assert len([event for event in events if isinstance(event, JobEnded)]) == 3
    assert {event.step <= event.steps == 3 for event in events if isinstance(event, JobProgressed)} == {True}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".png") == [
        "manifest.jsonl",
        "results.csv",
        "sheet.jpg",
    ]


def test_a_killed_task_is_submitted_again_and_resumes(run, tmp_path, monkeypatch):
    monkeypatch.setattr("impasto.batches.slurm.QUEUE_SECONDS", 0.5)
    run("undisturbed", LONG)
    folder, notes = tmp_path / "out", []

    def kill_one():
        tasks_of(folder)[0].kill()  # kill -9

    kill = OnceCheckpointed(folder, kill_one)
    summary = run("out", LONG, lambda event: notes.append(event.message) if isinstance(event, Noted) else None)
    assert len(kill.done) == 1
    assert [record.state for record in summary.records] == ["done"] * 3
    assert any("resuming at step" in note for note in notes)
    assert images(folder) == images(tmp_path / "undisturbed")


def test_a_task_at_its_time_limit_stops_after_a_step_and_continues(run, tmp_path):
    run("undisturbed", LONG)
    folder, notes, found = tmp_path / "out", [], []

    def time_out():
        found.extend(tasks_of(folder))
        found[0].send_signal(signal.SIGUSR2)  # what SLURM sends before the limit

    OnceCheckpointed(folder, time_out)
    summary = run("out", LONG, lambda event: notes.append(event.message) if isinstance(event, Noted) else None)
    assert found
    assert [record.state for record in summary.records] == ["done"] * 3
    assert any("resuming at step" in note for note in notes)
    assert images(folder) == images(tmp_path / "undisturbed")


def test_a_stopped_batch_is_resumed_by_another_executor(run, tmp_path, compute):
    folder, stop, notes = tmp_path / "out", [], []
    OnceCheckpointed(folder, lambda: stop.append(True))
    summary = run("out", LONG, should_stop=lambda: stop)
    assert summary.waiting > 0
    assert {record.state for record in summary.records} <= {"stopped", "done"}
    assert list(folder.glob("*.checkpoint"))
    assert tasks_of(folder) == []
    summary = run(
        "out",
        LONG,
        lambda event: notes.append(event.message) if isinstance(event, Noted) else None,
        executor=LocalExecutor(compute, 1),
        resume=True,
    )
    assert [record.state for record in summary.records] == ["done"] * 3
    assert any("resuming at step" in note for note in notes)


def test_a_job_that_has_ended_its_task_three_times_fails_and_the_others_are_done(tmp_path, jobs, compute):
    spool = Spool(tmp_path)
    spool.write_jobs(0, jobs)
    lines = [json.dumps({"began": jobs[0].id})] * 3 + [json.dumps({"began": jobs[1].id})] * 3
    lines += [json.dumps({"paused": jobs[1].id})]  # a time-out is no attempt
    spool.messages_path(0).write_text("\n".join(lines) + "\n")
    ArrayTask(str(tmp_path), 0, compute, overwrite=False)()
    results = [message["result"] for message in spool.messages(0) if "result" in message]
    assert [(result["id"], result["state"]) for result in results] == [
        (jobs[0].id, "failed"),
        (jobs[1].id, "done"),
        (jobs[2].id, "done"),
    ]
    assert results[0]["message"].startswith("its worker ended 3 times")
    ArrayTask(str(tmp_path), 0, compute, overwrite=False)()
    assert [message for message in spool.messages(0) if "began" in message] == []  # nothing is done twice


def test_two_batches_cannot_use_one_folder_at_a_time(tmp_path, run):
    spool = tmp_path / "out" / SPOOL
    spool.mkdir(parents=True)
    (spool / "submitted").write_text(f"{os.getpid()}\n")
    with pytest.raises(OutputError, match=f"job {os.getpid()} of an earlier batch has not ended"):
        run("out", resume=True)


def test_what_a_killed_task_did_not_complete_is_not_read(tmp_path):
    spool = Spool(tmp_path)
    path = spool.messages_path(0)
    path.write_bytes(b'{"began":"a"}\n{"resu')
    assert spool.messages(0) == [{"began": "a"}]
    with path.open("ab") as file:
        file.write(b'\n{"began":"b"}\n')
    assert spool.messages(0) == [{"began": "b"}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "--workers: got 0; give 1 or more"),
        ({"gpus": 2}, "--gpus: got 2; give 0 or 1: a worker uses one"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, options, message):
    with pytest.raises(SettingError) as caught:
        SlurmExecutor(tmp_path, cluster="local", **options)
    assert str(caught.value) == message


def test_a_machine_without_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="there is no SLURM here"):
        SlurmExecutor(tmp_path)
