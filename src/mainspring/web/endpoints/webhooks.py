"""The calls on webhooks: who hears of which events, what was sent to them, and sending it once more."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from mainspring.declared import LONGEST_URL, MOST_NAMED, SECRET_NAME, SEGMENT, webhook_to_json
from mainspring.errors import NotFoundError, Problem
from mainspring.job import EventKind, Job, JobFilter, Outcome, Position, State
from mainspring.schedule import format_time
from mainspring.service import Subscription
from mainspring.web.answers import json_response
from mainspring.web.body import read_body
from mainspring.web.endpoint import IF_NONE_MATCH, Call, Endpoint, is_uuid, job_id_of, must_be_new
from mainspring.web.endpoints.actions import ACTION, action_json
from mainspring.web.endpoints.events import EVENT
from mainspring.web.endpoints.lists import CURSOR, LIMIT, STATE, jobs_in, read_cursor
from mainspring.web.paths import BASE, job_path
from mainspring.web.query import number, text
from mainspring.web.schema import ID, TIME, Schema

PATH = f"{BASE}/webhooks"
_PAGE = 100


async def list_webhooks(call: Call) -> Response:
    """List the webhooks, by name."""
    return json_response([_json(each) for each in (await call.services.jobs.webhooks.list_webhooks()).values()])


async def show_webhook(call: Call) -> Response:
    """Show a webhook."""
    return _response(await call.services.jobs.webhooks.get_webhook(call.path["name"]))


async def put_webhook(call: Call) -> Response:
    """Write a webhook.

    A new one hears of what happens from the answer on. One that is paused hears of what happened meanwhile when it goes
    on.
    """
    name, tag, is_new = call.path["name"], call.tag("this webhook"), must_be_new(call, "the webhook")
    body = await read_body(call.request)
    written, is_created = await call.services.jobs.webhooks.put_webhook(name, body, tag=tag, is_new=is_new)
    return _response(written, is_created=is_created)


async def delete_webhook(call: Call) -> Response:
    """Delete a webhook.

    What waits to be delivered to it is cancelled.
    """
    await call.services.jobs.webhooks.delete_webhook(call.path["name"], tag=call.tag("this webhook"))
    return Response(status_code=204)


async def list_deliveries(call: Call) -> Response:
    """List the deliveries to a webhook.

    Those that wait come first, by their next try, and then those that are done, from the one that ended last.
    """
    query, name = call.query(), call.path["name"]
    names, limit = query.get(STATE), query.get(_LIMIT) or _PAGE
    place = call.request.scope["path"]
    after = await read_cursor(call, place, query)
    query.check()
    states = frozenset(State) if names is None else jobs_in(names)
    which = JobFilter(states, gave_up="dead" in (names or ()))
    page = await call.services.jobs.webhooks.deliveries(name, which, after=after, limit=limit)
    headers = {}
    if len(page) == limit:
        headers = call.next_page(cursor=await call.services.cursors.write(place, Position.of(page[-1])))
    return json_response([_delivery_json(job) for job in page], headers=headers)


async def replay_delivery(call: Call) -> Response:
    """Send a delivery once more, at once.

    One that gave up, or one that waits for its next try.
    """
    name, delivery = call.path["name"], call.path["delivery"]
    if not is_uuid(delivery):
        detail = f"there is no delivery {delivery[:64]!r} to the webhook {name[:64]}"
        raise NotFoundError(detail, problems=[Problem("", "DELIVERY_NOT_FOUND", detail)])
    return json_response(_delivery_json(await call.services.jobs.webhooks.replay(name, job_id_of(delivery))))


async def replay_deliveries(call: Call) -> Response:
    """Send all deliveries to a webhook once more that gave up.

    It is an action on their jobs, which may go on after the answer.
    """
    action = await call.services.jobs.webhooks.replay_all(call.path["name"])
    headers = {"Location": f"{BASE}/actions/{action.id}"}
    return json_response(action_json(action), 200 if action.is_over else 202, headers)


def _response(subscription: Subscription, *, is_created: bool = False) -> Response:
    headers = {"ETag": f'"{subscription.tag}"'}
    if is_created:
        headers["Location"] = f"{PATH}/{subscription.webhook.name}"
    return json_response(_json(subscription), 201 if is_created else 200, headers)


def _json(subscription: Subscription) -> dict[str, Any]:
    return webhook_to_json(subscription.webhook)


def _delivery_json(job: Job) -> dict[str, Any]:
    last, is_done = job.last_run, job.state is State.DONE
    return {
        "id": str(job.id),
        "webhook": job.request.get("webhook"),
        "event": job.request.get("event"),
        "state": "dead" if job.is_dead else job.state.value,
        "failures": job.failures,
        "outcome": job.outcome and job.outcome.value,
        "reason": last and last.reason,
        "nextTry": job.next_run and format_time(job.next_run),
        "createdAt": format_time(job.created_at),
        "endedAt": format_time(last.finished_at) if last and is_done else None,
        "job": job_path(job),
    }


# --- rows

_LIMIT = number("limit", "How many a page has at most.", most=LIMIT)
_IF_MATCH = text("If-Match", "The ETag that the webhook must still have.", pattern=r'^(\*|"[0-9a-f]{1,64}")$')
_ONLY_NEW = text("If-None-Match", "With * a webhook that is there already is refused (412).", pattern=r"^\*$")
_SEGMENT: Schema = {"type": ["string", "null"], "pattern": SEGMENT}
_KEY: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}
_TAG: Schema = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\x00-\x1f\x7f,]+$"}


def _some(schema: Schema) -> Schema:
    return {"type": ["array", "null"], "minItems": 1, "maxItems": MOST_NAMED, "items": schema}


_FILTER: Schema = {
    "type": "object",
    "description": "Which events: those that pass all that it says, as parameters of a list of events do.",
    "properties": {
        "product": _SEGMENT,
        "jobGroup": {**_SEGMENT, "description": "Of the product, which it needs."},
        "type": _some({"type": "string", "enum": [*EventKind]}),
        "state": _some({"type": "string", "enum": [*State]}),
        "outcome": _some({"type": "string", "enum": [*Outcome]}),
        "tag": {**_some(_TAG), "description": "All of these."},
        "key": _KEY,
        "concurrencyKey": _KEY,
        "node": {"type": ["string", "null"], "minLength": 1, "maxLength": 100},
        "request": {
            "type": ["object", "null"],
            "minProperties": 1,
            "maxProperties": MOST_NAMED,
            "additionalProperties": {"type": "string"},
            "description": "Fields of requests by which jobs can be found, and their values.",
        },
    },
    "additionalProperties": False,
}
_WEBHOOK: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "As in the path; it may be left out where it is sent."},
        "url": {"type": "string", "maxLength": LONGEST_URL, "description": "Where events are sent, by http or https."},
        "filter": _FILTER,
        "secret": {
            "type": ["string", "null"],
            "pattern": f"^{SECRET_NAME}$",
            "description": "The name of the secret in [secrets] that calls are signed with.",
        },
        "timeLimit": {"type": "string", "format": "duration", "description": "Of a call, from PT0.1S to PT1M."},
        "isPaused": {"type": "boolean", "description": "While it is paused its events wait."},
        "reason": {"type": ["string", "null"], "minLength": 1, "maxLength": 500, "description": "Why it is paused."},
    },
    "required": ["url"],
    "additionalProperties": False,
    "examples": [{"url": "https://receiver.example/hook", "filter": {"type": ["run.ended"], "outcome": ["failed"]}}],
}
_DELIVERY: Schema = {
    "type": "object",
    "properties": {
        "id": {**ID, "description": "Also in the header webhook-id of its calls."},
        "webhook": {"type": "string"},
        "event": EVENT,
        "state": {"type": "string", "enum": ["scheduled", "running", "paused", "done", "dead"]},
        "failures": {"type": "integer", "description": "How many calls have failed."},
        "outcome": {"type": ["string", "null"], "description": "How its last call ended."},
        "reason": {"type": ["string", "null"], "description": "Why it ended so."},
        "nextTry": {**TIME, "type": ["string", "null"]},
        "createdAt": TIME,
        "endedAt": {**TIME, "type": ["string", "null"]},
        "job": {"type": "string", "description": "The path of its job."},
    },
}
_Row = partial(Endpoint, tag="Webhooks")
_NAMED, _DELIVERIES = f"{PATH}/{{name}}", f"{PATH}/{{name}}/deliveries"

ROWS = [
    _Row("GET", PATH, list_webhooks, answers={200: {"type": "array", "items": _WEBHOOK}}, may="webhooks:read"),
    _Row(
        "GET",
        _NAMED,
        show_webhook,
        headers=(IF_NONE_MATCH,),
        answers={200: _WEBHOOK, 304: None},
        may="webhooks:read",
    ),
    _Row(
        "PUT",
        _NAMED,
        put_webhook,
        headers=(_IF_MATCH, _ONLY_NEW),
        body={"application/json": _WEBHOOK},
        answers={200: _WEBHOOK, 201: _WEBHOOK},
        conflicts=True,
        may="webhooks:write",
    ),
    _Row(
        "DELETE",
        _NAMED,
        delete_webhook,
        headers=(_IF_MATCH,),
        answers={204: None},
        conflicts=True,
        may="webhooks:write",
    ),
    _Row(
        "GET",
        _DELIVERIES,
        list_deliveries,
        query=(STATE, _LIMIT, CURSOR),
        is_long=True,
        answers={200: {"type": "array", "items": _DELIVERY}},
        may="webhooks:read",
    ),
    _Row(
        "POST",
        f"{_DELIVERIES}/{{delivery}}/replay",
        replay_delivery,
        answers={200: _DELIVERY},
        conflicts=True,
        may="webhooks:write",
    ),
    _Row("POST", f"{_NAMED}/replay", replay_deliveries, answers={200: ACTION, 202: ACTION}, may="webhooks:write"),
]
