"""The calls by which jobs and runs are found: of a group, of a product and of all, as pages or as streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from mainspring.errors import InvalidRequestError
from mainspring.job import (
    PENDING,
    Job,
    JobFilter,
    Position,
    RunFilter,
    Scope,
    State,
)
from mainspring.web.answers import JOB as JOB_SCHEMA
from mainspring.web.answers import job_json, json_response, run_json
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
from mainspring.web.paths import BASE, GROUP
from mainspring.web.query import Parameter, ParameterError, Query, flag, moment, number, text
from mainspring.web.schema import named

LIMIT = 1000
"""The largest page that may be asked for."""
FORM_LIMIT = 50
"""The page that the form of `/docs` asks for: 5,000 jobs at once hung a browser for three minutes."""
NDJSON = "application/x-ndjson"
PATH = {"everything": BASE, "product": f"{BASE}/{{product}}", "group": GROUP}


# --- jobs


async def list_jobs(call: Call) -> Response:
    """List the jobs that are not done, by next run.

    All of them as a stream, or a page with `limit`. Other filters find others.
    """
    query, scope = call.query(), call.scope
    which = job_filter(query, call, scope)
    shown = _shown(query)
    place = f"{call.request.scope['path']} {'created' if which.by_created else ''}".strip()
    after, limit = await read_cursor(call, place, query), query.get(_LIMIT)
    query.check()
    finding = call.services.jobs.finding
    if limit is not None:
        page = await finding.page(scope, which, after=after, limit=limit)
        headers = {}
        if len(page) == limit:
            position = Position.of(page[-1], by_created=which.by_created)
            headers = call.next_page(cursor=await call.services.cursors.write(place, position))
        pauses = await call.pauses()
        return _many(call, [shown(job_json(job, pauses)) for job in page], headers)
    pauses = await call.pauses()
    pages = finding.stream(scope, which, after=after)
    first: list[Job] = await anext(pages, [])  # what is wrong is said before the answer begins
    if call.request.method == "HEAD":
        first, pages = [], _nothing()  # nobody will read them

    def write(jobs: Iterable[Job]) -> list[Any]:
        return [shown(job_json(job, pauses)) for job in jobs]

    return _stream_of(call, first, pages, write)


def _many(call: Call, objects: list[Any], headers: Mapping[str, str]) -> Response:
    """Answer with many objects: as an array, or a line each where that is asked for."""
    if not wants_lines(call):
        return json_response(objects, headers=headers)
    return Response(b"".join(to_json(each) + b"\n" for each in objects), headers=dict(headers), media_type=NDJSON)


def wants_lines(call: Call) -> bool:
    """Tell whether a line for each object is asked for, in place of an array."""
    accepted = call.request.headers.get("accept", "")
    kinds = [part.partition(";")[0].strip().lower() for part in accepted.split(",")]
    return NDJSON in kinds and "application/json" not in kinds


def _stream_of(
    call: Call, first: list[Job], pages: AsyncIterator[list[Job]], write: Callable[[Iterable[Job]], list[Any]]
) -> Response:
    if wants_lines(call):
        return StreamingResponse(_lines(call.services.turns, first, pages, write), media_type=NDJSON)
    return StreamingResponse(_array(call.services.turns, first, pages, write), media_type="application/json")


async def _array(
    turns: asyncio.Semaphore,
    first: list[Job],
    pages: AsyncIterator[list[Job]],
    write: Callable[[Iterable[Job]], list[Any]],
) -> AsyncIterator[bytes]:
    yield b"["
    separator = b""
    async for page in _in_turn(turns, first, pages):
        if page:
            yield separator + to_json(write(page))[1:-1]
            separator = b","
    yield b"]"


async def _lines(
    turns: asyncio.Semaphore,
    first: list[Job],
    pages: AsyncIterator[list[Job]],
    write: Callable[[Iterable[Job]], list[Any]],
) -> AsyncIterator[bytes]:
    async for page in _in_turn(turns, first, pages):
        yield b"".join(to_json(each) + b"\n" for each in write(page))


async def _in_turn(
    turns: asyncio.Semaphore, first: list[Job], pages: AsyncIterator[list[Job]]
) -> AsyncIterator[list[Job]]:
    page: list[Job] | None = first
    while page is not None:
        yield page
        async with turns:
            page = await anext(pages, None)


async def _nothing() -> AsyncIterator[list[Job]]:
    none: tuple[list[Job], ...] = ()
    for page in none:
        yield page


def read_states(texts: list[str]) -> frozenset[str]:
    """Read names of states, and ``dead``. Raises `ParameterError`."""
    names = [name for text in texts for name in text.split(",")]
    done = len(names) == 1 and names[0] in {"done", "dead"}
    if not done and not {state.value for state in PENDING}.issuperset(names):
        raise ParameterError(
            "STATE_INVALID",
            "must be of scheduled, running and paused, or just one of done and dead: those that gave up",
        )
    return frozenset(names)


def jobs_in(names: frozenset[str] | None) -> frozenset[State]:
    """Return the states of the jobs that are listed by such names; without any, of those that are not done."""
    if names is None:
        return PENDING
    return frozenset({State.DONE}) if names & {"done", "dead"} else frozenset(map(State, names))


def _read_order(texts: list[str]) -> str:
    if texts[-1] not in _ORDERS:
        raise ParameterError("ORDER_INVALID", f"must be one of {', '.join(_ORDERS)}")
    return texts[-1]


def _read_fields(texts: list[str]) -> tuple[str, ...]:
    names = [name for text in texts for name in text.split(",")]
    if unknown := [name for name in names if name not in JOB_SCHEMA["properties"]]:
        raise ParameterError("UNKNOWN_FIELD", f"a job has no member {unknown[0][:64]!r}")
    return tuple(names)


def job_filter(query: Query, call: Call, scope: Scope) -> JobFilter:
    """Return the filter that a query means; what is wrong with it is noted in the query."""
    names, outcomes, gave_up = query.get(STATE), query.get(OUTCOME), query.get(_GAVE_UP) or False
    states = frozenset(State) if names is None and (gave_up or outcomes) else jobs_in(names)
    order, node = query.get(_ORDER), query.get(NODE)
    if order == "ended" and names is None:
        states = frozenset({State.DONE})
    if order == "ended" and states - {State.DONE}:
        query.add("order", "ORDER_INVALID", "only done jobs come by their end")
    if order in {"due", "created"} and State.DONE in states:
        query.add("order", "ORDER_INVALID", "done jobs come by their end")
    if node is not None:
        if State.DONE in states and names is not None:
            query.add("node", "NODE_INVALID", "is only taken for jobs that run")
        states = states & {State.RUNNING}
    return JobFilter(
        states,
        outcomes=outcomes,
        gave_up=gave_up or "dead" in (names or ()),
        labels=labels_asked(query, call, scope),
        prefix=query.get(PREFIX) or "",
        node=node,
        due_from=query.get(_FROM),
        due_to=query.get(_TO),
        created_from=query.get(_CREATED_FROM),
        created_to=query.get(_CREATED_TO),
        by_created=order == "created",
    )


def _shown(query: Query) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what leaves the members of a job that are asked for."""
    fields, payload = query.get(_FIELDS), query.get(_PAYLOAD)
    if fields is not None:
        return lambda job: {name: job[name] for name in fields if name in job}
    if payload is False:
        return lambda job: {name: value for name, value in job.items() if name != "jobRequest"}
    return lambda job: job


async def read_cursor(call: Call, scope: str, query: Query) -> Position | None:
    """Return the place to go on from."""
    cursor = query.get(CURSOR)
    try:
        return None if cursor is None else await call.services.cursors.read(scope, cursor)
    except InvalidRequestError as error:
        query.problems += error.problems
        return None


# --- runs


async def list_history(call: Call) -> Response:
    """List runs, the newest first.

    `before` takes a run number and pages on. With filters a page may have fewer runs than `limit`.
    """
    query = call.query()
    which = RunFilter(query.get(OUTCOME), query.get(NODE), query.get(_ENDED_FROM), query.get(_ENDED_TO))
    limit, before = query.get(_LIMIT) or LIMIT, query.get(_BEFORE)
    query.check()
    runs, rest = await call.services.jobs.finding.history(call.scope, which, before=before, limit=limit)
    headers = {} if rest is None else call.next_page(before=rest)
    return _many(call, [run_json(run) for run in runs], headers)


# --- rows

_STATES = ["scheduled", "running", "paused", "done", "dead"]
STATE = Parameter("state", {"type": "array", "items": {"type": "string", "enum": _STATES}}, read_states)
_GAVE_UP = flag("gaveUp", "Only jobs that gave up on their last fire time, done ones too.")
_ORDERS = ("due", "created", "ended")
_ORDER = Parameter("order", {"type": "string", "enum": [*_ORDERS]}, _read_order, "By what they come.")
_FROM = moment("from")
_TO = moment("to")
_CREATED_FROM = moment("createdFrom")
_CREATED_TO = moment("createdTo")
_LIMIT = number("limit", "How many at most; all of them if it is left out.", most=LIMIT, example=FORM_LIMIT)
CURSOR = text("cursor", "From the Link header of the page before.")
_FIELDS = Parameter(
    "fields",
    {"type": "array", "items": {"type": "string", "enum": [*JOB_SCHEMA["properties"]]}},
    _read_fields,
    "Only these members of each job.",
)
_PAYLOAD = flag("payload", "With false jobs come without their requests.")
_BEFORE = number("before", "Runs numbered below.")
_ENDED_FROM = moment("from", "Only runs that ended then or later.")
_ENDED_TO = moment("to", "Only runs that ended before.")
FILTERS: Sequence[Parameter[Any]] = (
    STATE,
    OUTCOME,
    _GAVE_UP,
    TAG,
    KEY,
    CONCURRENCY_KEY,
    FIELD,
    PREFIX,
    NODE,
    _FROM,
    _TO,
    _CREATED_FROM,
    _CREATED_TO,
)
"""What says which jobs are meant."""
_LISTED: Sequence[Parameter[Any]] = (
    *FILTERS,
    _ORDER,
    _LIMIT,
    CURSOR,
    _FIELDS,
    _PAYLOAD,
)

ROWS = [
    row
    for level, path in PATH.items()
    for row in (
        Endpoint(
            "GET",
            f"{path}/jobs",
            list_jobs if level == "group" else called(list_jobs, level),
            query=_LISTED,
            is_long=True,
            answers={200: {"type": "array", "items": named("Job")}},
            may="jobs:read",
        ),
        Endpoint(
            "GET",
            f"{path}/runs",
            called(list_history, level),
            query=(OUTCOME, NODE, _ENDED_FROM, _ENDED_TO, _LIMIT, _BEFORE),
            is_long=True,
            answers={200: {"type": "array", "items": named("Run")}},
            may="history:read",
        ),
    )
]
