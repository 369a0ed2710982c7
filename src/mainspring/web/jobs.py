"""The calls on jobs: one function from request to response each, and the list of their routes.

These are plain Starlette routes inside the FastAPI application: on one core of the reference machine FastAPI's own
machinery answered 7,500 small POSTs a second, Starlette 23,000.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mainspring.errors import InvalidRequestError, Problem
from mainspring.model import PENDING, Job, JobFilter, JobKey, Position, State
from mainspring.trigger import TimeError, parse_when
from mainspring.web import wire

if TYPE_CHECKING:
    from mainspring.service import SchedulerService

PAGE = 500
"""How many jobs of a streamed list are fetched at a time."""
LIMIT = 1000
"""The largest page that may be asked for."""
_PAST = timedelta(seconds=5)
"""How far back `when` may lie without a warning: clocks differ."""


async def groups(request: Request) -> Response:
    """List all products and job groups, with the number of their jobs by state."""
    return wire.json_response(
        [
            {
                "product": group.key.product,
                "jobGroup": group.key.job_group,
                "registered": group.binding is not None,
                "counts": {state.value: group.counts.get(state, 0) for state in State},
                "jobs": f"{wire.group_path(group.key)}/jobs",
            }
            for group in await _service(request).groups()
        ]
    )


async def create(request: Request) -> Response:
    """Create a job."""
    job = await _service(request).create_job(wire.read_key(request), await wire.read_body(request))
    return wire.job_response(job, 201, warnings=_warnings(job), Location=wire.job_path(job))


async def create_batch(request: Request) -> Response:
    """Create many jobs, all or none."""
    ids = await _service(request).create_jobs(wire.read_key(request), await wire.read_batch(request))
    return wire.json_response({"created": len(ids), "ids": ids}, 201)


def _warnings(job: Job) -> list[dict[str, str]]:
    """Say what is legal but perhaps not meant about a job that has just been written."""
    if job.next_run is None or job.next_run >= job.updated_at - _PAST:
        return []
    return [{"code": "WHEN_IN_PAST", "detail": "the next fire time is in the past; the job is due at once"}]


async def list_jobs(request: Request) -> Response:
    """List the jobs of a group by next run: all of them as a stream, or a page with `limit`."""
    key = wire.read_key(request)
    query = _Query(request, {"limit", "cursor", "state", "from", "to"})
    which = query.job_filter()
    limit, after = query.limit(), query.cursor(key)
    query.check()
    service = _service(request)
    page = await service.list_jobs(key, which, after=after, limit=limit or PAGE)
    if limit is None:
        if request.method == "HEAD":
            page = []  # nobody will read them, nor the pages to follow
        return StreamingResponse(_stream(service, key, which, page), media_type="application/json")
    headers = {}
    if len(page) == limit:
        cursor = wire.write_cursor(key, Position.of(page[-1]))
        headers = _next_page(request, cursor=cursor)
    return wire.json_response([wire.job_json(job) for job in page], headers=headers)


async def _stream(service: SchedulerService, key: JobKey, which: JobFilter, page: list[Job]) -> AsyncIterator[bytes]:
    yield b"["
    separator = b""
    while page:
        yield separator + to_json([wire.job_json(job) for job in page])[1:-1]
        separator = b","
        last = Position.of(page[-1])
        page = await service.list_jobs(key, which, after=last, limit=PAGE) if len(page) == PAGE else []
    yield b"]"


async def show(request: Request) -> Response:
    """Return one job."""
    return wire.job_response(await _service(request).get_job(wire.read_key(request), wire.read_job_id(request)))


async def change(request: Request) -> Response:
    """Move a job, or change its schedule, options or payload (merge patch, RFC 7396)."""
    key, job_id, version = wire.read_key(request), wire.read_job_id(request), wire.read_version(request)
    patch = await wire.read_body(request)
    job = await _service(request).change_job(key, job_id, patch, version=version)
    return wire.job_response(job, warnings=_warnings(job))


async def delete(request: Request) -> Response:
    """Delete a job; a run under way is asked to stop."""
    version = wire.read_version(request)
    await _service(request).delete_job(wire.read_key(request), wire.read_job_id(request), version=version)
    return Response(status_code=204)


async def pause(request: Request) -> Response:
    """Hold a job back."""
    await _service(request).pause_job(wire.read_key(request), wire.read_job_id(request))
    return Response(status_code=204)


async def resume(request: Request) -> Response:
    """Let a paused job go on."""
    await _service(request).resume_job(wire.read_key(request), wire.read_job_id(request))
    return Response(status_code=204)


async def retry(request: Request) -> Response:
    """Bring a dead job back."""
    return wire.job_response(await _service(request).retry_job(wire.read_key(request), wire.read_job_id(request)))


async def runs(request: Request) -> Response:
    """List the history of a job, newest first; `before` takes a run number and pages on."""
    query = _Query(request, {"limit", "before"})
    limit, before = query.limit(), query.number("before", 2**63 - 1)
    query.check()
    key, job_id = wire.read_key(request), wire.read_job_id(request)
    history = await _service(request).list_runs(key, job_id, before=before, limit=limit or LIMIT)
    headers = {}
    if len(history) == (limit or LIMIT):
        headers = _next_page(request, before=history[-1].number)
    return wire.json_response([wire.run_json(run) for run in history], headers=headers)


def _next_page(request: Request, **place: str | int) -> dict[str, str]:
    url = request.url.include_query_params(**place)
    return {"Link": f'<{url.path}?{url.query}>; rel="next"'}


def _service(request: Request) -> SchedulerService:
    service: SchedulerService = request.app.state.service
    return service


# --- query parameters


class _Query:
    """The query parameters of a call, read with every problem at once."""

    def __init__(self, request: Request, known: set[str]) -> None:
        self._values = request.query_params
        self._problems = [
            Problem(
                f"?{name[:64]}",
                "UNKNOWN_PARAMETER",
                f"is not known here; known are {', '.join(sorted(known)) or 'none'}",
            )
            for name in self._values
            if name not in known
        ]

    def check(self) -> None:
        """Raise `InvalidRequestError` if anything was wrong."""
        if self._problems:
            detail = "; ".join(f"{problem.pointer} {problem.detail}" for problem in self._problems)
            raise InvalidRequestError(detail, problems=self._problems)

    def number(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 to `most`, `None` when it is not given."""
        text = self._values.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
            self._fault(name, "NUMBER_RANGE", f"must be a whole number from 1 to {most}")
            return None
        return int(text)

    def limit(self) -> int | None:
        """Return the size of the page asked for."""
        return self.number("limit", LIMIT)

    def cursor(self, key: JobKey) -> Position | None:
        """Return the place to go on from."""
        text = self._values.get("cursor")
        if text is None:
            return None
        try:
            return wire.read_cursor(key, text)
        except InvalidRequestError as error:
            self._problems += error.problems
            return None

    def job_filter(self) -> JobFilter:
        """Return which jobs are asked for."""
        names = [name for text in self._values.getlist("state") for name in text.split(",")]
        pending = {state.value for state in PENDING}
        done = len(names) == 1 and names[0] in {"done", "dead"}
        if names and not done and not pending.issuperset(names):
            self._fault("state", "STATE_INVALID", "must be of scheduled, running and paused, or one of done and dead")
            names = []
        states = PENDING if done or not names else frozenset(map(State, names))
        return JobFilter(
            states, done=done, dead=names == ["dead"], due_from=self._time("from"), due_to=self._time("to")
        )

    def _time(self, name: str) -> datetime | None:
        text = self._values.get(name)
        if text is None:
            return None
        try:
            return parse_when(text)
        except TimeError as error:
            self._fault(name, error.code, str(error))
            return None

    def _fault(self, name: str, code: str, detail: str) -> None:
        self._problems.append(Problem(f"?{name}", code, detail))


def _resource(path: str, **methods: Callable[[Request], Awaitable[Response]]) -> Route:
    """Give a path one function for each method: as one route, so that a 405 names all of them in ``Allow``.

    The route only describes it: `answer` finds and calls it.
    """
    return Route(path, _Resource(methods), methods=list(methods))


class _Resource:
    """The calls on one path, by method."""

    def __init__(self, methods: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        self._methods = methods

    async def __call__(self, request: Request) -> Response:
        method = self._methods["GET" if request.method == "HEAD" else request.method]
        if request.scope["query_string"] and method not in _WITH_PARAMETERS:
            _Query(request, set()).check()
        return await method(request)


_WITH_PARAMETERS = {list_jobs, runs}
"""The calls that read query parameters; they refuse unknown ones themselves, together with what else is wrong."""
_GROUP = f"{wire.BASE}/{{product}}/{{job_group}}"
_JOB = f"{_GROUP}/jobs/{{job_id}}"
ROUTES = [
    _resource(wire.BASE, GET=groups),
    _resource(f"{_GROUP}/jobs", GET=list_jobs, POST=create),
    _resource(f"{_GROUP}/jobs/batch", POST=create_batch),
    _resource(_JOB, GET=show, PATCH=change, DELETE=delete),
    _resource(f"{_JOB}/pause", POST=pause),
    _resource(f"{_JOB}/resume", POST=resume),
    _resource(f"{_JOB}/retry", POST=retry),
    _resource(f"{_JOB}/runs", GET=runs),
]


async def answer(request: Request) -> Response:
    """Answer a call by the first route that has its path and its method.

    Raises what the call raises, and `HTTPException` 404 and 405. Starlette's router would take 5 us more.
    """
    scope = request.scope
    allowed: Collection[str] | None = None
    for route in ROUTES:
        if match := route.path_regex.match(scope["path"]):
            methods = route.methods or ()
            if scope["method"] in methods:
                scope["path_params"] = match.groupdict()
                return await cast("_Resource", route.endpoint)(request)
            allowed = allowed or methods
    raise HTTPException(405, headers={"Allow": ", ".join(allowed)}) if allowed else HTTPException(404)
