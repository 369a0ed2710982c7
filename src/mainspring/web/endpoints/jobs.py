"""The calls on jobs: one function from request to response each, and the list of their routes.

These are plain Starlette routes inside the FastAPI application: on one core of the reference machine FastAPI's own
machinery answered 7,500 small POSTs a second, Starlette 23,000.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mainspring.errors import InvalidRequestError
from mainspring.job import PENDING, Job, JobFilter, JobKey, Position, State
from mainspring.schedule import Forecast, Outage, depends_on_id
from mainspring.service import LookAhead
from mainspring.web import wire
from mainspring.web.endpoint import Query, resource

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
    """Create a job, or with `dryRun` only say what it would do."""
    if request.scope["query_string"] and (ahead := _Query(request, {"dryRun", *_AHEAD}).dry_run()):
        key, body = wire.read_key(request), await wire.read_body(request)
        job, forecast = await _service(request).preview_new(key, body, ahead)
        warnings = [*_warnings(job), *_dealt_out(job), *_cut(forecast)]
        return wire.json_response(wire.forecast_json(job, forecast, warnings))
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


def _dealt_out(job: Job) -> list[dict[str, str]]:
    """Say what of a preview follows from an id, which a job that is created would not have."""
    dealt = depends_on_id(job.trigger, job.request.get("schedule"))
    if not dealt:
        return []
    detail = f"{' and '.join(dealt)}: the places are those of an id that was drawn for this; the job gets another"
    return [{"code": "DEPENDS_ON_ID", "detail": detail}]


def _cut(forecast: Forecast) -> list[dict[str, str]]:
    return [{"code": "PREVIEW_CUT", "detail": "there may be more: the preview was too long"}] if forecast.cut else []


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


async def preview(request: Request) -> Response:
    """Say what a job will do."""
    key, job_id = wire.read_key(request), wire.read_job_id(request)
    query = _Query(request, _AHEAD)
    ahead = query.ahead()
    query.check()
    job, forecast = await _service(request).preview_job(key, job_id, ahead)
    paused = {"code": "JOB_PAUSED", "detail": "the job is paused; this is what it does once it is resumed"}
    warnings = [*([paused] if job.paused else []), *_cut(forecast)]
    return wire.json_response(wire.forecast_json(job, forecast, warnings))


async def backfill(request: Request) -> Response:
    """Run occurrences of a job's past afterwards."""
    key, job_id = wire.read_key(request), wire.read_job_id(request)
    created, left = await _service(request).backfill_job(key, job_id, await wire.read_body(request))
    return wire.json_response({"created": created, "left": left}, 202)


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


class _Query(Query):
    """The query parameters of calls on jobs."""

    def limit(self) -> int | None:
        """Return the size of the page asked for."""
        return self.number("limit", LIMIT)

    def cursor(self, key: JobKey) -> Position | None:
        """Return the place to go on from."""
        text = self.values.get("cursor")
        if text is None:
            return None
        try:
            return wire.read_cursor(key, text)
        except InvalidRequestError as error:
            self.problems += error.problems
            return None

    def job_filter(self) -> JobFilter:
        """Return which jobs are asked for."""
        names = [name for text in self.values.getlist("state") for name in text.split(",")]
        pending = {state.value for state in PENDING}
        done = len(names) == 1 and names[0] in {"done", "dead"}
        if names and not done and not pending.issuperset(names):
            self.fault("state", "STATE_INVALID", "must be of scheduled, running and paused, or one of done and dead")
            names = []
        states = PENDING if done or not names else frozenset(map(State, names))
        return JobFilter(states, done=done, dead=names == ["dead"], due_from=self.time("from"), due_to=self.time("to"))

    def dry_run(self) -> LookAhead | None:
        """Return how far to look ahead if the job is not to be created. Raises `InvalidRequestError`."""
        wanted, ahead = self.values.get("dryRun", "false"), self.ahead()
        if wanted not in {"true", "false"}:
            self.fault("dryRun", "BOOLEAN_INVALID", "must be true or false")
        elif wanted == "false":
            for name in _AHEAD & self.values.keys():
                self.fault(name, "UNKNOWN_PARAMETER", "goes with dryRun=true only")
        self.check()
        return ahead if wanted == "true" else None

    def ahead(self) -> LookAhead:
        """Return how far to look ahead."""
        number = self.number("next", LIMIT) or LookAhead().number
        begin, end = self.time("outageFrom"), self.time("outageTo")
        given = {"outageFrom", "outageTo"} & self.values.keys()
        if len(given) == 1:
            (missing,) = {"outageFrom", "outageTo"} - given
            self.fault(missing, "OUTAGE_INVALID", "is missing: an outage has a beginning and an end")
        if begin is None or end is None:
            return LookAhead(number)
        if end <= begin:
            self.fault("outageTo", "OUTAGE_INVALID", "must be later than outageFrom")
        return LookAhead(number, Outage(begin, end))


_AHEAD = frozenset({"next", "outageFrom", "outageTo"})
_GROUP = f"{wire.BASE}/{{product}}/{{job_group}}"
_JOB = f"{_GROUP}/jobs/{{job_id}}"
ROUTES = [
    resource(wire.BASE, GET=groups),
    resource(f"{_GROUP}/jobs", parameters={list_jobs, create}, GET=list_jobs, POST=create),
    resource(f"{_GROUP}/jobs/batch", POST=create_batch),
    resource(_JOB, GET=show, PATCH=change, DELETE=delete),
    resource(f"{_JOB}/pause", POST=pause),
    resource(f"{_JOB}/resume", POST=resume),
    resource(f"{_JOB}/retry", POST=retry),
    resource(f"{_JOB}/preview", parameters={preview}, GET=preview),
    resource(f"{_JOB}/backfill", POST=backfill),
    resource(f"{_JOB}/runs", parameters={runs}, GET=runs),
]
