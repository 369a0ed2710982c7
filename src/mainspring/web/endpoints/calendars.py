"""The calls on calendars, which schedules of all job groups may name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote
from zlib import crc32

from pydantic_core import to_json
from starlette.responses import Response

from mainspring.schedule import Calendar, calendar_to_json
from mainspring.service import Progress, calendar_tag
from mainspring.web.answers import json_response
from mainspring.web.body import read_body
from mainspring.web.endpoint import IF_NONE_MATCH, Call, Endpoint, must_be_new
from mainspring.web.example import DATE
from mainspring.web.paths import BASE
from mainspring.web.problem import HttpError
from mainspring.web.query import text
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
    return _response(calendar, progress.get(name))


def _response(
    calendar: Calendar, progress: Progress | None, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a calendar and its tag as ETag, behind which is a digest of how far jobs follow it, if not all do."""
    shown = _calendar_json(calendar, progress)
    beside = f"-{crc32(to_json(shown['replanning'])):08x}" if progress else ""
    return json_response(shown, status, {"ETag": f'"{calendar_tag(calendar)}{beside}"', **(headers or {})})


def _tag(call: Call) -> str | None:
    """Return what ``If-Match`` asks for, `None` without it. Raises `HttpError`."""
    tags = ",".join(call.request.headers.getlist("if-match"))
    if tags in {"", "*"}:
        return tags or None
    if found := re.fullmatch(r'"([0-9a-f]{16})(?:-[0-9a-f]{8})?"', tags, re.ASCII):
        return found[1]
    raise HttpError(400, "IF_MATCH_INVALID", 'If-Match must be * or the ETag of the calendar, as "0a1b2c3d4e5f6071"')


async def put_calendar(call: Call) -> Response:
    """Write a calendar.

    What begins after the answer goes by it. The next runs of jobs that keep to it follow; `replanning` says how far.
    """
    name, tag, is_new = call.path["name"], _tag(call), must_be_new(call, "the calendar")
    body = await read_body(call.request)
    body.pop("replanning", None)  # a calendar can be sent as it was shown
    calendar, is_new = await call.services.calendars.put_calendar(name, body, tag=tag, is_new=is_new)
    progress = await call.services.calendars.progress()
    headers = {"Location": f"{PATH}/{quote(name, safe='')}"} if is_new else {}
    return _response(calendar, progress.get(name), 201 if is_new else 200, headers)


async def delete_calendar(call: Call) -> Response:
    """Delete a calendar that no job keeps to."""
    await call.services.calendars.delete_calendar(call.path["name"], tag=_tag(call))
    return Response(status_code=204)


_Row = partial(Endpoint, tag="Calendars", is_long=True)
_CALENDAR = named("Calendar")
_NEW = {**_CALENDAR, "examples": [{"dates": [DATE]}]}
_IF_MATCH = text("If-Match", "The ETag that the calendar must still have; with * there must be one.")
_MUST_BE_NEW = text("If-None-Match", "With * the calendar must not be there.", pattern=r"^\*$")
_ALL: Schema = {"type": "object", "additionalProperties": _CALENDAR}

ROWS = [
    _Row("GET", PATH, list_calendars, answers={200: _ALL}, may="jobs:read"),
    _Row(
        "GET",
        f"{PATH}/{{name}}",
        show_calendar,
        headers=(IF_NONE_MATCH,),
        answers={200: _CALENDAR, 304: None},
        may="jobs:read",
    ),
    _Row(
        "PUT",
        f"{PATH}/{{name}}",
        put_calendar,
        headers=(_IF_MATCH, _MUST_BE_NEW),
        body={"application/json": _NEW},
        answers={200: _CALENDAR, 201: _CALENDAR},
        conflicts=True,
        may="calendars:write",
    ),
    _Row(
        "DELETE",
        f"{PATH}/{{name}}",
        delete_calendar,
        headers=(_IF_MATCH,),
        answers={204: None},
        conflicts=True,
        may="calendars:write",
    ),
]
