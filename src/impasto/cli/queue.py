"""`impasto queue` and `impasto cancel`: the jobs of a server."""

from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli.display import duration
from impasto.cli.printing import print_json, print_line, print_table
from impasto.cli.run_options import AsJson
from impasto.cli.server_options import ServerUrl
from impasto.cli.settings_options import WholeNumber
from impasto.web.client import DEFAULT_URL, Client

ACTIVE = ("running", "paused", "waiting")


def queue(
    *,
    server: ServerUrl = DEFAULT_URL,
    every: Annotated[
        bool, Parameter(name="--all", help="Also jobs that have ended.", negative=(), show_default=False)
    ] = False,
    json: AsJson = False,
) -> int:
    """List the jobs of a server that run or wait, in the order in which they run."""
    client = Client(server)
    jobs = [job for state in ACTIVE for job in client.jobs([state])]
    if every:
        jobs += client.jobs(["done", "stopped", "failed", "canceled"])
    if json:
        print_json(jobs)
    elif jobs:
        print_table(["job", "state", "steps", "left", "name", "message"], [_row(job) for job in jobs])
    else:
        print_line("no job is running or waiting")
    return 0


def cancel(
    number: Annotated[WholeNumber, Parameter(help="The number of a job, see `impasto queue`.")],
    /,
    *more: Annotated[WholeNumber, Parameter(name="MORE", help="Further jobs.")],
    server: ServerUrl = DEFAULT_URL,
) -> int:
    """Cancel jobs of a server; nothing of them is kept."""
    client = Client(server)
    for each in (number, *more):
        job = client.ask(each, "cancel")
        print_line(f"job {each}: {'is being canceled' if job['state'] == 'running' else job['state']}")
    return 0


def _row(job: dict[str, Any]) -> list[str]:
    left = job["seconds_left"]
    return [
        str(job["number"]),
        job["state"],
        f"{job['step']}/{job['steps']}" if job["steps"] else "",
        "" if left is None else duration(left),
        job["name"],
        job["message"],
    ]
