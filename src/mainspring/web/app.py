"""The application: the rows of all endpoints behind the gate."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from pydantic_core import to_json
from starlette.types import ASGIApp

from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.web.endpoint import Router, Services
from mainspring.web.endpoints import ROWS
from mainspring.web.gate import Gate
from mainspring.web.openapi import document


def create_app(
    *, service: SchedulerService, calendars: CalendarService, registry: Registry, ready: Callable[[], bool]
) -> ASGIApp:
    """Return the application; `ready` says whether jobs are accepted and run."""
    described = document(ROWS, registry.bindings.values(), version("mainspring"))
    router = Router(ROWS, Services(service, calendars, ready, to_json(described)))
    return Gate(router.answer)
