"""A job in the table of a server."""

import json
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

from impasto.web.spec import JobSpec, Request, State


@dataclass(frozen=True)
class StoredJob:
    """A job in the table.

    Attributes:
        number: its id for clients.
        spec_text: the spec as JSON; it is parsed when it is needed, since lists of jobs show it as it is.
        request: what was asked of the running job, and not done yet.
        parent: the number of the job whose image it starts from.
        created, started, ended, deleted: Unix seconds.
        version: the number of changes so far: clients keep the newest of several answers and events.
        progress: step, steps, scale, loss, seconds, seconds_left and memory, as in `JobProgressed`; at first empty.
    """

    number: int
    spec_text: str
    name: str
    state: State
    request: Request | None
    priority: int
    favorite: bool
    parent: int | None
    created: float
    started: float | None
    ended: float | None
    progress: dict[str, Any]
    message: str
    deleted: float | None
    version: int

    @property
    def spec(self) -> JobSpec:
        """What the client has asked for."""
        return JobSpec.model_validate_json(self.spec_text)


def stored(row: Row) -> StoredJob:
    """The job of a row."""
    values = {name: row[name] for name in row.keys() if name not in {"spec", "position", "interrupted"}}  # noqa: SIM118
    values |= {"progress": json.loads(row["progress"]), "favorite": bool(row["favorite"])}
    return StoredJob(spec_text=row["spec"], **values)
