"""The calls on runs: what has become of a job so far."""

from __future__ import annotations

import re

from starlette.responses import Response

from mainspring.job import Run
from mainspring.web.answers import json_response, run_details_json, run_json
from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.paths import JOB
from mainspring.web.query import number
from mainspring.web.schema import TEXT, named

LIMIT = 1000
"""The largest page that may be asked for, and how long one is that nobody has limited."""
FORM_LIMIT = 50
"""The page that the form of `/docs` asks for."""


async def list_runs(call: Call) -> Response:
    """Show the history of a job.

    Newest first; `before` takes a run number and pages on.
    """
    query = call.query()
    limit, before = query.get(_LIMIT) or LIMIT, query.get(_BEFORE)
    query.check()
    history = await call.services.jobs.list_runs(call.key, call.job_id, before=before, limit=limit)
    headers = call.next_page(before=history[-1].number) if len(history) == limit else {}
    return json_response([run_json(run) for run in history], headers=headers)


async def show_run(call: Call) -> Response:
    """Show a run that has ended, with what it returned, or the traceback of what it raised."""
    return json_response(run_details_json(await _run(call)))


async def show_log(call: Call) -> Response:
    """Show what a run that has ended logged: the first and the last 32 KiB of it, as plain text."""
    return Response((await _run(call)).log or "", media_type="text/plain; charset=utf-8")


async def _run(call: Call) -> Run:
    text = call.path["run"]
    number_ = int(text) if re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII) else 0
    return await call.services.jobs.get_run(call.key, call.job_id, number_ if number_ < 2**63 else 0)


_LIMIT = number("limit", "How many runs at most.", most=LIMIT, example=FORM_LIMIT)
_BEFORE = number("before", "Runs numbered below.")

ROWS = [
    Endpoint(
        "GET",
        f"{JOB}/runs",
        list_runs,
        query=(_LIMIT, _BEFORE),
        is_long=True,
        answers={200: {"type": "array", "items": named("Run")}},
        may="history:read",
    ),
    Endpoint("GET", f"{JOB}/runs/{{run}}", show_run, answers={200: named("RunDetails")}, may="history:read"),
    Endpoint("GET", f"{JOB}/runs/{{run}}/log", show_log, answers={200: TEXT}, may="history:read"),
]
