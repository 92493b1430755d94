"""Routes of uploaded images."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from impasto.web import pyramid
from impasto.web.service import Service
from impasto.web.setup import setup as page_setup

router = APIRouter(prefix="/api", tags=["files"])
Digest = Annotated[str, Path(description="The id of a file: the SHA-256 of its bytes.")]
Edge = Annotated[int, Query(ge=64, le=1024, description="Long edge in pixels, at most.")]
Coordinate = Annotated[int, Path(ge=0, le=100_000)]
UNCHANGING = {"cache-control": "private, max-age=31536000, immutable"}
"""For what has a name that says its content."""


def service_of(request: Request) -> Service:
    """The service of an app."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


@router.get("/setup", summary="Settings, presets and limits")
def setup(service: TheService) -> dict[str, Any]:
    """What a page needs to know at first: the JSON Schema of all settings, presets, saved settings, limits."""
    return page_setup(service.saved, service.devices)


@router.post(
    "/files",
    status_code=201,
    summary="Upload an image",
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def upload(
    request: Request, response: Response, service: TheService, name: Annotated[str, Query()] = ""
) -> dict[str, Any]:
    """Upload an image; the body is the bytes of its file. 200 if it was uploaded before."""
    service.check_space()
    partial, digest = await service.files.receive(request.stream(), name)
    file, is_new = await run_in_threadpool(service.files.add, partial, digest, name)
    response.status_code = 201 if is_new else 200
    return file.as_dict()


@router.post("/demo/{name}", summary="Use a bundled image")
def demo(name: str, service: TheService) -> dict[str, Any]:
    """Add a bundled image to the uploaded files."""
    return service.import_demo(name).as_dict()


@router.get("/files/{digest}", summary="An uploaded image")
def file(digest: Digest, service: TheService) -> dict[str, Any]:
    """Name, size, and the recipe of an image that impasto made."""
    return service.files.get(digest).as_dict()


@router.get("/files/{digest}/content", summary="The bytes of an uploaded image", response_class=FileResponse)
def content(digest: Digest, service: TheService) -> FileResponse:
    """The file as it was uploaded."""
    stored = service.files.get(digest)
    # as an attachment of no type: a browser runs nothing that is in it
    return FileResponse(
        service.files.path(digest), media_type="application/octet-stream", filename=stored.name, headers=UNCHANGING
    )


@router.get("/files/{digest}/thumbnail", summary="A small copy of an image", response_class=FileResponse)
def thumbnail(digest: Digest, service: TheService, edge: Edge = 256) -> FileResponse:
    """A JPEG."""
    service.files.get(digest)
    path = service.derived(service.files.path(digest), f"{edge}.jpg", "thumbnail", edge=edge)
    return FileResponse(path, headers=UNCHANGING)


@router.get("/files/{digest}/tiles", summary="The pyramid of an image")
def tiles(digest: Digest, service: TheService) -> dict[str, Any]:
    """Its size, the size of its tiles, and the number of its levels; level 0 has the full size."""
    facts = service.files.get(digest).facts
    return pyramid.description(facts["width"], facts["height"])


@router.get("/files/{digest}/tiles/{level}/{x}/{y}", summary="A tile of an image", response_class=FileResponse)
def tile(digest: Digest, level: Coordinate, x: Coordinate, y: Coordinate, service: TheService) -> FileResponse:
    """A PNG."""
    facts = service.files.get(digest).facts
    pyramid.check_tile(facts["width"], facts["height"], level, x, y)
    path = service.derived(service.files.path(digest), f"{level}-{x}-{y}.png", "tile", level=level, column=x, row=y)
    return FileResponse(path, headers=UNCHANGING)


@router.get("/files/{digest}/mask", summary="A mask made of an image", response_class=FileResponse)
def mask(
    digest: Digest, service: TheService, source: Annotated[Literal["alpha", "faces"], Query(alias="from")]
) -> FileResponse:
    """Its alpha channel, or the faces in it: an 8-bit gray PNG of its size, white inside."""
    service.files.get(digest)
    path = service.derived(service.files.path(digest), f"{source}.png", "mask", kind=source)
    return FileResponse(path, headers=UNCHANGING)
