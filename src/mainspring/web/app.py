"""The web application: its routes, what stands before them, and where errors become answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.metadata import version
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.clock import new_request_id
from mainspring.errors import MainspringError
from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.web.endpoint import answer
from mainspring.web.endpoints import jobs, ops
from mainspring.web.endpoints.calendars import ROUTES as CALENDAR_ROUTES
from mainspring.web.openapi import document
from mainspring.web.wire import BASE, HttpError, problem, problem_response

URL_LIMIT = 8 * 1024
_OTHER_BASE = BASE.removesuffix("s")
"""The seed's documents spell the base path both ways."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2[Ff]")
"""Also an escaped slash: no name has one, and routes are found after escapes are read."""
_PLAIN = re.compile(rb"[A-Za-z0-9._~/-]*")
_ANYTHING = b"*/*"
_HTTP_IDS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False)
"""FastAPI's own: to ask for each request whether somebody wants it took 5 us."""

log = structlog.get_logger("mainspring.web")


def create_app(
    *, service: SchedulerService, calendars: CalendarService, registry: Registry, ready: Callable[[], bool]
) -> FastAPI:
    """Return the application; `ready` says whether jobs are accepted and run."""
    release = version("mainspring")
    app = FastAPIOffline(
        title="Mainspring", version=release, redoc_url=None, redirect_slashes=False, telemetry=_NO_TELEMETRY
    )
    app.state.service = service
    app.state.agenda = calendars
    app.state.ready = ready
    app.router.routes.extend(ops.ROUTES)
    api_document = document(registry.bindings.values(), release)
    app.openapi = lambda: api_document  # type: ignore[method-assign]
    app.add_exception_handler(MainspringError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(Exception, _answer)
    api = partial(answer, [*jobs.ROUTES, *CALENDAR_ROUTES])
    app.middleware_stack = Gate(app.build_middleware_stack(), api)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    """Turn whatever was raised into an answer."""
    if isinstance(error, MainspringError):
        return problem_response(request, error)
    if isinstance(error, HTTPException):
        response = problem(request, error.status_code, _HTTP_IDS.get(error.status_code, "HTTP_ERROR"), error.detail)
        response.headers.update(error.headers or {})
        return response
    log.error("request failed", request=request.state.request_id, path=request.url.path, exc_info=error)
    return problem(
        request, 500, "INTERNAL_ERROR", "something went wrong here; the log has the details under this request id"
    )


class Gate:
    """What every request passes first.

    It gets an id, which the log names too; its path is checked, and what no route takes is refused in one place. Calls
    on jobs go straight to their functions: FastAPI's layers, Starlette's router and wrappers took a third of the time
    of a POST.
    """

    def __init__(self, app: ASGIApp, api: Callable[[Request], Awaitable[Response]]) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        known = structlog.contextvars.bind_contextvars(request=request_id)  # `bound_contextvars` took 2 us more
        try:
            await self._pass(scope, receive, send, request_id)
        finally:
            structlog.contextvars.reset_contextvars(**known)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        request = Request(scope, receive)
        try:
            _check(scope)
            path: str = scope["path"]
            if path == _OTHER_BASE or path.startswith(f"{_OTHER_BASE}/"):
                scope["path"] = path = BASE + path.removeprefix(_OTHER_BASE)
                scope["raw_path"] = BASE.encode() + scope["raw_path"].removeprefix(_OTHER_BASE.encode())
            response = await self._api(request) if path.startswith(BASE) else None
        except Exception as error:  # noqa: BLE001 - it is logged there
            response = await _answer(request, error)
        if response is None:
            await self._app(scope, receive, _sending_too(send, request_id))
        else:
            response.raw_headers.append((b"x-request-id", request_id.encode()))
            await response(scope, receive, send)


def _sending_too(send: Send, request_id: str) -> Send:
    """Return a `send` that adds the id to the headers of the answer."""

    async def send_with_id(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
        await send(message)

    return send_with_id


def _check(scope: Scope) -> None:
    """Refuse what no route takes. Raises `HttpError`."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(raw_path) + len(scope["query_string"]) > URL_LIMIT:
        raise HttpError(414, "URI_TOO_LONG", f"the URL is longer than {URL_LIMIT // 1024} KiB")
    if not (_PLAIN.fullmatch(raw_path) or _is_clean(raw_path)):
        raise HttpError(400, "INVALID_PATH", "the path has an escape that stands for no character of a path")
    if scope["path"].startswith("/api/"):
        headers = dict(scope["headers"])
        if scope["method"] in {"GET", "HEAD", "DELETE"} and _has_body(headers):
            raise HttpError(400, "BODY_NOT_ALLOWED", f"{scope['method']} takes no body")
        if (accept := headers.get(b"accept", _ANYTHING)) != _ANYTHING and not _accepts_json(accept.decode("latin-1")):
            raise HttpError(406, "NOT_ACCEPTABLE", "answers are application/json")


def _is_clean(raw_path: bytes) -> bool:
    if _BAD_ESCAPE.search(raw_path):
        return False
    try:
        text = unquote_to_bytes(raw_path).decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and "%" not in text


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0").strip(b"0") != b"" or b"transfer-encoding" in headers


def _accepts_json(accept: str) -> bool:
    ranges = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(
        kind in {"*/*", "application/*", ""} or (kind.startswith("application/") and kind.endswith("json"))
        for kind in ranges
    )
