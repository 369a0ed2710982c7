"""The calls by which people follow what happens: as server-sent events, or page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from mainspring.errors import EventsForgottenError, StoreUnavailableError
from mainspring.job import EventFilter, EventKind, State
from mainspring.service import Event, Feed, News, Place
from mainspring.web.answers import json_response
from mainspring.web.endpoint import Call, Endpoint, called
from mainspring.web.endpoints.filters import (
    CONCURRENCY_KEY,
    FIELD,
    KEY,
    NODE,
    OUTCOME,
    PREFIX,
    TAG,
    labels_asked,
)
from mainspring.web.endpoints.lists import NDJSON, PATH, wants_lines
from mainspring.web.query import Parameter, ParameterError, Query, number, text
from mainspring.web.schema import ID, TIME, Schema

SSE = "text/event-stream"
KEEP_ALIVE_SECONDS = 15
"""How often a follower hears that nothing has happened: a proxy may close what is silent for a minute."""
AT_ONCE = 500
"""How many events are written before others have their turn: that takes 3 ms."""
LIMIT = 1000
MOST_SECONDS = 60
OLDEST = "oldest"
_PAGE = 100
_SECONDS = 30


async def follow_events(call: Call) -> Response:
    """Follow what happens, as server-sent events, or page by page.

    From the moment of the call on, or behind the event of an id.
    """
    query, feed = call.query(), call.services.jobs.feed
    await call.services.jobs.finding.check(call.scope)
    which = _filter(query, call)
    limit, seconds, given = query.get(_LIMIT), query.get(_WAIT), query.get(_AFTER)
    streams, is_head = _wants_stream(call), call.request.method == "HEAD"
    if streams and (limit is not None or seconds is not None):
        query.add("limit" if limit is not None else "wait", "PARAMETER_INVALID", "is only taken for a page")
    after = await _place(call, feed, query, given)
    query.check()
    tag = await feed.tag()
    if not streams:
        wait = 0 if is_head else _SECONDS if seconds is None else seconds
        call.wait(is_waiting=True)
        news = await feed.page(which, after, limit=limit or _PAGE, seconds=wait)
        call.wait(is_waiting=False)
        return _page(call, news, tag)
    if is_head:
        return Response(media_type=SSE)
    many = feed.follow(which, after, KEEP_ALIVE_SECONDS)
    first = await anext(many)  # what is wrong is said before the answer begins
    call.wait(is_waiting=True)
    return StreamingResponse(_stream(first, many, call, tag), media_type=SSE, headers={"X-Accel-Buffering": "no"})


def _page(call: Call, news: News, tag: str) -> Response:
    """Answer with a page, and where the next one begins."""
    last = news.place.id(tag)
    headers = call.next_page(after=last) | {"Last-Event-ID": last}
    events = [event.to_json(tag) for event in news.events]
    if wants_lines(call):
        return Response(b"".join(to_json(each) + b"\n" for each in events), headers=headers, media_type=NDJSON)
    return json_response(events, headers=headers)


async def _stream(first: News, many: AsyncGenerator[News, None], call: Call, tag: str) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async with aclosing(many):
        news: News | None = first
        while news is not None:
            for start in range(0, len(news.events), AT_ONCE):
                yield b"".join(_written(event, tag) for event in news.events[start : start + AT_ONCE])
                await call.services.jobs.feed.breathe()
            # Who comes back goes on from here, though nothing was told of what passed no filter.
            if not news.events or news.events[-1].place != news.place:
                yield f": \nid: {news.place.id(tag)}\n\n".encode()
            news = await _next(many)


async def _next(many: AsyncGenerator[News, None]) -> News | None:
    """Return what comes next. What is wrong ends the stream: whoever comes back is told, or misses nothing."""
    try:
        return await anext(many, None)
    except (EventsForgottenError, StoreUnavailableError):
        return None


def _written(event: Event, tag: str) -> bytes:
    data = to_json(event.to_json(tag))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.place.id(tag).encode(), event.entry.kind.encode(), data)


def _wants_stream(call: Call) -> bool:
    accepted = call.request.headers.get("accept", "*/*").lower()
    return SSE in accepted or ("*/*" in accepted and "json" not in accepted)


def _filter(query: Query, call: Call) -> EventFilter:
    return EventFilter(
        call.scope,
        query.get(_TYPE),
        query.get(_STATE),
        query.get(OUTCOME),
        query.get(NODE),
        labels_asked(query, call, call.scope),
        query.get(PREFIX) or "",
    )


async def _place(call: Call, feed: Feed, query: Query, given: str | None) -> Place:
    """Return where to begin: what the header says comes first, as browsers send it when they come back."""
    last = call.request.headers.get("last-event-id") or given
    if last is None:
        return await feed.now()
    if last == OLDEST:
        return await feed.oldest()
    try:
        return await feed.read(last)
    except ValueError:
        query.add("after", "CURSOR_INVALID", f"must be the id of an event, or {OLDEST}")
        return Place(0)


def _read_types(texts: list[str]) -> frozenset[str]:
    names = frozenset(name for text in texts for name in text.split(","))
    if unknown := sorted(names - frozenset(EventKind)):
        raise ParameterError("TYPE_INVALID", f"has {unknown[0][:64]!r}; there are {', '.join(EventKind)}")
    return names


def _read_states(texts: list[str]) -> frozenset[State]:
    names = frozenset(name for text in texts for name in text.split(","))
    if names - frozenset(State):
        raise ParameterError("STATE_INVALID", f"must be of {', '.join(State)}")
    return frozenset(map(State, names))


def _read_seconds(texts: list[str]) -> int:
    given = texts[-1]
    if not (given.isascii() and given.isdigit() and len(given) < 4 and int(given) <= MOST_SECONDS):
        raise ParameterError("NUMBER_RANGE", f"must be a whole number of seconds from 0 to {MOST_SECONDS}")
    return int(given)


_TYPE = Parameter(
    "type",
    {"type": "array", "items": {"type": "string", "enum": [*EventKind]}},
    _read_types,
    "Only events of these types.",
)
_STATE = Parameter(
    "state",
    {"type": "array", "items": {"type": "string", "enum": [*State]}},
    _read_states,
    "Only events that left their job in one of these states.",
)
_LIMIT = number("limit", "How many a page has at most.", most=LIMIT)
_WAIT = Parameter(
    "wait",
    {"type": "integer", "minimum": 0, "maximum": MOST_SECONDS},
    _read_seconds,
    "For how many seconds a page waits for its first event.",
)
_AFTER = text("after", f"Behind the event of this id; `{OLDEST}` for all that are kept.", minLength=1, maxLength=100)
_LAST_EVENT_ID = text("Last-Event-ID", "The same, as browsers send it.")
EVENT: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string", "examples": [*EventKind]},
        "time": TIME,
        "product": {"type": ["string", "null"]},
        "jobGroup": {"type": ["string", "null"]},
        "jobId": ID,
        "state": {"type": "string", "enum": [*State]},
        "run": {"type": "integer"},
        "outcome": {"type": "string"},
        "node": {"type": "string"},
    },
    "required": ["id", "type", "time"],
}
_STREAM: Schema = {
    "type": "string",
    "description": "Server-sent events: of each the `id`, its type as `event`, and the event as JSON in `data`.",
}
_PARAMETERS = (_TYPE, _STATE, OUTCOME, TAG, KEY, CONCURRENCY_KEY, FIELD, PREFIX, NODE, _AFTER, _LIMIT, _WAIT)

ROWS = [
    Endpoint(
        "GET",
        f"{path}/events",
        called(follow_events, level),
        query=_PARAMETERS,
        headers=(_LAST_EVENT_ID,),
        answers={200: {"type": "array", "items": EVENT}},
        also={SSE: _STREAM, NDJSON: EVENT},
        may="events:read",
    )
    for level, path in PATH.items()
]
