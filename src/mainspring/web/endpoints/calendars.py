"""The calls on calendars, which schedules of all job groups may name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from mainspring.schedule import calendar_to_json
from mainspring.web import wire
from mainspring.web.endpoint import resource

if TYPE_CHECKING:
    from mainspring.service import CalendarService

PATH = f"{wire.BASE}/calendars"
"""Jobs of a product that is called so are not in the way: their paths are longer."""


async def list_calendars(request: Request) -> Response:
    """List all calendars by name."""
    calendars = await _agenda(request).list_calendars()
    return wire.json_response({name: calendar_to_json(calendar) for name, calendar in calendars.items()})


async def show(request: Request) -> Response:
    """Return one calendar."""
    return wire.json_response(calendar_to_json(await _agenda(request).get_calendar(_name(request))))


async def put(request: Request) -> Response:
    """Write a calendar; jobs that keep to it follow."""
    name = _name(request)
    calendar, is_new = await _agenda(request).put_calendar(name, await wire.read_body(request))
    headers = {"Location": f"{PATH}/{quote(name, safe='')}"} if is_new else {}
    return wire.json_response(calendar_to_json(calendar), 201 if is_new else 200, headers)


async def delete(request: Request) -> Response:
    """Delete a calendar that no job keeps to."""
    await _agenda(request).delete_calendar(_name(request))
    return Response(status_code=204)


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _agenda(request: Request) -> CalendarService:
    agenda: CalendarService = request.app.state.agenda
    return agenda


ROUTES = [
    resource(PATH, GET=list_calendars),
    resource(f"{PATH}/{{name}}", GET=show, PUT=put, DELETE=delete),
]
