"""The calls for whoever operates the service: is the process alive, is it ready for traffic.

Whatever a probe adds as a query is let pass.
"""

from __future__ import annotations

from starlette.responses import Response

from mainspring.errors import StoreUnavailableError
from mainspring.web.answers import json_response
from mainspring.web.endpoint import Call, Endpoint
from mainspring.web.problem import problem


async def livez(_call: Call) -> Response:
    """Answer while the process runs, whatever else is wrong: restarting it would not help a store that is away."""
    return json_response({"status": "ok"})


async def readyz(call: Call) -> Response:
    """Answer 200 while jobs are accepted and run, else 503: the service starts or drains, or its store is away."""
    if obstacle := call.services.obstacle():
        return problem(call.request, 503, "NOT_READY", obstacle)
    try:
        await call.services.jobs.check_store()
    except StoreUnavailableError:
        return problem(call.request, 503, "NOT_READY", "the job store does not answer")
    return json_response({"status": "ok", "durable": call.services.jobs.is_durable})


ROWS = [
    Endpoint("GET", "/livez", livez, query=None),
    Endpoint("GET", "/readyz", readyz, query=None),
]
