"""Routes of jobs, of their images, and of events."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from impasto.settings.model import Settings
from impasto.web.file_routes import TheService
from impasto.web.problems import RequestError
from impasto.web.setup import setup
from impasto.web.spec import Digest, JobSpec, StyleSpec

router = APIRouter(prefix="/api", tags=["jobs"])
Number = Annotated[int, Path(ge=0, le=2**62, description="The number of a job.")]
View = dict[str, Any]
MAX_PAGE = 1000
"""Jobs in one response, at most."""
RECENT = 30
"""Number of newest jobs that a page loads at first."""


class Changes(BaseModel):
    """Changes of a job; `spec` only while it waits. `before`: the job that it is moved before; null: to the end."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, max_length=200)
    priority: int | None = Field(None, ge=-2, le=2)
    favorite: bool | None = None
    spec: JobSpec | None = None
    before: int | None = Field(None, ge=0, le=2**62)


class Fork(BaseModel):
    """What a new job that starts from the image of another one has different."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = {}
    styles: tuple[StyleSpec, ...] | None = None
    keep: Digest | None = None
    detail: Digest | None = None
    steps: int | None = Field(None, ge=1, le=1_000_000, description="Steps at the last scale.")
    name: str | None = Field(None, max_length=200)


@router.get("/start", summary="All that a page shows at first")
def start(service: TheService) -> dict[str, Any]:
    """The setup, the waiting jobs in their order, the running, paused and newest jobs, and the id of the last event.

    `/api/events?after=ID` continues from there.
    """
    event = service.feed.last_id  # read first: a change after this is sent as an event, so none is missed
    waiting, active = (service.jobs.select(states, limit=MAX_PAGE) for states in (["waiting"], ["running", "paused"]))
    others = {job.number: job for job in (*active, *service.jobs.select(limit=RECENT))}
    return {
        "event": event,
        "setup": setup(service.saved, service.devices),
        "waiting": [service.view(job) for job in waiting],
        "jobs": [service.view(job) for job in others.values()],
    }


@router.post("/estimate", summary="What a job would need")
def estimate(spec: JobSpec, service: TheService) -> dict[str, Any]:
    """Memory in bytes, seconds, and its scales."""
    return service.estimate(spec)


@router.post("/jobs", status_code=201, summary="Add a job")
def create(spec: JobSpec, service: TheService) -> View:
    """Add a job, which waits until a worker is free."""
    return service.view(service.create(spec))


@router.get("/jobs", summary="The jobs")
def select(
    service: TheService,
    state: Annotated[str, Query(max_length=200, description="States, separated by commas.")] = "",
    *,
    search: Annotated[str, Query(max_length=200)] = "",
    favorite: bool = False,
    before: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> dict[str, Any]:
    """Jobs, the newest first; those that wait in the order in which they will run."""
    states = [each for each in state.split(",") if each]
    found = service.jobs.select(states, search=search, favorite=favorite, before=before, limit=limit + 1)
    return {"jobs": [service.view(job) for job in found[:limit]], "more": len(found) > limit}


@router.get("/jobs/{number}", summary="A job")
def job(number: Number, service: TheService) -> View:
    """Its state, settings and progress."""
    return service.view(service.jobs.get(number))


@router.patch("/jobs/{number}", summary="Change a job")
def change(number: Number, changes: Changes, service: TheService) -> View:
    """Change its name, priority or favorite; the spec or place of one that waits."""
    given = changes.model_fields_set
    stored = service.jobs.get(number)
    columns = {name: getattr(changes, name) for name in ("name", "priority", "favorite") if name in given}
    if any(value is None for value in columns.values()):
        raise RequestError("name, priority and favorite cannot be null; leave out what does not change")
    if changes.spec is not None:
        stored = service.edit(number, changes.spec)
    if columns:
        stored = service.jobs.edit(number, **columns)
    if "before" in given:
        stored = service.jobs.move(number, changes.before)
    return service.view(stored)


@router.post("/jobs/{number}/resume", summary="Resume a paused job")
def resume(number: Number, service: TheService) -> View:
    """It waits, and continues from its checkpoint."""
    return service.view(service.jobs.wait(number, ["paused"]))


@router.post("/jobs/{number}/retry", summary="Run a job again")
def retry(number: Number, service: TheService) -> View:
    """A job that has failed, or was stopped or canceled; it continues from its checkpoint if there is one."""
    service.check_space()
    return service.view(service.jobs.wait(number, ["failed", "stopped", "canceled"]))


@router.post("/jobs/{number}/duplicate", status_code=201, summary="Add the same job again")
def duplicate(number: Number, service: TheService) -> View:
    """A new job that waits."""
    stored = service.jobs.get(number)
    return service.view(service.create(stored.spec, stored.parent))


@router.post("/jobs/{number}/fork", status_code=201, summary="Start a job from the image of another one")
def fork(number: Number, service: TheService, changes: Annotated[Fork, Body(default_factory=Fork)]) -> View:
    """A new job with changed settings, styles or masks; with `steps` alone, the image is optimized further."""
    return service.view(service.fork(number, changes.model_dump(mode="json", exclude_unset=True)))


@router.delete("/jobs/{number}", summary="Delete a job")
def delete(number: Number, service: TheService) -> View:
    """It can be restored for an hour."""
    return service.view(service.jobs.delete(number))


@router.post("/jobs/{number}/restore", summary="Restore a deleted job")
def restore(number: Number, service: TheService) -> View:
    """Undo the deletion."""
    return service.view(service.jobs.restore(number))


@router.post("/jobs/{number}/{request}", summary="Pause, stop or cancel a job")
def ask(number: Number, request: Literal["pause", "stop", "cancel"], service: TheService) -> View:
    """pause: it can be resumed; stop: the image so far is kept; cancel: nothing is kept."""
    return service.view(service.scheduler.ask(number, request))


@router.get("/jobs/{number}/job", summary="The job for `impasto run`")
def as_json(number: Number, service: TheService) -> Response:
    """The job as JSON; its files are named without their folders."""
    stored = service.scheduler.job(service.jobs.get(number))
    stored = stored.with_files(lambda _, file: file.model_copy(update={"path": file.name, "name": ""}))
    stored = stored.model_copy(update={"outputs": stored.outputs.with_paths(lambda _, path: path.rpartition("/")[2])})
    return Response(stored.to_json(), media_type="application/json")


class Named(BaseModel):
    """Settings to be saved."""

    settings: Settings


SettingsName = Annotated[str, Path(min_length=1, max_length=100)]


@router.put("/saved/{name:path}", summary="Save settings")
def save(name: SettingsName, named: Named, service: TheService) -> dict[str, Any]:
    """Save settings under a name."""
    service.saved.save(name, named.settings)
    return {"saved": service.saved.all()}


@router.delete("/saved/{name:path}", summary="Delete saved settings")
def delete_saved(name: SettingsName, service: TheService) -> dict[str, Any]:
    """Delete the settings of that name."""
    service.saved.delete(name)
    return {"saved": service.saved.all()}


@router.get("/storage", summary="Disk space")
def storage(service: TheService) -> dict[str, Any]:
    """Bytes used, allowed and free."""
    return service.storage.as_dict()


@router.get("/events", summary="What changes", response_class=StreamingResponse)
async def events(
    service: TheService,
    last_event_id: Annotated[str, Header(max_length=100)] = "",
    after: Annotated[
        str, Query(max_length=100, description="As the header Last-Event-ID, which takes precedence.")
    ] = "",
) -> StreamingResponse:
    """Server-sent events: job, step, removed, saved; and reset, after which a client must load everything again."""
    stream = await service.feed.stream(last_event_id or after)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
