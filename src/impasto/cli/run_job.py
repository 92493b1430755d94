"""`impasto run`: a job from a file."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.display import display
from impasto.cli.fast import run_fast_job
from impasto.cli.option_groups import MAIN
from impasto.cli.run import execute_job
from impasto.cli.run_options import CheckpointOptions
from impasto.cli.stop_signals import stop_signals
from impasto.cli.streams import PIPE, piped
from impasto.errors import JobError
from impasto.jobs.job import Job
from impasto.storage import is_uri


def run(
    job: Annotated[Path, Parameter(help="A job as JSON, as --print-job prints it; - for standard input.", negative=())],
    /,
    *,
    allow: Annotated[
        list[str] | None,
        Parameter(
            metavar="FOLDER",
            group=MAIN,
            help="A folder, or a URI, whose files the job may use, besides the folder of JOB; repeat for further ones.",
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
    if any(map(is_uri, described.paths)):
        return _run_at_uris(described, options)
    if described.settings.method == "fast":
        return run_fast_job(described, options)
    return execute_job(described, options, [] if job == PIPE else [job])


def _run_at_uris(job: Job, options: CheckpointOptions) -> int:
    """Run a job whose files are at URIs; it is resumed from its checkpoint there.

    Raises:
        JobError: the job failed.
    """
    from impasto.jobs.staging import StagingWorker  # loads torch

    with display(as_json=options.json, quiet=options.quiet) as show, stop_signals() as received:
        worker = StagingWorker(options.compute)
        result = worker.run(job, show, lambda: received, overwrite=options.overwrite)
        worker.close()
    if result.state == "failed":
        raise JobError(result.message)
    return 128 + received[0] if received else 0
