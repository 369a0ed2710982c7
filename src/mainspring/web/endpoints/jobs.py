"""The calls on jobs: one function from call to response each, and a row for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import RFC_4122, UUID

from starlette.responses import Response

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import NOW, Job, Pause, State, pauses_of
from mainspring.schedule import (
    Forecast,
    Once,
    Outage,
    depends_on_id,
    parse_when,
    read_otherwise,
    schedule_warnings,
    too_far,
)
from mainspring.service import Batch as Made
from mainspring.service import LookAhead
from mainspring.web.answers import (
    PAUSED_BY,
    forecast_json,
    held_warnings,
    job_response,
    json_response,
    standing_json,
)
from mainspring.web.body import read_body, receive_batch
from mainspring.web.endpoint import IF_NONE_MATCH, Call, Endpoint, is_uuid, must_be_new
from mainspring.web.example import TODAY, WHEN, YESTERDAY
from mainspring.web.outline import BATCH_JOBS
from mainspring.web.paths import BASE, GROUP, JOB, group_path, job_path
from mainspring.web.query import Query, flag, moment, number, text
from mainspring.web.schema import ID, REQUEST, named

LIMIT = 1000
"""How many starts a preview shows at most."""
_LAST_VERSION = 8
"""The highest version of a UUID that RFC 9562 knows."""
_PAST = timedelta(seconds=5)
"""How far back `when` may lie without a warning: clocks differ."""


async def list_groups(call: Call) -> Response:
    """Products and job groups."""
    pauses = await call.services.jobs.control.pauses()
    return json_response(
        [
            {
                "product": group.key.product,
                "jobGroup": group.key.job_group,
                "registered": group.binding is not None,
                "counts": {state.value: group.counts.states.get(state, 0) for state in State}
                | {"gaveUp": group.counts.gave_up},
                "jobs": f"{group_path(group.key)}/jobs",
            }
            | standing_json(pauses_of(pauses, group.key))
            for group in await call.services.jobs.groups()
        ]
    )


# --- new jobs


async def create_job(call: Call) -> Response:
    """Schedule a job.

    With `dryRun` only say what it would do.
    """
    if call.has_query and (ahead := _dry_run(call.query(), call.services.jobs.now())):
        key, body = call.key, await read_body(call.request)
        job, forecast = await call.services.jobs.lookahead.preview_new(key, body, ahead)
        over = await call.services.jobs.quotas.exceeded(job)
        warnings = [*_warnings(job), *_read_otherwise(job), *_dealt_out(job), *_cut(forecast)]
        warnings += ({"code": each.code, "detail": each.detail} for each in over)
        return json_response(forecast_json(job, forecast, warnings))
    body, pauses = await read_body(call.request), await call.pauses()  # before the write: see `control.resume_job`
    once = call.once(partial(_created, pauses))
    return once(*await call.services.jobs.create_or_keep(call.key, body, once.receipt))


def _created(pauses: Sequence[Pause], job: Job, is_new: bool) -> Response:  # noqa: FBT001 - as it is handed on
    warnings = [*_warnings(job), *held_warnings(job, pauses)]
    return job_response(job, pauses, 201 if is_new else 200, warnings=warnings, Location=job_path(job))


async def put_job(call: Call) -> Response:
    """Create a job under an id of your own.

    To send the same again changes nothing.
    """
    key, job_id, version, is_new = call.key, _new_id(call.path["jobId"]), call.version, must_be_new(call, "the job")
    fires_from = _fires_from(call.query()) if call.has_query else None
    body, pauses = await read_body(call.request), await call.pauses()
    job, is_created = await call.services.jobs.put_job(
        key, job_id, body, version=version, is_new=is_new, fires_from=fires_from
    )
    if is_created:
        return _created(pauses, job, is_new=True)
    return job_response(job, pauses, warnings=[], Location=job_path(job))


def _fires_from(query: Query) -> datetime | None:
    """Return from when on a schedule that goes on fires here. Raises `InvalidRequestError`."""
    fires_from = query.get(_FIRES_FROM)
    query.check()
    return fires_from


def _new_id(text: str) -> UUID:
    """Read an id that a job is to have: any UUID of RFC 9562 but those that stand for none. Raises."""
    if is_uuid(text) and (job_id := UUID(text)).variant == RFC_4122 and 1 <= (job_id.version or 0) <= _LAST_VERSION:
        return job_id
    detail = "the id of a job must be a UUID (RFC 9562), such as 0197c1a6-2b8a-7c3e-9d5f-6a7b8c9d0e1f"
    raise InvalidRequestError(detail, problems=[Problem("", "JOB_ID_INVALID", detail)])


_HEX_ID = re.compile("(.{8})(.{4})(.{4})(.{4})(.{12})")
_IDS = 4096
"""How many ids are written at once: that is 3 ms."""


async def create_jobs(call: Call) -> Response:
    """Schedule many jobs, all or none."""
    key, batch = call.key, await receive_batch(call.request)
    batches = call.services.jobs.batches
    once = call.once(lambda made: _all_created(b"".join(_created_ids(made))))
    async with batches.alone() if batch.is_large else nullcontext():
        made = await batches.create(key, await batch.parse(batches.breathe), once.receipt)
    if once.receipt is not None:
        return once(made)
    text = bytearray()
    for piece in _created_ids(made):
        text += piece
        await batches.breathe()
    return _all_created(bytes(text))


def _created_ids(made: Made) -> Iterator[bytes]:
    """Write the ids of a batch, some at a time. As objects 100,000 ids take 20 MB, and to write them all 70 ms."""
    ids, created = made
    yield b'{"created":%d,"ids":[' % created
    for place in range(0, len(ids), _IDS * 16):
        yield b"," if place else b""
        yield _HEX_ID.sub(r'"\1-\2-\3-\4-\5",', ids[place : place + _IDS * 16].hex())[:-1].encode()
    yield b"]}"


def _all_created(text: bytes) -> Response:
    return Response(text, 201, media_type="application/json")


def _warnings(job: Job) -> list[dict[str, str]]:
    """Say what is legal but perhaps not meant about a job that has just been written."""
    warnings = _of_schedule(job)
    if (next_run := job.next_run) is not None and next_run < job.updated_at - _PAST:
        detail = "the next fire time is in the past; the job is due at once"
        warnings.append({"code": "WHEN_IN_PAST", "detail": detail})
    return warnings


def _of_schedule(job: Job) -> list[dict[str, str]]:
    sent = job.request.get("schedule")
    return [] if sent is None else [warned._asdict() for warned in schedule_warnings(job.trigger, sent)]


def _read_otherwise(job: Job) -> list[dict[str, str]]:
    """Say what of a schedule other programs read otherwise, so that it is perhaps not meant."""
    details = read_otherwise(job.trigger, job.request.get("schedule"))
    return [{"code": "READ_OTHERWISE", "detail": detail} for detail in details]


def _dealt_out(job: Job) -> list[dict[str, str]]:
    """Say what of a preview follows from an id, which a job that is created would not have."""
    dealt = depends_on_id(job.trigger, job.request.get("schedule"))
    if not dealt:
        return []
    detail = f"{' and '.join(dealt)}: the places are those of an id that was drawn for this; the job gets another"
    return [{"code": "DEPENDS_ON_ID", "detail": detail}]


def _cut(forecast: Forecast) -> list[dict[str, str]]:
    return [{"code": "PREVIEW_CUT", "detail": "the preview took too long and was cut short"}] if forecast.cut else []


# --- one job


async def show_job(call: Call) -> Response:
    """Show a job."""
    return job_response(await call.services.jobs.get_job(call.key, call.job_id), await call.pauses())


async def change_job(call: Call) -> Response:
    """Move or change a job.

    Its time, schedule, options or payload, by a merge patch (RFC 7396).
    """
    key, job_id, version = call.key, call.job_id, call.version
    patch, pauses = await read_body(call.request), await call.pauses()
    job = await call.services.jobs.change_job(key, job_id, patch, version=version)
    return job_response(job, pauses, warnings=[*_warnings(job), *_not_moved(job, patch)])


def _not_moved(job: Job, patch: Mapping[str, Any]) -> list[dict[str, str]]:
    """Say that a patch named a time that had its turn."""
    when = patch.get("when")
    if not isinstance(when, str) or when == NOW or isinstance(job.trigger, Once) or job.state is State.DONE:
        return []
    moment = parse_when(when)
    if moment >= job.updated_at or moment in {job.fire_time, job.trigger.start}:
        return []
    detail = "when has had its turn, so it moves nothing; to run the past again there are backfills"
    return [{"code": "NOT_MOVED", "detail": detail}]


async def delete_job(call: Call) -> Response:
    """Delete a job.

    A run under way is asked to stop.
    """
    version = call.version
    await call.services.jobs.delete_job(call.key, call.job_id, version=version)
    return Response(status_code=204)


# --- looking ahead and back


async def preview_job(call: Call) -> Response:
    """Show what a job will do."""
    key, job_id, query = call.key, call.job_id, call.query()
    ahead = _look_ahead(query, call.services.jobs.now())
    query.check()
    job, forecast = await call.services.jobs.lookahead.preview_job(key, job_id, ahead)
    paused = {"code": "JOB_PAUSED", "detail": "the job is paused; this is what it does once it is resumed"}
    warnings = [*_of_schedule(job), *([paused] if job.paused else []), *_cut(forecast)]
    return json_response(forecast_json(job, forecast, warnings))


async def backfill_job(call: Call) -> Response:
    """Run a past range of a schedule afterwards."""
    key, job_id = call.key, call.job_id
    once = call.once(lambda created, left: json_response({"created": created, "left": left}, 202))
    body = await read_body(call.request)
    return once(*await call.services.jobs.lookahead.backfill_job(key, job_id, body, once.receipt))


def _look_ahead(query: Query, now: datetime) -> LookAhead:
    ahead = LookAhead(query.get(_NEXT) or LookAhead().number)
    begin, end = query.get(_OUTAGE_FROM), query.get(_OUTAGE_TO)
    missing = [bound.name for bound in (_OUTAGE_FROM, _OUTAGE_TO) if bound.name not in query.given]
    if len(missing) == 1:
        query.add(missing[0], "OUTAGE_INVALID", "is missing: an outage has a beginning and an end")
    if begin is None or end is None:
        return ahead
    if end <= begin:
        query.add(_OUTAGE_TO.name, "OUTAGE_INVALID", "must be later than outageFrom")
    query.problems += too_far(f"?{_OUTAGE_TO.name}", end, now)
    return ahead._replace(outage=Outage(begin, end))


def _dry_run(query: Query, now: datetime) -> LookAhead | None:
    """Return how far to look ahead if the job is not to be created. Raises `InvalidRequestError`."""
    wanted, ahead = query.get(_DRY_RUN), _look_ahead(query, now)
    if wanted is False or _DRY_RUN.name not in query.given:
        for parameter in _AHEAD:
            if parameter.name in query.given:
                query.add(parameter.name, "UNKNOWN_PARAMETER", "is only taken with dryRun=true")
    query.check()
    return ahead if wanted else None


# --- rows

_NEXT = number("next", f"How many starts are shown, {LookAhead().number} unless it is given.", most=LIMIT)
_OUTAGE_FROM = moment("outageFrom", "Suppose that nothing starts from here on.")
_OUTAGE_TO = moment("outageTo")
_AHEAD = (_NEXT, _OUTAGE_FROM, _OUTAGE_TO)
_FIRES_FROM = moment("firesFrom", "A schedule goes on with its first fire time from then on.")
_DRY_RUN = flag("dryRun", "Create nothing: answer 200 and what the job would do.")

_IF_MATCH = text("If-Match", "The ETag the job must still have.", pattern=r'^(\*|"[0-9]{1,18}(-[0-9a-f]{8})?")$')
_ONLY_NEW = text("If-None-Match", "With * a job that is there already is refused (412).", pattern=r"^\*$")

_GROUP = {
    "type": "object",
    "properties": {
        "product": {"type": "string"},
        "jobGroup": {"type": "string"},
        "registered": {"type": "boolean", "description": "Whether a plugin of this service runs its jobs."},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "jobs": {"type": "string", "description": "The path of its jobs."},
        "isPaused": {"type": "boolean"},
        "pausedBy": PAUSED_BY,
    },
}
_MANY = {"type": "array", "items": REQUEST, "maxItems": BATCH_JOBS}
_CREATED = {
    "type": "object",
    "properties": {
        "created": {"type": "integer", "description": "How many are new; others were kept, as their options say."},
        "ids": {"type": "array", "items": ID},
    },
}
_PATCH = {"type": "object", "minProperties": 1, "examples": [{"when": WHEN}]}
_BACKFILL = {**named("Backfill"), "examples": [{"from": YESTERDAY, "to": TODAY}]}
_BACKFILLED = {
    "type": "object",
    "properties": {
        "created": {"type": "integer"},
        "left": {"type": "integer", "description": "Fire times of the range beyond the cap."},
    },
}

ROWS = [
    Endpoint(
        "GET", BASE, list_groups, is_long=True, answers={200: {"type": "array", "items": _GROUP}}, may="jobs:read"
    ),
    Endpoint(
        "POST",
        f"{GROUP}/jobs",
        create_job,
        query=(_DRY_RUN, *_AHEAD),
        body={"application/json": REQUEST},
        answers={201: named("Job"), 200: {"oneOf": [named("Forecast"), named("Job")]}},
        keeps=True,
        conflicts=True,
        creates=True,
        may="jobs:write",
    ),
    Endpoint(
        "POST",
        f"{GROUP}/jobs/batch",
        create_jobs,
        body={"application/json": _MANY, "application/x-ndjson": REQUEST},
        answers={201: _CREATED},
        keeps=True,
        conflicts=True,
        creates=True,
        may="jobs:write",
    ),
    Endpoint("GET", JOB, show_job, headers=(IF_NONE_MATCH,), answers={200: named("Job"), 304: None}, may="jobs:read"),
    Endpoint(
        "PUT",
        JOB,
        put_job,
        query=(_FIRES_FROM,),
        headers=(_IF_MATCH, _ONLY_NEW),
        body={"application/json": REQUEST},
        answers={201: named("Job"), 200: named("Job")},
        conflicts=True,
        creates=True,
        may="jobs:write",
    ),
    Endpoint(
        "PATCH",
        JOB,
        change_job,
        headers=(_IF_MATCH,),
        body={"application/json": _PATCH},
        answers={200: named("Job")},
        conflicts=True,
        may="jobs:write",
    ),
    Endpoint("DELETE", JOB, delete_job, headers=(_IF_MATCH,), answers={204: None}, conflicts=True, may="jobs:write"),
    Endpoint("GET", f"{JOB}/preview", preview_job, query=_AHEAD, answers={200: named("Forecast")}, may="jobs:read"),
    Endpoint(
        "POST",
        f"{JOB}/backfill",
        backfill_job,
        body={"application/json": _BACKFILL},
        answers={202: _BACKFILLED},
        keeps=True,
        conflicts=True,
        may="jobs:control",
    ),
]
