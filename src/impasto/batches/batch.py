"""The library's calls that run jobs: `batch` for many images, `run_job` for one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from impasto.arguments import as_path, as_path_list, check_callable, of_type
from impasto.batches.backlog import Backlog
from impasto.batches.executor import Executor, ShouldStop
from impasto.batches.grid import make_axis
from impasto.batches.inputs import image_files
from impasto.batches.local import LocalExecutor
from impasto.batches.planner import Planner, combinations
from impasto.batches.report import save_sheet, write_table
from impasto.batches.run import Batch, Before, Summary, check_folder
from impasto.errors import PictureError, SettingError, printable
from impasto.events import OnEvent, Saved
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.jobs.result import JobResult
from impasto.settings.model import Settings
from impasto.settings.presets import settings_or_preset
from impasto.storage import Place, place

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def batch(
    contents: Paths,
    styles: Paths,
    folder: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    manifest: str | os.PathLike[str] | None = None,
    grid: Mapping[str, Sequence[object]] | None = None,
    executor: Executor | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    should_stop: ShouldStop = lambda: False,
) -> Summary:
    """Stylize every content image with every style image, and every combination of the values in `grid`, into `folder`.

    Writes an image per job, manifest.jsonl, results.csv and sheet.jpg. A job that fails does not end the batch.

    Args:
        contents, styles: files, folders of images, or patterns such as "photos/*.jpg"; also as URIs.
        folder: the output folder, created if it does not exist; or a URI.
        manifest: if `folder` is a URI, the local folder for manifest.jsonl and results.csv; there is no sheet.jpg then.
        settings: those that all jobs share; by default the preset "painterly".
        grid: names of settings, or "preset", -> their values.
        executor: runs the jobs; by default `LocalExecutor()`: processes on this machine.
        resume: keep finished results, and resume interrupted runs at their checkpoints.
        overwrite: use a folder that contains files, and replace those with the same names.
        on_event: called with each event of `impasto.events`.
        should_stop: called now and then; the batch stops if the returned value is true.

    Raises:
        SettingError, PictureError, OutputError: nothing was started.
        SaveError: the manifest could not be written; what has ended is in it.
    """
    check_callable(on_event)
    report = on_event or (lambda _: None)
    of_type(grid or {}, Mapping, "grid", "give a dict of settings and their values")  # type: ignore[type-abstract]
    axes = [make_axis(name, values) for name, values in (grid or {}).items()]
    results = place(folder) if isinstance(folder, str) else as_path(folder, "folder")
    target = manifest_folder(results, None if manifest is None else as_path(manifest, "manifest"))
    check_folder(target, resume=resume, overwrite=overwrite)
    before = Before(target, resume=resume, results=results)
    planner = Planner(_files(styles, "styles"), combinations(axes, settings_or_preset(settings), {}), results)
    backlog = Backlog(planner(_files(contents, "contents"), before.names), before.is_finished)
    chosen = executor or LocalExecutor(Compute(), jobs=backlog.waiting, overwrite=overwrite)
    summary = Batch(backlog, target, before, planner.failures).run(chosen, report, should_stop)
    save_reports(target, summary, planner.per_content, report, with_sheet=target == results)
    return summary


def manifest_folder(results: Place, manifest: Path | None) -> Path:
    """The folder of the manifest: that of the results, unless they are at a URI, where nothing can be appended.

    Raises:
        SettingError: it is missing, or there is one too many.
    """
    if isinstance(results, Path):
        if manifest is not None:
            raise SettingError(f"--manifest: got {printable(manifest)}, but the output is no URI; leave it out")
        return results
    if manifest is None:
        raise SettingError(f"{printable(results)}: a URI has no manifest; give a local FOLDER for it (--manifest)")
    return manifest


def save_reports(folder: Path, summary: Summary, columns: int, on_event: OnEvent, *, with_sheet: bool = True) -> None:
    """Write the table and the contact sheet, with `columns` images in a row, if the images are in the folder."""
    on_event(Saved(str(write_table(folder, summary.records))))
    if with_sheet and (sheet := save_sheet(folder, summary.records, columns)) is not None:
        on_event(Saved(str(sheet)))


def run_job(
    job: Job,
    *,
    compute: Compute = Compute(),  # noqa: B008
    on_event: OnEvent | None = None,
    should_stop: ShouldStop = lambda: False,
) -> JobResult:
    """Run a job in this process: write its files, or resume it from its checkpoint.

    Args:
        job: the job; what is read from elsewhere should be `Job.confined` first.
        compute: where and how.
        on_event: called with each event of `impasto.events`.
        should_stop: called after every step; the run stops there if the returned value is true.

    Returns:
        The result; of a job that fails, with the reason.
    """
    from impasto.jobs.staging import StagingWorker  # loads torch

    return StagingWorker(of_type(compute, Compute, "compute", "give impasto.Compute(device=...)")).run(
        of_type(job, Job, "job", "give a Job; Job.read reads one from a file"), on_event, should_stop
    )


def _files(places: Paths, role: str) -> list[Place]:
    paths = as_path_list(places, role, PictureError)
    values = [places] if isinstance(places, str | os.PathLike) else places
    return image_files(place(each) if isinstance(each, str) else path for each, path in zip(values, paths, strict=True))
