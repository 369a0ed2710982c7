"""The calls on limits: how many jobs of a group or a product run at once, begin in a while, and may be created."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from mainspring.job import (
    MOST_BYTES,
    MOST_LIMIT,
    MOST_LIMITS,
    MOST_PENDING,
    MOST_WEIGHT,
    Pressure,
    limits_to_json,
)
from mainspring.schedule import format_time
from mainspring.service import LEARNED, Limited
from mainspring.web.answers import json_response
from mainspring.web.body import read_body
from mainspring.web.endpoint import IF_NONE_MATCH, Call, Endpoint, called
from mainspring.web.paths import BASE, GROUP
from mainspring.web.query import text
from mainspring.web.schema import TIME, Schema

SOURCE = "Mainspring-Source"
"""The header that says where limits come from: the API, or what settings and the job class declare."""


async def show_limits(call: Call) -> Response:
    """Show the limits of a group or a product."""
    return _response(await call.services.jobs.limiting.get(call.scope))


async def put_limits(call: Call) -> Response:
    """Write the limits of a group or a product.

    They take the place of those that settings or the plugin declare. Nodes go by them at once.
    """
    scope, tag, body = call.scope, call.tag("these limits"), await read_body(call.request)
    return _response(await call.services.jobs.limiting.put(scope, body, tag=tag))


async def reset_limits(call: Call) -> Response:
    """Forget the limits that were written.

    Those hold again that settings or the plugin declare.
    """
    return _response(await call.services.jobs.limiting.reset(call.scope, tag=call.tag("these limits")))


def _response(limited: Limited) -> Response:
    headers = {"ETag": f'"{limited.tag}"', SOURCE: "api" if limited.is_written else "declared"}
    learned = {LEARNED: {key: _learned_json(each) for key, each in limited.learned.items()}} if limited.learned else {}
    return json_response(limits_to_json(limited.limits) | learned, headers=headers)


def _learned_json(pressure: Pressure) -> dict[str, Any]:
    return {
        "limit": pressure.limit,
        "isProbing": pressure.probes,
        "busyAt": format_time(pressure.busy_at),
        "until": format_time(pressure.until),
    }


_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT}
_BY: Schema = {"type": ["string", "null"], "enum": ["key", None], "description": "With key: of each concurrency key."}
_QUOTA: Schema = {
    "type": ["object", "null"],
    "description": "How much may be there, or be created. Beyond it a POST is answered with 429.",
    "properties": {
        name: {"type": ["integer", "null"], "minimum": 1, "maximum": most, "description": description}
        for name, most, description in (
            ("pending", MOST_PENDING, "How many jobs there may be that are not done."),
            ("createsPerMinute", MOST_LIMIT, "How many jobs may be created in a minute."),
            ("bytes", MOST_BYTES, "How many bytes the stored requests of the jobs that are not done may have."),
        )
    },
    "additionalProperties": False,
}
_LIMITS: Schema = {
    "type": "object",
    "properties": {
        "concurrency": {
            "type": "array",
            "maxItems": MOST_LIMITS,
            "description": "How many jobs run at once.",
            "items": {
                "type": "object",
                "properties": {"limit": _NUMBER, "by": _BY},
                "required": ["limit"],
                "additionalProperties": False,
            },
        },
        "rates": {
            "type": "array",
            "maxItems": MOST_LIMITS,
            "description": "How many jobs begin within a while, evenly spread over it.",
            "items": {
                "type": "object",
                "properties": {
                    "limit": _NUMBER,
                    "per": {"type": "string", "description": "An ISO 8601 duration from PT1S to P31D."},
                    "by": _BY,
                },
                "required": ["limit", "per"],
                "additionalProperties": False,
            },
        },
        "weight": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MOST_WEIGHT,
            "description": "Its part of the slots where they are scarce, among groups of its product, or products.",
        },
        "quota": _QUOTA,
        LEARNED: {
            "type": "object",
            "readOnly": True,
            "description": "What services bear that said they were busy, by concurrency key; ignored where it is sent.",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "limit": {"type": "integer", "description": "How many jobs may run at once."},
                    "isProbing": {"type": "boolean", "description": "Whether one goes ahead of the others."},
                    "busyAt": {**TIME, "description": "When it was busy last."},
                    "until": {**TIME, "description": "Nothing begins before."},
                },
            },
        },
    },
    "additionalProperties": False,
    "examples": [{"concurrency": [{"limit": 50}, {"limit": 5, "by": "key"}], "rates": [{"limit": 100, "per": "PT1M"}]}],
}
_IF_MATCH = text("If-Match", "The ETag that the limits must still have.", pattern=r'^(\*|"[0-9a-f]{1,64}")$')
_Row = partial(Endpoint, answers={200: _LIMITS})
_Write = partial(_Row, headers=(_IF_MATCH,), conflicts=True, may="limits:write")

ROWS = [
    row
    for path, level in ((f"{BASE}/{{product}}", "product"), (GROUP, "group"))
    for row in (
        Endpoint(
            "GET",
            f"{path}/limits",
            called(show_limits, level),
            headers=(IF_NONE_MATCH,),
            answers={200: _LIMITS, 304: None},
            may="jobs:read",
        ),
        _Write("PUT", f"{path}/limits", called(put_limits, level), body={"application/json": _LIMITS}),
        _Write("DELETE", f"{path}/limits", called(reset_limits, level)),
    )
]
