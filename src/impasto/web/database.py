"""The database of a server: SQLite, with a schema that is migrated in numbered steps."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import OutputError, printable
from impasto.web.problems import FullError

MIGRATIONS = (
    """
    CREATE TABLE files (
        sha256 TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        facts TEXT NOT NULL,            -- JSON: width, height, alpha, recipe, notes
        used REAL NOT NULL              -- Unix seconds of the last upload, or of the last job with it
    );
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        spec TEXT NOT NULL,             -- JSON, see JobSpec
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        request TEXT,                   -- pause, stop or cancel: asked for, not done yet
        priority INTEGER NOT NULL,
        position REAL NOT NULL,         -- order among the waiting jobs of one priority
        interrupted INTEGER NOT NULL DEFAULT 0, -- whether it ran when the server ended: it goes on first
        favorite INTEGER NOT NULL DEFAULT 0,
        parent INTEGER,
        created REAL NOT NULL,
        started REAL,
        ended REAL,
        progress TEXT NOT NULL DEFAULT '{}',
        message TEXT NOT NULL DEFAULT '',
        deleted REAL,                   -- Unix seconds
        version INTEGER NOT NULL DEFAULT 0 -- counts the changes of the row
    );
    CREATE TRIGGER changed AFTER UPDATE ON jobs
        BEGIN UPDATE jobs SET version = version + 1 WHERE number = new.number; END;
    CREATE INDEX waiting ON jobs (state, interrupted DESC, priority DESC, position);
    CREATE TABLE saved_settings (name TEXT PRIMARY KEY, settings TEXT NOT NULL);
    """,
)
"""SQL statements; step n leads from version n of the schema to version n + 1."""


class Database:
    """One connection, which threads use one after the other.

    Committed data survive a crash of the process and of the machine (WAL, flushed at each commit). SQLite's locks do
    not work on network file systems.

    Raises:
        OutputError: not a database of impasto, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"{printable(path)}: is not usable as a database ({error}); restore it, or choose another data folder"
            ) from error

    def _migrate(self, path: Path) -> None:
        version = self.version
        if version > len(MIGRATIONS):
            raise OutputError(
                f"{printable(path)}: belongs to a newer version of impasto (schema {version}, known is "
                f"{len(MIGRATIONS)}); update impasto, or choose another data folder"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            # `executescript` would commit; a step is done completely or not at all
            with self.transaction() as connection:
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")

    @property
    def version(self) -> int:
        """The version of the schema."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction, which no other thread comes between; it is rolled back if the block raises.

        Raises:
            FullError: the disk is full.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise FullError(f"the database cannot be written ({error}); free space on its disk") from error
                raise

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query."""
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return row

    def execute(self, sql: str, *values: Any) -> int:
        """Execute one statement in a transaction; the number of rows that it has changed."""
        with self.transaction() as connection:
            return connection.execute(sql, values).rowcount

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
