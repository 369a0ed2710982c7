"""The application: the rows of all endpoints behind the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from importlib.metadata import version

from pydantic_core import to_json
from starlette.types import ASGIApp

from mainspring.plugins import Registry
from mainspring.service import CalendarService, SchedulerService
from mainspring.web.cursor import Cursors
from mainspring.web.endpoint import Router, Services
from mainspring.web.endpoints import ROWS
from mainspring.web.gate import Gate
from mainspring.web.hosts import Hosts
from mainspring.web.openapi import document

TURNS = 4
"""How many long calls are at work at once."""


def create_app(
    *,
    service: SchedulerService,
    calendars: CalendarService,
    registry: Registry,
    obstacle: Callable[[], str | None],
    hosts: Iterable[str] = (),
) -> ASGIApp:
    """Return the application.

    `obstacle` says why jobs are not accepted and run, `None` while they are. `hosts` are those that are answered
    besides the machine itself.
    """
    described = document(ROWS, registry.open_bindings.values(), version("mainspring"))
    router = Router(
        ROWS,
        Services(service, calendars, Cursors(service), obstacle, asyncio.Semaphore(TURNS), to_json(described)),
    )
    return Gate(router.answer, Hosts(hosts))
