"""The order in which waiting jobs run: of interrupted ones first, then by priority, then by position."""

from sqlite3 import Connection

RUN_ORDER = "ORDER BY interrupted DESC, priority DESC, position"
_SMALLEST_GAP = 1e-6
"""Difference between two positions below which all are renumbered."""


def position_before(connection: Connection, before: int, number: int) -> float:
    """A position directly before that of another waiting job."""
    order = "(-priority, position)"
    previous = (
        f"SELECT position, priority FROM jobs WHERE state = 'waiting' AND number != {number:d} AND {order} < "
        f"(SELECT -priority, position FROM jobs WHERE number = {before:d}) ORDER BY priority, position DESC LIMIT 1"
    )
    target = f"SELECT position, priority FROM jobs WHERE number = {before:d}"
    for _ in range(2):
        next_row, last = connection.execute(target).fetchone(), connection.execute(previous).fetchone()
        if last is None or last["priority"] != next_row["priority"]:
            return float(next_row["position"]) - 1
        if next_row["position"] - last["position"] > _SMALLEST_GAP:
            break
        connection.execute(
            "UPDATE jobs SET position = (SELECT count(*) FROM jobs AS other WHERE (-other.priority, other.position, "
            "other.number) <= (-jobs.priority, jobs.position, jobs.number))"
        )
    return float(next_row["position"] + last["position"]) / 2
