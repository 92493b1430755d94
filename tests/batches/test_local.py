"""The local executor, with workers that only wait: nothing is lost, nothing is done twice."""

import os
import time

import psutil
import pytest

from impasto.batches import manifest
from impasto.batches.local import LocalExecutor
from impasto.errors import OutputError, SettingError
from impasto.events import BatchBegan, JobBegan, JobEnded
from impasto.jobs.claims import claimed
from impasto.jobs.compute import Compute


def attempts(folder, stem):
    return (folder / f"{stem}-style.attempts").read_text().splitlines()


def test_every_job_is_run_once_and_recorded(plan, run, folder):
    events = []
    summary = run(plan("a", "b", "c", "d", "e"), events=events)
    assert [record.state for record in summary.records] == ["done"] * 5
    assert (summary.waiting, summary.failures) == (0, ())
    assert all(len(attempts(folder, stem)) == 1 for stem in "abcde")
    assert [record.output for record in manifest.read(folder / "manifest.jsonl").values()].count("a-style.png") == 1
    assert events[0] == BatchBegan(5, 0, 2)
    assert [sum(isinstance(event, kind) for event in events) for kind in (JobBegan, JobEnded)] == [5, 5]
    last = events[-1]
    assert (last.finished, last.failed, last.jobs, last.seconds_left) == (5, 0, 5, 0)


def test_a_killed_worker_is_replaced_and_its_job_started_again(plan, run, folder):
    summary = run(plan("once-1", "once-2", "a", "b"))
    assert [record.state for record in summary.records] == ["done"] * 4
    assert [len(attempts(folder, stem)) for stem in ("once-1", "once-2", "a", "b")] == [2, 2, 1, 1]


def test_a_job_that_kills_its_workers_fails_and_the_others_are_done(plan, run, folder):
    summary = run(plan("crash", "a", "b"))
    assert [record.state for record in summary.records] == ["failed", "done", "done"]
    (failure,) = summary.failures
    assert failure.startswith("crash-style.png: its worker ended 3 times (signal 9); try a smaller --size")
    # the last attempt had half of the worker's memory
    assert attempts(folder, "crash") == ["None", "None", str(10**9 // 2 // 2)]


def test_a_job_that_comes_further_each_time_is_done_however_often_its_worker_ends(plan, run, folder):
    summary = run(plan("further", "a"))
    assert [record.state for record in summary.records] == ["done", "done"]
    assert attempts(folder, "further") == ["None"] * 6


def test_a_worker_that_cannot_begin_a_job_is_not_started_forever(plan, run):
    summary = run(plan("never", "a"))
    assert [record.state for record in summary.records] == ["failed", "done"]
    assert "its worker ended 5 times (signal 9)" in summary.failures[0]


def test_failures_are_reported_while_the_rest_continues(plan, run):
    summary = run(plan("a", "fail-1", "b", "fail-2", "c"))
    assert [record.state for record in summary.records] == ["done", "failed", "done", "failed", "done"]
    assert summary.failures == ("fail-1-style.png: it is damaged", "fail-2-style.png: it is damaged")


def test_what_a_worker_prints_harms_nothing(plan, run):
    assert [record.state for record in run(plan("noisy", "a")).records] == ["done", "done"]


def test_a_resumed_batch_does_what_is_missing(plan, run, folder):
    run(plan("a", "fail-1"))
    events = []
    summary = run(plan("a", "fail-1", "b"), resume=True, events=events)
    assert [record.state for record in summary.records] == ["done", "failed", "done"]
    assert events[0].finished == 1
    assert [len(attempts(folder, stem)) for stem in ("a", "fail-1", "b")] == [1, 2, 1]
    os.unlink(folder / "a-style.png")
    assert run(plan("a"), resume=True).records[0].state == "done"
    assert len(attempts(folder, "a")) == 2


def test_a_manifest_that_was_cut_off_costs_no_other_job(plan, run, folder):
    run(plan("a", "b"), workers=1)
    path = folder / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert [record.state for record in run(plan("a", "b"), resume=True).records] == ["done", "done"]
    assert len(attempts(folder, "a")) == 1
    assert len(manifest.read(path)) == 2


def test_a_stopped_batch_leaves_the_rest(plan, run, folder):
    stops = iter([False] * 3)
    summary = run(plan("a", "b", "c", "d", seconds=1.0), should_stop=lambda: next(stops, True))
    assert {record.state for record in summary.records} == {"stopped"}
    assert summary.waiting == 4
    assert manifest.read(folder / "manifest.jsonl") == {}
    assert [record.state for record in run(plan("a", "b", "c", "d"), resume=True).records] == ["done"] * 4


def test_two_batches_do_not_share_a_folder(plan, run, folder):
    with claimed([folder / "manifest.jsonl"]), pytest.raises(OutputError, match="is being written by another run"):
        run(plan("a"))


def test_the_clock_may_be_set_back(plan, run, monkeypatch):
    times = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    events = []
    assert [record.state for record in run(plan("a", "b", "c"), events=events).records] == ["done"] * 3
    assert all(event.seconds_left >= 0 for event in events if isinstance(event, JobEnded))


def test_workers_end_with_the_batch(plan, run, folder):
    before = set(children())
    run(plan("a", "b"))
    deadline = time.monotonic() + 10
    while set(children()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not set(children()) - before


def children():
    return psutil.Process().children()


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_is_positive(workers):
    with pytest.raises(SettingError, match=f"--workers: got {workers}; give 1 or more"):
        LocalExecutor(Compute(device="cpu"), workers)


def test_threads_and_memory_are_divided_among_the_workers():
    executor = LocalExecutor(Compute(device="cpu", threads=8, memory=8 * 10**9), 4)
    assert {(each.threads, each.memory) for each in executor.computes} == {(2, 2 * 10**9)}
    assert LocalExecutor(Compute(device="cpu"), 8, jobs=3).workers == 3
