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
    Outcome,
    Position,
    RunFilter,
    Scope,
    State,
    concurrency_label,
    field_label,
    is_key,
    is_tag,
    key_label,
    tag_label,
)
from mainspring.web.answers import JOB as JOB_SCHEMA
from mainspring.web.answers import job_json, json_response, run_json
from mainspring.web.endpoint import Call, Endpoint, called
from mainspring.web.paths import BASE, GROUP
from mainspring.web.query import Parameter, ParameterError, Query, flag, moment, number, text
from mainspring.web.schema import named

LIMIT = 1000
"""The largest page that may be asked for."""
FORM_LIMIT = 50
"""The page that the form of `/docs` asks for: 5,000 jobs at once hung a browser for three minutes."""
NDJSON = "application/x-ndjson"
_PATH = {"everything": BASE, "product": f"{BASE}/{{product}}", "group": GROUP}


# --- jobs


async def list_jobs(call: Call) -> Response:
    """List the jobs that are not done, by next run.

    All of them as a stream, or a page with `limit`. Other filters find others.
    """
    query, scope = call.query(), call.scope
    which = job_filter(query, call, scope)
    shown = _shown(query)
    place = f"{call.request.scope['path']} {'created' if which.by_created else ''}".strip()
    after, limit = await _position(call, place, query), query.get(_LIMIT)
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
    if not _wants_lines(call):
        return json_response(objects, headers=headers)
    return Response(b"".join(to_json(each) + b"\n" for each in objects), headers=dict(headers), media_type=NDJSON)


def _wants_lines(call: Call) -> bool:
    accepted = call.request.headers.get("accept", "")
    kinds = [part.partition(";")[0].strip().lower() for part in accepted.split(",")]
    return NDJSON in kinds and "application/json" not in kinds


def _stream_of(
    call: Call, first: list[Job], pages: AsyncIterator[list[Job]], write: Callable[[Iterable[Job]], list[Any]]
) -> Response:
    if _wants_lines(call):
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


def _read_outcomes(texts: list[str]) -> frozenset[Outcome]:
    names = [name for text in texts for name in text.split(",")]
    if not _OUTCOMES.issuperset(names):
        raise ParameterError("OUTCOME_INVALID", f"must be of {', '.join(Outcome)}")
    return frozenset(map(Outcome, names))


def jobs_in(names: frozenset[str] | None) -> frozenset[State]:
    """Return the states of the jobs that are listed by such names; without any, of those that are not done."""
    if names is None:
        return PENDING
    return frozenset({State.DONE}) if names & {"done", "dead"} else frozenset(map(State, names))


def read_tags(texts: list[str]) -> frozenset[str]:
    """Read tags; what can be none is refused, as no store could look for all of it. Raises `ParameterError`."""
    if not all(map(is_tag, texts)):
        raise ParameterError("TAG_INVALID", "must have 1 to 100 characters, without commas and control characters")
    return frozenset(texts)


def _read_key(texts: list[str]) -> str:
    if not is_key(texts[-1]):
        raise ParameterError("KEY_INVALID", "must be a key: 1 to 200 characters, without control characters")
    return texts[-1]


def _read_prefix(texts: list[str]) -> str:
    prefix = texts[-1]
    if not (0 < len(prefix) <= _LONGEST_PREFIX and prefix.isprintable()):
        raise ParameterError("PREFIX_INVALID", f"must have 1 to {_LONGEST_PREFIX} characters, none for control")
    return prefix


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
    names, outcomes, gave_up = query.get(_STATE), query.get(_OUTCOME), query.get(_GAVE_UP) or False
    states = frozenset(State) if names is None and (gave_up or outcomes) else jobs_in(names)
    order, node = query.get(_ORDER), query.get(_NODE)
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
    key, concurrency_key = query.get(_KEY), query.get(_CONCURRENCY_KEY)
    labels = [
        *map(tag_label, query.get(_TAG) or ()),
        *([key_label(key)] if key else []),
        *([concurrency_label(concurrency_key)] if concurrency_key else []),
        *_field_labels(query, call, scope),
    ]
    return JobFilter(
        states,
        outcomes=outcomes,
        gave_up=gave_up or "dead" in (names or ()),
        labels=frozenset(labels),
        prefix=query.get(_PREFIX) or "",
        node=node,
        due_from=query.get(_FROM),
        due_to=query.get(_TO),
        created_from=query.get(_CREATED_FROM),
        created_to=query.get(_CREATED_TO),
        by_created=order == "created",
    )


def _field_labels(query: Query, call: Call, scope: Scope) -> list[str]:
    """Return the labels of fields of requests that are asked for; each must be searchable in some group."""
    searchable = call.services.jobs.searchable(scope)
    labels = []
    for name, value in query.fields(_FIELD).items():
        if name not in searchable:
            known = f"; those are {', '.join(sorted(searchable))}" if searchable else ""
            detail = f"is no field by which jobs can be found{known}"
            query.add(f"request.{name[:64]}", "FIELD_NOT_SEARCHABLE", detail)
        elif (label := field_label(name, value)) is None:
            query.add(f"request.{name}", "VALUE_TOO_LONG", "is longer than any value by which jobs can be found")
        else:
            labels.append(label)
    return labels


def _shown(query: Query) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what leaves the members of a job that are asked for."""
    fields, payload = query.get(_FIELDS), query.get(_PAYLOAD)
    if fields is not None:
        return lambda job: {name: job[name] for name in fields if name in job}
    if payload is False:
        return lambda job: {name: value for name, value in job.items() if name != "jobRequest"}
    return lambda job: job


async def _position(call: Call, scope: str, query: Query) -> Position | None:
    """Return the place to go on from."""
    cursor = query.get(_CURSOR)
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
    which = RunFilter(query.get(_OUTCOME), query.get(_NODE), query.get(_ENDED_FROM), query.get(_ENDED_TO))
    limit, before = query.get(_LIMIT) or LIMIT, query.get(_BEFORE)
    query.check()
    runs, rest = await call.services.jobs.finding.history(call.scope, which, before=before, limit=limit)
    headers = {} if rest is None else call.next_page(before=rest)
    return _many(call, [run_json(run) for run in runs], headers)


# --- rows

_STATES = ["scheduled", "running", "paused", "done", "dead"]
_STATE = Parameter("state", {"type": "array", "items": {"type": "string", "enum": _STATES}}, read_states)
_OUTCOMES = frozenset(Outcome)
_OUTCOME = Parameter(
    "outcome",
    {"type": "array", "items": {"type": "string", "enum": [outcome.value for outcome in Outcome]}},
    _read_outcomes,
    "Only those whose last run ended so, done ones too.",
)
_GAVE_UP = flag("gaveUp", "Only jobs that gave up on their last fire time, done ones too.")
_TAG = Parameter(
    "tag",
    {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\x00-\x1f\x7f,]+$"},
    },
    read_tags,
    "Only jobs that have this tag; given more than once, all of these.",
)
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}
_KEY = Parameter("key", _TEXT, _read_key, "Only jobs with this key.")
_CONCURRENCY_KEY = Parameter("concurrencyKey", _TEXT, _read_key, "Only jobs with this concurrency key.")
_FIELD = Parameter(
    "request.*",
    {"type": "string"},
    lambda texts: texts[-1],
    "Such as `request.vmId`: only jobs with this value in the field. The job class says by which fields.",
)
_LONGEST_PREFIX = 200
_PREFIX = Parameter(
    "q",
    {"type": "string", "minLength": 1, "maxLength": _LONGEST_PREFIX},
    _read_prefix,
    "How an id, a key or a tag begins.",
)
_ORDERS = ("due", "created", "ended")
_ORDER = Parameter("order", {"type": "string", "enum": [*_ORDERS]}, _read_order, "By what they come.")
_NODE = text("node", "Only what runs, or ran, on this node.", minLength=1, maxLength=100)
_FROM = moment("from")
_TO = moment("to")
_CREATED_FROM = moment("createdFrom")
_CREATED_TO = moment("createdTo")
_LIMIT = number("limit", "How many at most; all of them if it is left out.", most=LIMIT, example=FORM_LIMIT)
_CURSOR = text("cursor", "From the Link header of the page before.")
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
    _STATE,
    _OUTCOME,
    _GAVE_UP,
    _TAG,
    _KEY,
    _CONCURRENCY_KEY,
    _FIELD,
    _PREFIX,
    _NODE,
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
    _CURSOR,
    _FIELDS,
    _PAYLOAD,
)

ROWS = [
    row
    for level, path in _PATH.items()
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
            query=(_OUTCOME, _NODE, _ENDED_FROM, _ENDED_TO, _LIMIT, _BEFORE),
            is_long=True,
            answers={200: {"type": "array", "items": named("Run")}},
            may="history:read",
        ),
    )
]
