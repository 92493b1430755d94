"""`impasto run`: a job from a file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.fast import run_fast_job
from impasto.cli.option_groups import MAIN
from impasto.cli.run import execute_job
from impasto.cli.run_options import CheckpointOptions
from impasto.cli.streams import PIPE, piped
from impasto.jobs.job import Job


def run(
    job: Annotated[Path, Parameter(help="A job as JSON, as --print-job prints it; - for standard input.", negative=())],
    /,
    *,
    allow: Annotated[
        list[str] | None,
        Parameter(
            metavar="FOLDER",
            group=MAIN,
            help="A folder whose files the job may use, besides that of JOB; repeat for further folders.",
            negative=(),
            consume_multiple=False,
            show_default=False,
        ),
    ] = None,
    options: CheckpointOptions = CheckpointOptions(),  # noqa: B008
) -> int:
    """Run a job; its relative paths start in the folder of JOB, and all its files must be in there."""
    base = Path() if job == PIPE else job.parent
    with piped([job], None, json=options.json) as ([file], _):
        described = Job.read(file).confined(base, [base, *(allow or ())])
    if described.settings.method == "fast":
        return run_fast_job(described, options)
    return execute_job(described, options, [] if job == PIPE else [job])
