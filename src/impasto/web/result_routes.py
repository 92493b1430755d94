"""Routes of the images of jobs: previews, results, tiles, losses."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse

from impasto.web import pyramid
from impasto.web.file_routes import Coordinate, Edge, TheService
from impasto.web.job_routes import Number
from impasto.web.problems import ConflictError, UnknownError

router = APIRouter(prefix="/api", tags=["results"])


@router.get("/jobs/{number}/preview", summary="The present image", response_class=Response)
def preview(number: Number, service: TheService) -> Response:
    """A JPEG with a long edge of at most 1024 pixels."""
    service.jobs.get(number)
    # read at once: the file is replaced by the next preview
    content = service.workspace.existing(number, "preview.jpg").read_bytes()
    return Response(content, media_type="image/jpeg", headers={"cache-control": "no-cache"})


@router.get("/jobs/{number}/thumbnail", summary="A small copy of the image", response_class=FileResponse)
def thumbnail(number: Number, service: TheService, edge: Edge = 256) -> FileResponse:
    """A JPEG."""
    source = service.present_image(service.jobs.get(number))
    path = service.derived(source, f"{edge}.jpg", "thumbnail", edge=edge)
    return FileResponse(path, headers={"cache-control": "no-cache"})


def _size(number: int, service: TheService) -> tuple[int, int]:
    service.jobs.get(number)
    if (facts := service.workspace.result_facts(number)) is None:
        raise UnknownError(f"job {number}: has no result yet; wait until it has ended")
    return facts["width"], facts["height"]


@router.get("/jobs/{number}/tiles", summary="The pyramid of a result")
def tiles(number: Number, service: TheService) -> dict[str, Any]:
    """Its size, the size of its tiles, and the number of its levels; level 0 has the full size."""
    return pyramid.description(*_size(number, service))


@router.get("/jobs/{number}/tiles/{level}/{x}/{y}", summary="A tile of a result", response_class=FileResponse)
def tile(number: Number, level: Coordinate, x: Coordinate, y: Coordinate, service: TheService) -> FileResponse:
    """A PNG."""
    pyramid.check_tile(*_size(number, service), level, x, y)
    source = service.workspace.result(number)
    path = service.derived(source, f"{level}-{x}-{y}.png", "tile", level=level, column=x, row=y)
    return FileResponse(path, headers={"cache-control": "no-cache"})


@router.get("/jobs/{number}/result", summary="Download a result", response_class=FileResponse)
def result(
    number: Number,
    service: TheService,
    file_format: Annotated[Literal["png", "png8", "png16", "jpeg"], Query(alias="format")] = "png",
) -> FileResponse:
    """The image with its recipe; png: as it was saved."""
    _size(number, service)
    source, name = service.workspace.result(number), _download_name(number, service)
    facts = service.workspace.result_facts(number)
    if file_format == "png16" and (facts is None or facts["depth"] != 16):
        raise ConflictError(f"job {number}: was saved with 8 bits per channel; run it again with depth 16")
    if file_format in {"png", "png16"}:
        return FileResponse(source, filename=f"{name}.png")
    suffix = "png" if file_format == "png8" else "jpg"
    return FileResponse(service.derived(source, f"8-bit.{suffix}", "convert"), filename=f"{name}.{suffix}")


def _download_name(number: int, service: TheService) -> str:
    """The name of the job as the name of a file: letters, digits, spaces, points and dashes only."""
    kept = "".join(c for c in service.jobs.get(number).name if c.isalnum() or c in " .-_").strip(" .")[:80]
    return kept or f"impasto-{number}"


@router.get("/jobs/{number}/timelapse", summary="The time-lapse", response_class=FileResponse)
def timelapse(number: Number, service: TheService) -> FileResponse:
    """An animated WebP of the optimization."""
    path = service.workspace.existing(number, "timelapse.webp")
    return FileResponse(path, filename=f"{_download_name(number, service)}.webp")


@router.get("/jobs/{number}/losses", summary="The losses of all steps")
def losses(number: Number, service: TheService, points: Annotated[int, Query(ge=2, le=10_000)] = 500) -> dict[str, Any]:
    """Steps, scales, seconds and losses by term, thinned out to at most `points`."""
    service.jobs.get(number)
    return service.workspace.losses(number, points)
