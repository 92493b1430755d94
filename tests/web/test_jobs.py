"""The table of jobs: order, changes, and what a crash leaves."""

import sqlite3
from pathlib import Path

import pytest
from web_inputs import spec

from impasto.errors import OutputError
from impasto.web.database import MIGRATIONS, Database
from impasto.web.jobs import Jobs
from impasto.web.problems import ConflictError, FullError, UnknownError


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Database(tmp_path / "db.sqlite3"))


def order(jobs: Jobs) -> list[int]:
    return [job.number for job in jobs.select(["waiting"])]


def test_jobs_run_by_priority_and_then_in_the_order_they_came(jobs: Jobs) -> None:
    for priority in (0, 1, 0, -1, 1):
        jobs.create(spec(priority=priority))
    assert order(jobs) == [2, 5, 1, 3, 4]
    assert [jobs.take().number for _ in range(5)] == [2, 5, 1, 3, 4]  # type: ignore[union-attr]
    assert jobs.take() is None


def test_a_job_is_moved_before_any_other_one_and_gets_its_priority(jobs: Jobs) -> None:
    for priority in (0, 0, 0, 1):
        jobs.create(spec(priority=priority))
    jobs.move(3, 1)
    assert order(jobs) == [4, 3, 1, 2]
    jobs.move(2, 4)
    assert order(jobs) == [2, 4, 3, 1]
    assert jobs.get(2).priority == 1
    jobs.move(4, None)
    assert order(jobs) == [2, 3, 1, 4]
    jobs.move(3, 3)
    assert order(jobs) == [2, 3, 1, 4]


def test_a_hundred_moves_to_the_same_place_keep_the_order(jobs: Jobs) -> None:
    for _ in range(3):
        jobs.create(spec())
    expected = [1, 2, 3]
    for move in range(100):
        moved = (1, 2)[move % 2]
        jobs.move(moved, 3)
        expected = [*(number for number in expected if number not in (moved, 3)), moved, 3]
        assert order(jobs) == expected


def test_pages_of_waiting_jobs_follow_each_other(jobs: Jobs) -> None:
    for priority in (0, 1, 0, 1, 2):
        jobs.create(spec(priority=priority))
    first = jobs.select(["waiting"], limit=2)
    second = jobs.select(["waiting"], limit=2, before=first[-1].number)
    third = jobs.select(["waiting"], limit=2, before=second[-1].number)
    assert [job.number for job in (*first, *second, *third)] == order(jobs)


def test_what_ran_at_a_crash_waits_at_its_place_and_requests_are_fulfilled(jobs: Jobs, tmp_path: Path) -> None:
    for _ in range(5):
        jobs.create(spec())
    for _ in range(4):
        jobs.take()
    for number, request in ((2, "pause"), (3, "cancel"), (4, "stop")):
        jobs.ask(number, request)  # type: ignore[arg-type]
    after = Jobs(Database(tmp_path / "db.sqlite3"))
    after.recover()
    states = [after.get(number).state for number in range(1, 6)]
    assert states == ["waiting", "paused", "canceled", "waiting", "waiting"]
    assert order(after) == [1, 4, 5]
    assert after.get(4).request == "stop"  # it is started, and stops at once with its image


@pytest.mark.parametrize(
    ("state", "request_", "becomes"),
    [
        ("waiting", "pause", "paused"),
        ("waiting", "stop", "stopped"),
        ("waiting", "cancel", "canceled"),
        ("paused", "stop", "stopped"),
        ("paused", "cancel", "canceled"),
        ("paused", "pause", None),
        ("done", "cancel", None),
        ("failed", "stop", None),
    ],
)
def test_what_can_be_asked_of_a_job_that_does_not_run(
    jobs: Jobs, state: str, request_: str, becomes: str | None
) -> None:
    jobs.create(spec())
    jobs.end(1, state)  # type: ignore[arg-type]
    if becomes is None:
        with pytest.raises(ConflictError, match=f"job 1: is {state}"):
            jobs.ask(1, request_)  # type: ignore[arg-type]
        becomes = state
    else:
        jobs.ask(1, request_)  # type: ignore[arg-type]
    assert jobs.get(1).state == becomes


def test_only_a_waiting_job_is_edited_or_moved(jobs: Jobs) -> None:
    jobs.create(spec())
    jobs.create(spec())
    jobs.edit(1, spec=spec(name="new", settings={"size": 96}))
    assert (jobs.get(1).name, jobs.get(1).spec.settings.size) == ("new", 96)
    jobs.take()
    with pytest.raises(ConflictError, match="only a waiting job can be edited"):
        jobs.edit(1, spec=spec())
    with pytest.raises(ConflictError, match="only waiting jobs can be moved"):
        jobs.move(2, 1)
    with pytest.raises(ConflictError, match="is running; cancel it first"):
        jobs.delete(1)


def test_a_search_takes_its_characters_literally(jobs: Jobs) -> None:
    for name in ("100 % gold", "gold_leaf", "'; DROP TABLE jobs; --"):
        jobs.create(spec(name=name))
    assert [job.number for job in jobs.select(search="%")] == [1]
    assert [job.number for job in jobs.select(search="gold_")] == [2]
    assert [job.number for job in jobs.select(search="'; DROP")] == [3]
    assert len(jobs.select()) == 3


def test_deleted_jobs_are_not_listed_nor_run_and_can_be_restored(jobs: Jobs) -> None:
    jobs.create(spec())
    jobs.delete(1)
    assert (jobs.select(), jobs.take(), jobs.counts()) == ([], None, {})
    jobs.restore(1)
    assert order(jobs) == [1]


def test_favorites_are_never_removable_but_deleted_ones(jobs: Jobs) -> None:
    for _ in range(4):
        jobs.create(spec())
        jobs.end(jobs.take().number, "done")  # type: ignore[union-attr]
    jobs.edit(1, favorite=True)
    jobs.delete(4)
    assert jobs.removable() == [4, 2, 3]


def test_an_unknown_number_is_an_error_of_one_line(jobs: Jobs) -> None:
    for number in (7, 2**70):
        with pytest.raises(UnknownError, match=f"job {number}: is not known"):
            jobs.get(number)


class TestDatabase:
    def test_every_step_of_the_schema_leads_to_the_present_one(self, tmp_path: Path) -> None:
        for version in range(len(MIGRATIONS) + 1):
            path = tmp_path / f"{version}.sqlite3"
            old = sqlite3.connect(path)
            for script in MIGRATIONS[:version]:
                old.executescript(script)
            old.execute(f"PRAGMA user_version = {version}")
            if version:
                columns = "spec, name, state, priority, position, created"
                old.execute(
                    f"INSERT INTO jobs ({columns}) VALUES (?, 'kept', 'waiting', 0, 1, 2)", (spec().model_dump_json(),)
                )
            old.commit()
            old.close()
            database = Database(path)
            assert database.version == len(MIGRATIONS)
            assert [job.name for job in Jobs(database).select()] == ["kept"] * bool(version)

    def test_a_database_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "db")
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(OutputError, match=r"belongs to a newer version of impasto \(schema 99"):
            Database(tmp_path / "db")

    def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "db").write_bytes(b"not a database" * 100)
        with pytest.raises(OutputError, match="is not usable as a database"):
            Database(tmp_path / "db")

    def test_a_failed_transaction_changes_nothing(self, jobs: Jobs, tmp_path: Path) -> None:
        database = Database(tmp_path / "other")

        def insert_twice() -> None:
            with database.transaction() as connection:
                for _ in range(2):
                    connection.execute("INSERT INTO saved_settings VALUES ('a', '{}')")

        with pytest.raises(sqlite3.IntegrityError):
            insert_twice()
        assert database.rows("SELECT * FROM saved_settings") == []

    def test_a_full_disk_is_an_error_of_one_line(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "db")
        database.rows("PRAGMA max_page_count = 1")

        def create_many(jobs: Jobs) -> None:
            for _ in range(100):
                jobs.create(spec())

        with pytest.raises(FullError, match=r"the database cannot be written \(database or disk is full\); free space"):
            create_many(Jobs(database))
