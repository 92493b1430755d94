"""The jobs of a server: a table, and the changes that clients and the scheduler make to it."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from impasto.web.database import Database
from impasto.web.order import RUN_ORDER, position_before
from impasto.web.problems import ConflictError, UnknownError
from impasto.web.spec import ENDED, JobSpec, Request, State
from impasto.web.stored_job import StoredJob, stored

Changed = Callable[[StoredJob], object]


class Jobs:
    """The jobs of a server.

    Args:
        changed: called with each job after it has changed.
    """

    def __init__(self, database: Database, changed: Changed = lambda _: None) -> None:
        self._database, self._changed = database, changed

    def create(self, spec: JobSpec, parent: int | None = None) -> StoredJob:
        """Add a job that waits."""
        with self._database.transaction() as connection:
            number = connection.execute(
                "INSERT INTO jobs (spec, name, state, priority, position, parent, created) VALUES (?, ?, 'waiting', ?, "
                "(SELECT coalesce(max(position), 0) + 1 FROM jobs), ?, ?)",
                (spec.model_dump_json(), spec.name, spec.priority, parent, time.time()),
            ).lastrowid
        return self._after_change(cast(int, number))

    def get(self, number: int) -> StoredJob:
        """A job by its number.

        Raises:
            UnknownError: there is none.
        """
        row = self._database.row("SELECT * FROM jobs WHERE number = ?", min(number, 2**63 - 1))
        if row is None:
            raise UnknownError(f"job {number}: is not known; see the list of jobs")
        return stored(row)

    def select(
        self,
        states: Sequence[str] = (),
        *,
        search: str = "",
        favorite: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> list[StoredJob]:
        """Jobs that are not deleted: the newest first, or in the order of running if all are waiting.

        Args:
            search: words that the name or the settings contain.
            before: a number; only older jobs, or those that run after it.
        """
        conditions, values = ["deleted IS NULL"], list[object]()
        if states:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        for word in search.split():
            pattern = "%" + "".join("\\" + c if c in "\\%_" else c for c in word) + "%"
            conditions.append("(name LIKE ? ESCAPE '\\' OR spec LIKE ? ESCAPE '\\' OR number = ?)")
            values += [pattern, pattern, word]
        if favorite:
            conditions.append("favorite = 1")
        order = "ORDER BY number DESC"
        if [*states] == ["waiting"]:
            order = RUN_ORDER
            if before is not None:
                place = "-interrupted, -priority, position"
                conditions.append(f"({place}) > (SELECT {place} FROM jobs WHERE number = ?)")
        elif before is not None:
            conditions.append("number < ?")
        if before is not None:
            values.append(before)
        rows = self._database.rows(
            f"SELECT * FROM jobs WHERE {' AND '.join(conditions)} {order} LIMIT ?", *values, limit
        )
        return [stored(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """The number of jobs in each state."""
        return dict(
            map(tuple, self._database.rows("SELECT state, count(*) FROM jobs WHERE deleted IS NULL GROUP BY state"))
        )

    def take(self) -> StoredJob | None:
        """The next job that waits, which runs from now on; None if there is none."""
        if self._database.row("SELECT 1 FROM jobs WHERE state = 'waiting' AND deleted IS NULL LIMIT 1") is None:
            return None  # without a transaction, which would be flushed to the disk
        with self._database.transaction() as connection:
            query = f"SELECT number FROM jobs WHERE state = 'waiting' AND deleted IS NULL {RUN_ORDER} LIMIT 1"
            if (row := connection.execute(query).fetchone()) is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = 'running', interrupted = 0, started = coalesce(started, ?), message = '' "
                "WHERE number = ?",
                (time.time(), row["number"]),
            )
        return self._after_change(row["number"])

    def record(self, number: int, progress: dict[str, Any]) -> None:
        """Keep the progress of a running job."""
        self._database.execute("UPDATE jobs SET progress = ? WHERE number = ?", json.dumps(progress), number)

    def note(self, number: int, message: str) -> None:
        """Keep a message about a job."""
        self._database.execute("UPDATE jobs SET message = ? WHERE number = ?", message, number)
        self._after_change(number)

    def end(self, number: int, state: State, message: str = "") -> StoredJob:
        """Record how a job has ended, or that it waits or pauses; what was asked of it is done."""
        ended = time.time() if state in ENDED else None
        self._database.execute(
            "UPDATE jobs SET state = ?, interrupted = ?, request = NULL, ended = ?, message = ? WHERE number = ?",
            *(state, state == "waiting", ended, message, number),
        )
        return self._after_change(number)

    def recover(self) -> None:
        """At a start: what was running waits, and goes on first; what was asked of it is done."""
        self._database.execute(
            "UPDATE jobs SET state = CASE request WHEN 'pause' THEN 'paused' WHEN 'cancel' THEN 'canceled' "
            "ELSE 'waiting' END, interrupted = 1, ended = CASE request WHEN 'cancel' THEN ? END, "
            "request = CASE request WHEN 'stop' THEN 'stop' END WHERE state = 'running'",
            time.time(),
        )

    def ask(self, number: int, request: Request) -> StoredJob:
        """Ask for a pause, a stop or the end of a job. One that does not run does so at once.

        Raises:
            ConflictError: it has ended, or cannot do that.
        """
        with self._database.transaction() as connection:
            job = self.get(number)
            state = {"pause": "paused", "stop": "stopped", "cancel": "canceled"}[request]
            if job.state == "running":
                connection.execute("UPDATE jobs SET request = ? WHERE number = ?", (request, number))
            elif job.state == "waiting" or (job.state == "paused" and request != "pause"):
                ended = None if request == "pause" else time.time()
                connection.execute(
                    "UPDATE jobs SET state = ?, ended = ?, request = NULL WHERE number = ?", (state, ended, number)
                )
            else:
                raise ConflictError(f"job {number}: is {job.state}; only a job that waits or runs can {request}")
        return self._after_change(number)

    def wait(self, number: int, states: Sequence[State]) -> StoredJob:
        """Let a job wait again, at its former position.

        Raises:
            ConflictError: it is in none of the `states`.
        """
        with self._database.transaction() as connection:
            job = self.get(number)
            if job.state not in states or job.deleted is not None:
                raise ConflictError(f"job {number}: is {job.state}; this needs one that is {' or '.join(states)}")
            connection.execute(
                "UPDATE jobs SET state = 'waiting', ended = NULL, message = '' WHERE number = ?", (number,)
            )
        return self._after_change(number)

    def edit(self, number: int, *, spec: JobSpec | None = None, **columns: object) -> StoredJob:
        """Change the name, priority or favorite of a job, or the spec of one that waits.

        Raises:
            ConflictError: the job has started.
        """
        with self._database.transaction() as connection:
            job = self.get(number)
            if spec is not None:
                if job.state != "waiting":
                    raise ConflictError(f"job {number}: is {job.state}; only a waiting job can be edited, or fork it")
                columns |= {"spec": spec.model_dump_json(), "name": spec.name, "priority": spec.priority}
            for column, value in columns.items():
                assert column in {"spec", "name", "priority", "favorite"}
                connection.execute(f"UPDATE jobs SET {column} = ? WHERE number = ?", (value, number))
        return self._after_change(number)

    def move(self, number: int, before: int | None) -> StoredJob:
        """Move a waiting job directly before another one, whose priority it gets; None: to the end.

        Raises:
            ConflictError: one of them does not wait.
        """
        with self._database.transaction() as connection:
            job = self.get(number)
            target = job if before is None else self.get(before)
            if {job.state, target.state} != {"waiting"}:
                raise ConflictError(f"job {number}: only waiting jobs can be moved, and only before a waiting one")
            if before is None:
                lowest = "(SELECT min(priority) FROM jobs WHERE state = 'waiting')"
                last = "(SELECT max(position) + 1 FROM jobs)"
                connection.execute(
                    f"UPDATE jobs SET priority = {lowest}, position = {last} WHERE number = ?", (number,)
                )
            elif before != number:
                position = position_before(connection, before, number)
                connection.execute(
                    "UPDATE jobs SET priority = ?, position = ? WHERE number = ?", (target.priority, position, number)
                )
        return self._after_change(number)

    def delete(self, number: int) -> StoredJob:
        """Delete a job; its row and files are kept for a while, see `Storage`.

        Raises:
            ConflictError: it is running.
        """
        with self._database.transaction() as connection:
            if self.get(number).state == "running":
                raise ConflictError(f"job {number}: is running; cancel it first")
            connection.execute("UPDATE jobs SET deleted = ? WHERE number = ?", (time.time(), number))
        return self._after_change(number)

    def restore(self, number: int) -> StoredJob:
        """Undo `delete`."""
        self.get(number)
        self._database.execute("UPDATE jobs SET deleted = NULL WHERE number = ?", number)
        return self._after_change(number)

    def remove(self, number: int) -> None:
        """Remove the row of a job for good."""
        self._database.execute("DELETE FROM jobs WHERE number = ?", number)

    def removable(self, deleted_before: float | None = None) -> list[int]:
        """Jobs that may be removed for good, those to be removed first at the beginning.

        Args:
            deleted_before: only those that were deleted before this time; None: all that are deleted, then those that
                have ended and are no favorites, the oldest first.
        """
        if deleted_before is not None:
            query = "SELECT number FROM jobs WHERE deleted < ? ORDER BY deleted"
            return [row["number"] for row in self._database.rows(query, deleted_before)]
        query = (
            f"SELECT number FROM jobs WHERE deleted IS NOT NULL OR (state IN {ENDED} AND favorite = 0) "
            "ORDER BY deleted IS NULL, ended"
        )
        return [row["number"] for row in self._database.rows(query)]

    def numbers(self) -> set[int]:
        """The numbers of all jobs, also of deleted ones."""
        return {row["number"] for row in self._database.rows("SELECT number FROM jobs")}

    def inputs(self) -> set[str]:
        """The hashes of all files that jobs need."""
        specs = (JobSpec.model_validate_json(row["spec"]) for row in self._database.rows("SELECT spec FROM jobs"))
        return {digest for spec in specs for digest in spec.digests}

    def _after_change(self, number: int) -> StoredJob:
        job = self.get(number)
        self._changed(job)
        return job
