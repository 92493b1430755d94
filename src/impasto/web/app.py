"""The HTTP API and the page, as a FastAPI app."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from impasto.errors import ImpastoError, printable
from impasto.version import __version__
from impasto.web import file_routes, job_routes, result_routes
from impasto.web.guard import Guard, cookie
from impasto.web.pages import Pages
from impasto.web.problems import RequestError
from impasto.web.service import Service

log = logging.getLogger("impasto.web")


def create_app(service: Service, token: str | None = None, hosts: tuple[str, ...] = ()) -> Guard:
    """The app of a service, behind its guard.

    Args:
        token: what clients must know; None: nothing.
        hosts: further names of this server.
    """
    app = FastAPI(
        title="impasto",
        version=__version__,
        description="Neural style transfer: images, jobs and their progress.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its scripts are on another server
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(file_routes.router)
    app.include_router(job_routes.router)
    app.include_router(result_routes.router)
    _add_pages(app, token)
    _add_monitoring(app, service)
    app.add_exception_handler(RequestError, _error)
    app.add_exception_handler(ImpastoError, _error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)
    app.add_middleware(_CompressedText, minimum_size=2000)
    guard = Guard(app, token, hosts)
    app.state.guard = guard
    return guard


def _add_pages(app: FastAPI, token: str | None) -> None:
    pages = Pages()

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return pages.response("index.html", request)

    @app.get("/login", include_in_schema=False)
    async def login_page(request: Request) -> Response:
        return pages.response("login.html", request)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str, request: Request) -> Response:
        return pages.response(name, request)

    @app.post("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=4)
        request.app.state.guard.check_guess(request.scope, str(form.get("token", "")).strip())
        headers = {} if token is None else {"set-cookie": cookie(token)}
        return RedirectResponse("/", 303, headers)


class _CompressedText(GZipMiddleware):
    """Compresses JSON; images are compressed already, and events must not be held back."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_text = scope.get("path") in {"/api/start", "/api/setup", "/api/jobs", "/api/openapi.json"}
        await (super().__call__ if is_text else self.app)(scope, receive, send)


def _add_monitoring(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether the server works")
    def health() -> dict[str, str]:
        service.jobs.counts()  # the database answers
        return {"status": "ok"}

    @app.get("/metrics", summary="Metrics in the text format of Prometheus", response_class=PlainTextResponse)
    def metrics(request: Request) -> PlainTextResponse:
        requests = request.app.state.guard.requests
        values = {
            **service.metrics(),
            **{
                f'impasto_http_requests_total{{status="{status}"}}': count for status, count in sorted(requests.items())
            },
        }
        lines = [f"{name} {value:g}" for name, value in values.items()]
        return PlainTextResponse("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")


def _json(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


async def _error(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 422
    return _json(status, str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    message = str(first["msg"]).removeprefix("Value error, ")
    return _json(422, printable(f"{place}: {message}" if place else message)[:500])


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _json(500, "the server failed; its log has the details")
