"""The calls on calendars, which schedules of all job groups may name."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from mainspring.schedule import Calendar, calendar_to_json
from mainspring.service import Progress
from mainspring.web.answers import json_response
from mainspring.web.body import read_body
from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.example import DATE
from mainspring.web.paths import BASE
from mainspring.web.schema import Schema, named

PATH = f"{BASE}/calendars"
"""Jobs of a product that is called so are not in the way: their paths are longer."""


async def list_calendars(call: Call) -> Response:
    """Calendars by name."""
    calendars, progress = await call.services.calendars.list_calendars(), await call.services.calendars.progress()
    return json_response({name: _calendar_json(calendar, progress.get(name)) for name, calendar in calendars.items()})


def _calendar_json(calendar: Calendar, progress: Progress | None) -> dict[str, Any]:
    """Write a calendar, with how far its jobs follow it as long as not all do."""
    following = {} if progress is None else {"replanning": {"done": progress.done, "of": progress.of}}
    return calendar_to_json(calendar) | following


async def show_calendar(call: Call) -> Response:
    """Show a calendar."""
    name = call.path["name"]
    calendar, progress = await call.services.calendars.get_calendar(name), await call.services.calendars.progress()
    return json_response(_calendar_json(calendar, progress.get(name)))


async def put_calendar(call: Call) -> Response:
    """Write a calendar.

    What begins after the answer goes by it. The next runs of jobs that keep to it follow; `replanning` says how far.
    """
    name, body = call.path["name"], await read_body(call.request)
    body.pop("replanning", None)  # a calendar can be sent as it was shown
    calendar, is_new = await call.services.calendars.put_calendar(name, body)
    progress = await call.services.calendars.progress()
    headers = {"Location": f"{PATH}/{quote(name, safe='')}"} if is_new else {}
    return json_response(_calendar_json(calendar, progress.get(name)), 201 if is_new else 200, headers)


async def delete_calendar(call: Call) -> Response:
    """Delete a calendar that no job keeps to."""
    await call.services.calendars.delete_calendar(call.path["name"])
    return Response(status_code=204)


_Row = partial(Endpoint, tag="Calendars", is_long=True)
_CALENDAR = named("Calendar")
_NEW = {**_CALENDAR, "examples": [{"dates": [DATE]}]}
_ALL: Schema = {"type": "object", "additionalProperties": _CALENDAR}

ROWS = [
    _Row("GET", PATH, list_calendars, answers={200: _ALL}, may="jobs:read"),
    _Row("GET", f"{PATH}/{{name}}", show_calendar, answers={200: _CALENDAR}, may="jobs:read"),
    _Row(
        "PUT",
        f"{PATH}/{{name}}",
        put_calendar,
        body={"application/json": _NEW},
        answers={200: _CALENDAR, 201: _CALENDAR},
        may="calendars:write",
    ),
    _Row("DELETE", f"{PATH}/{{name}}", delete_calendar, answers={204: None}, conflicts=True, may="calendars:write"),
]
