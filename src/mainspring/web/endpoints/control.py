"""The calls by which people stop and go: of one job, of a group, of a product, and of everything."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import CODES, Fact
from mainspring.schedule import format_time
from mainspring.service import Standing
from mainspring.web.answers import PAUSED_BY, held_warnings, job_response, json_response, pause_json, standing_json
from mainspring.web.body import read_options
from mainspring.web.endpoint import Call, Endpoint, called
from mainspring.web.example import WHEN
from mainspring.web.paths import BASE, GROUP, JOB
from mainspring.web.schema import TIME, Schema, named

MOST_LINKS = 10
"""How many runs a fact leads to that holds a job back."""

# --- one job


async def pause_job(call: Call) -> Response:
    """Hold a job back.

    With `until` it goes on by itself.
    """
    key, job_id, body, pauses = call.key, call.job_id, await read_options(call.request), await call.pauses()
    return job_response(await call.services.jobs.control.pause_job(key, job_id, body), pauses)


async def resume_job(call: Call) -> Response:
    """Let a paused job go on."""
    pauses = await call.pauses()  # before the write: an answer that fails says that nothing is known of it
    return job_response(await call.services.jobs.control.resume_job(call.key, call.job_id), pauses)


async def fire_job(call: Call) -> Response:
    """Run a job at once.

    Also a paused one. One with a schedule gets a run beside that.
    """
    pauses = await call.pauses()
    once = call.once(lambda job: job_response(job, pauses, warnings=held_warnings(job, pauses)))
    return once(await call.services.jobs.control.fire_job(call.key, call.job_id, once.receipt))


async def cancel_job(call: Call) -> Response:
    """Cancel a run.

    The run under way is asked to stop. A job without a schedule that has not begun is done.
    """
    pauses = await call.pauses()
    return job_response(await call.services.jobs.control.cancel_job(call.key, call.job_id), pauses)


async def retry_job(call: Call) -> Response:
    """Try a fire time again that the job gave up on.

    That of a run, or the last. A dead job comes back for it.
    """
    key, job_id = call.key, call.job_id
    run, pauses = _read_run(await read_options(call.request)), await call.pauses()
    once = call.once(lambda job: job_response(job, pauses))
    return once(await call.services.jobs.control.retry_job(key, job_id, run, once.receipt))


def _read_run(body: Mapping[str, Any]) -> int | None:
    """Return which run is meant. Raises `InvalidRequestError`."""
    problems = [
        Problem(f"/{name}", "UNKNOWN_FIELD", "is no field of this call; it takes run") for name in body.keys() - {"run"}
    ]
    run = body.get("run")
    if run is not None and (type(run) is not int or not 0 < run < 2**63):
        problems.append(Problem("/run", "NUMBER_RANGE", "must be the number of a run, from its history"))
    if problems:
        raise InvalidRequestError("; ".join(f"{each.pointer} {each.detail}" for each in problems), problems=problems)
    return run


async def explain_job(call: Call) -> Response:
    """Tell why a job has not run.

    Every fact that holds it back, in order; none if it begins within moments. Of a job that is done: why it ended so.
    """
    facts = await call.services.jobs.explaining.why(call.key, call.job_id, call.services.obstacle())
    return json_response([_fact_json(fact) for fact in facts])


def _fact_json(fact: Fact) -> dict[str, Any]:
    what = "pause" if fact.code == "PAUSED" else "limits"
    scopes = [] if fact.scope is None else ["/".join([BASE, *filter(None, fact.scope), what])]
    runs = [f"{BASE}/{run.key.product}/{run.key.job_group}/jobs/{run.job_id}" for run in fact.runs[:MOST_LINKS]]
    jobs = [f"{BASE}/{job.key.product}/{job.key.job_group}/jobs/{job.id}" for job in fact.jobs]
    return {
        "code": fact.code,
        "text": fact.text,
        "since": fact.since and format_time(fact.since),
        "clears": fact.clears and format_time(fact.clears),
        "by": fact.by,
        "links": [*scopes, *runs, *jobs],
    }


# --- groups, products and everything


async def show_pause(call: Call) -> Response:
    """Show what stops a group, a product or everything, and what did."""
    return json_response(_standing(await call.services.jobs.control.standing(call.scope)))


async def pause(call: Call) -> Response:
    """Stop a group, a product or everything.

    Nothing of it begins on any node. With `until` it goes on by itself.
    """
    scope, body = call.scope, await read_options(call.request)
    return json_response(_standing(await call.services.jobs.control.pause(scope, body)))


async def resume(call: Call) -> Response:
    """Let a group, a product or everything go on.

    What passed meanwhile goes by the misfire policies of its jobs.
    """
    return json_response(_standing(await call.services.jobs.control.resume(call.scope)))


def _standing(standing: Standing) -> dict[str, Any]:
    product, job_group = standing.scope
    return {
        "product": product or None,
        "jobGroup": job_group or None,
        **standing_json(standing.pauses),
        "history": [pause_json(pause) for pause in standing.past],
    }


# --- rows

_PAUSE = {
    "type": "object",
    "properties": {
        "reason": {"type": ["string", "null"], "minLength": 1, "maxLength": 500},
        "until": {**TIME, "type": ["string", "null"], "description": "When it goes on by itself."},
    },
    "additionalProperties": False,
    "examples": [{"reason": "the storage is being moved", "until": WHEN}],
}
_RETRY = {
    "type": "object",
    "properties": {
        "run": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 2**63 - 1,
            "description": "The run that gave up; by default the last one.",
        }
    },
    "additionalProperties": False,
    "examples": [{}],
}
_STANDING: Schema = {
    "type": "object",
    "properties": {
        "product": {"type": ["string", "null"]},
        "jobGroup": {"type": ["string", "null"]},
        "isPaused": {"type": "boolean"},
        "pausedBy": PAUSED_BY,
        "history": {**PAUSED_BY, "description": "Pauses of it that are over, the latest first."},
    },
}
_FACTS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "enum": [*CODES]},
            "text": {"type": "string"},
            "since": {**TIME, "type": ["string", "null"]},
            "clears": {
                **TIME,
                "type": ["string", "null"],
                "description": "When it clears by itself, if that is known.",
            },
            "by": {"type": ["string", "null"], "description": "Who brought it about."},
            "links": {"type": "array", "items": {"type": "string"}, "description": "What is in the way."},
        },
    },
}
_Job = partial(Endpoint, "POST", answers={200: named("Job")}, conflicts=True, may="jobs:control")
_Scope = partial(Endpoint, answers={200: _STANDING})

ROWS = [
    Endpoint("GET", f"{JOB}/why", explain_job, answers={200: _FACTS}, may="jobs:read"),
    _Job(f"{JOB}/pause", pause_job, body={"application/json": _PAUSE}, body_is_optional=True),
    _Job(f"{JOB}/resume", resume_job),
    _Job(f"{JOB}/fire", fire_job, keeps=True),
    _Job(f"{JOB}/cancel", cancel_job),
    _Job(f"{JOB}/retry", retry_job, keeps=True, body={"application/json": _RETRY}, body_is_optional=True),
    *(
        row
        for path, level in ((BASE, "everything"), (f"{BASE}/{{product}}", "product"), (GROUP, "group"))
        for row in (
            _Scope("GET", f"{path}/pause", called(show_pause, level), may="jobs:read"),
            _Scope(
                "POST",
                f"{path}/pause",
                called(pause, level),
                body={"application/json": _PAUSE},
                body_is_optional=True,
                may="jobs:control",
            ),
            _Scope("POST", f"{path}/resume", called(resume, level), may="jobs:control"),
        )
    ),
]
