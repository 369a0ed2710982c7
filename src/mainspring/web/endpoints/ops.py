"""The calls for whoever operates the service: is the process alive, is it ready for traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mainspring.errors import StoreUnavailableError
from mainspring.web.wire import problem

if TYPE_CHECKING:
    from mainspring.service import SchedulerService


async def livez(_request: Request) -> Response:
    """Answer while the process runs, whatever else is wrong: restarting it would not help a store that is away."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Answer 200 while jobs are accepted and run, 503 while the service starts, drains, or cannot reach its store."""
    service: SchedulerService = request.app.state.service
    ready: Callable[[], bool] = request.app.state.ready
    if not ready():
        return problem(request, 503, "NOT_READY", "the service is starting or stopping")
    try:
        await service.check_store()
    except StoreUnavailableError:
        return problem(request, 503, "NOT_READY", "the job store does not answer")
    return JSONResponse({"status": "ok", "durable": service.is_durable})


async def front(_request: Request) -> Response:
    """Send a person who opens the bare address to the documentation of the calls."""
    return RedirectResponse("/docs")


ROUTES = [
    Route("/", front, methods=["GET"], include_in_schema=False),
    Route("/livez", livez, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
]
