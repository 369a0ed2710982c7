"""The calls by which one thing is done to many jobs: planned first, then done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from starlette.datastructures import QueryParams
from starlette.responses import Response

from mainspring.errors import InvalidRequestError, Problem
from mainspring.job import PENDING, JobFilter, State
from mainspring.problems import sentence
from mainspring.service import MOST_IDS, VERBS, Action, action_from_json, action_to_json
from mainspring.web.answers import job_json, json_response
from mainspring.web.body import read_body
from mainspring.web.endpoint import Call, Endpoint, called, is_uuid, job_id_of
from mainspring.web.endpoints.lists import FILTERS, job_filter
from mainspring.web.paths import BASE, GROUP
from mainspring.web.query import Query, flag
from mainspring.web.schema import ID, Schema, named

GOOD_FOR = timedelta(hours=1)
"""How long a plan may be carried out."""
_MEMBERS = ("action", "filter", "ids", "with")
_MOVING = frozenset({"pause", "reschedule"})
"""What takes `with`."""


async def act_on_jobs(call: Call) -> Response:
    """Do one thing to many jobs.

    First with `dryRun`, which answers how many there are and a token; then with the token.
    """
    query = call.query()
    is_plan = query.get(_DRY_RUN) or False
    query.check()
    body = await read_body(call.request)
    if not is_plan:
        return await _begin(call, body)
    action, jobs = await call.services.jobs.actions.plan(*_planned(call, body))
    pauses = await call.pauses()
    return json_response(
        {
            "action": action.verb,
            "count": action.total,
            "estimated": action.is_estimated,
            "examples": [job_json(job, pauses) for job in jobs],
            "token": await call.services.cursors.seal(_scope_of(call), json.dumps(action_to_json(action))),
        }
    )


async def _begin(call: Call, body: Mapping[str, Any]) -> Response:
    token = body.get("token")
    if body.keys() != {"token"} or not isinstance(token, str):
        detail = "must be the token of a plan, and nothing else; POST with dryRun=true makes one"
        raise InvalidRequestError(f"token {detail}", problems=[Problem("/token", "TOKEN_INVALID", detail)])
    try:
        planned = action_from_json(json.loads(await call.services.cursors.unseal(_scope_of(call), token)))
    except ValueError:
        detail = "is not the token of a plan for these jobs"
        raise InvalidRequestError(f"token {detail}", problems=[Problem("/token", "TOKEN_INVALID", detail)]) from None
    if call.services.jobs.now() - planned.written_at > GOOD_FOR:
        detail = "is of a plan that is more than an hour old; make another"
        raise InvalidRequestError(f"token {detail}", problems=[Problem("/token", "TOKEN_EXPIRED", detail)])
    action = await call.services.jobs.actions.begin(planned)
    headers = {"Location": f"{BASE}/actions/{action.id}"}
    return json_response(action_json(action), 200 if action.is_over else 202, headers)


async def show_action(call: Call) -> Response:
    """Show how far an action is."""
    return json_response(action_json(await call.services.jobs.actions.find(job_id_of(call.path["action"]))))


def _scope_of(call: Call) -> str:
    """Name what a token is good for."""
    return f"action {call.request.scope['path']}"


def _planned(call: Call, body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a plan says. Raises `InvalidRequestError` with every problem."""
    problems = [
        Problem(f"/{name[:64]}", "UNKNOWN_FIELD", f"is no field of this call; it takes {', '.join(_MEMBERS)}")
        for name in body.keys() - {*_MEMBERS}
    ]
    verb, told = body.get("action"), body.get("with") or {}
    if verb not in VERBS:
        problems.append(Problem("/action", "ACTION_INVALID", f"must be one of {', '.join(VERBS)}"))
    if not isinstance(told, dict) or (told and verb not in _MOVING):
        problems.append(
            Problem("/with", "ACTION_INVALID", "must be an object, and is only taken to pause or reschedule")
        )
    elif verb == "reschedule" and not told:
        problems.append(
            Problem("/with", "ACTION_INVALID", "must say what the jobs are to get, as a patch of a job does")
        )
    if ("filter" in body) == ("ids" in body):
        problems.append(Problem("", "ACTION_INVALID", "takes either filter or ids; an empty filter means all"))
    which, ids = JobFilter(), None
    if "filter" in body:
        which = _read_filter(call, body["filter"], verb, problems)
    elif isinstance(body.get("ids"), list):
        ids = tuple(_read_ids(body["ids"], problems))
    elif "ids" in body:
        problems.append(Problem("/ids", "ACTION_INVALID", "must be an array of ids"))
    if problems:
        raise InvalidRequestError(sentence(problems), problems=problems)
    return verb, call.scope, which, ids, told


def _read_ids(ids: list[Any], problems: list[Problem]) -> Iterator[UUID]:
    if len(ids) > MOST_IDS:
        problems.append(Problem("/ids", "TOO_LONG", f"has {len(ids)} ids; {MOST_IDS} are the most"))
        return
    for number, id_ in enumerate(ids):
        if isinstance(id_, str) and is_uuid(id_):
            yield UUID(id_)
        else:
            problems.append(Problem(f"/ids/{number}", "JOB_ID_INVALID", "is no id of a job"))


def _read_filter(call: Call, said: Any, verb: Any, problems: list[Problem]) -> JobFilter:
    """Read the filter of a plan: the parameters of a list, as members of an object."""
    if not isinstance(said, dict):
        problems.append(Problem("/filter", "OBJECT_TYPE", "must be an object"))
        return JobFilter()
    query = Query(FILTERS, QueryParams([*_given(said)]))
    which = job_filter(query, call, call.scope)
    problems += [
        Problem(f"/filter/{each.pointer[1:].replace('.', '/', 1)}", each.code, each.detail) for each in query.problems
    ]
    if "state" in said or which.outcomes or which.gave_up:
        return which
    states = frozenset({State.DONE}) if verb == "retry" else PENDING
    return JobFilter(**{**_members(which), "states": states, "gave_up": verb == "retry"})


def _members(which: JobFilter) -> dict[str, Any]:
    return {name: getattr(which, name) for name in JobFilter.__slots__}


def _given(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in said.items():
        if name == "request" and isinstance(value, dict):
            yield from ((f"request.{field}", _text(each)) for field, each in value.items())
        else:
            yield from ((name, _text(each)) for each in (value if isinstance(value, list) else [value]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def action_json(action: Action) -> dict[str, Any]:
    """Write an action as it stands on the wire."""
    return {
        "id": str(action.id),
        "action": action.verb,
        "state": "done" if action.is_over else "running",
        "total": action.total,
        "estimated": action.is_estimated,
        "done": action.done,
        "failed": action.failed,
        "errors": list(action.errors),
    }


_DRY_RUN = flag("dryRun", "Do nothing: answer 200 with how many jobs there are, and a token.")
_PLAN: Schema = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": [*VERBS]},
        "filter": {"type": "object", "description": "The parameters of a list of jobs; an empty one means all."},
        "ids": {"type": "array", "items": ID, "maxItems": MOST_IDS},
        "with": {"type": ["object", "null"], "description": "What a pause takes, or the patch of a reschedule."},
        "token": {"type": "string", "description": "Of a plan: do it."},
    },
    "examples": [{"action": "pause", "filter": {"tag": "nightly"}, "with": {"reason": "the storage is being moved"}}],
}
_PLANNED: Schema = {
    "type": "object",
    "properties": {
        "action": {"type": "string"},
        "count": {"type": "integer"},
        "estimated": {"type": "boolean", "description": "Whether there are so many that they were not counted."},
        "examples": {"type": "array", "items": named("Job")},
        "token": {"type": "string", "description": "To be sent to have it done."},
    },
}
ACTION: Schema = {
    "type": "object",
    "properties": {
        "id": ID,
        "action": {"type": "string"},
        "state": {"type": "string", "enum": ["running", "done"]},
        "total": {"type": "integer"},
        "estimated": {"type": "boolean"},
        "done": {"type": "integer"},
        "failed": {"type": "integer"},
        "errors": {
            "type": "array",
            "description": "The first errors.",
            "items": {
                "type": "object",
                "properties": {"id": ID, "code": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}

ROWS = [
    *(
        Endpoint(
            "POST",
            f"{path}/jobs/actions",
            called(act_on_jobs, level),
            query=(_DRY_RUN,),
            body={"application/json": _PLAN},
            answers={200: {"oneOf": [_PLANNED, ACTION]}, 202: ACTION},
            is_long=True,
            may="jobs:control",
        )
        for level, path in (("everything", BASE), ("product", f"{BASE}/{{product}}"), ("group", GROUP))
    ),
    Endpoint("GET", f"{BASE}/actions/{{action}}", show_action, answers={200: ACTION}, may="jobs:read"),
]
