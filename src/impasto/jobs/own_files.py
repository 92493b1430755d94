"""What an earlier run of a job has left: its result, its checkpoint, and what may be replaced."""

import contextlib
from pathlib import Path

from impasto.errors import CheckpointError, ImpastoError
from impasto.events import Noted, OnEvent
from impasto.images.loading import load_recipe
from impasto.images.recipe import Recipe
from impasto.jobs.job import Job, recipe_id
from impasto.jobs.outputs import Outputs
from impasto.optimize import checkpoint
from impasto.optimize.checkpoint import Checkpoint
from impasto.settings.model import Settings


def own_recipe(job: Job, result: Path) -> Recipe | None:
    """The recipe in the result of a job that was run before; None if there is no such file, or it is another job's."""
    with contextlib.suppress(ImpastoError):
        recipe = load_recipe(result)
        return recipe if job.id in {recipe_id(recipe), recipe_id(recipe, _with_faces(recipe.settings, job))} else None
    return None


def own_checkpoint(job: Job, path: Path, report: OnEvent) -> Checkpoint | None:
    """The checkpoint of a job that was run before; None if there is none, or it is another job's.

    One that is damaged is removed: it is of no use to anybody.
    """
    if not path.exists():
        return None
    try:
        saved = checkpoint.read(path)
    except CheckpointError as error:
        report(Noted(f"{str(error).partition('; ')[0]}; starting over"))
        checkpoint.discard(path)
        return None
    hashes = {role: file.sha256 for role, file in job.inputs.items()}
    is_own = (
        _with_faces(Settings(**saved.spec["settings"]), job) == _with_init_of(job, saved)
        and {role: record["sha256"] for role, record in saved.spec["pictures"].items() if role in hashes} == hashes
    )
    return saved if is_own else None


def _with_faces(settings: Settings, job: Job) -> Settings:
    """Without the face detector "soft" becomes "off" in the settings of a run; it is the same job."""
    return settings.replace(faces=job.settings.faces) if settings.faces == "off" else settings


def _with_init_of(job: Job, saved: Checkpoint) -> Settings:
    """The settings of a job with the name of the initial image that a run has given to it."""
    return job.settings if job.init is None else job.settings.replace(init=saved.spec["settings"]["init"])


def replaceable(outputs: Outputs, recipe: Recipe | None, *, overwrite: bool) -> list[Path]:
    """What a job may replace: besides logs and previews, which are named after its result, what is known to be its own.

    Args:
        recipe: that of the present result, if it is the job's: of a run that was stopped or diverged.
    """
    if overwrite:
        return outputs.paths
    foreign = {outputs.checkpoint, *([] if recipe is not None else [outputs.result])}
    return [path for path in outputs.paths if path not in foreign]
