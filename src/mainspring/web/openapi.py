"""The OpenAPI document.

Each registered job group with its own paths and its own request schema, so that ``/docs`` is a form for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from mainspring.job import Outcome, State
from mainspring.plugins import Binding
from mainspring.schedule import CALENDAR_SCHEMA, WANTED_SCHEMA, Fate, Schedule
from mainspring.web.wire import BASE, BATCH_JOBS, group_path

Schema = dict[str, Any]

_REF = "#/components/schemas/"
_OURS = f"{_REF}mainspring."
"""Names with a dot are ours alone: a plugin's model is named after its class."""
_TIME = {"type": "string", "format": "date-time"}
_ID = {"type": "string", "format": "uuid"}
_RUN: Schema = {
    "type": "object",
    "properties": {
        "run": {"type": "integer", "description": "The fence: rises with every run, never reused."},
        "jobId": _ID,
        "scheduledFireTime": _TIME,
        "dueAt": _TIME,
        "startedAt": _TIME,
        "finishedAt": _TIME,
        "latenessSeconds": {"type": "number"},
        "attempt": {"type": "integer"},
        "outcome": {"type": "string", "enum": [outcome.value for outcome in Outcome]},
        "reason": {"type": ["string", "null"]},
        "node": {"type": "string"},
        "occurrences": {"type": "integer", "description": "How many fire times the row stands for."},
        "lastScheduledFireTime": {**_TIME, "description": "The last of the fire times that the row stands for."},
        "backfill": {"type": "boolean", "description": "A run of a past range that was asked for afterwards."},
    },
}
_WARNINGS: Schema = {
    "type": "array",
    "description": "What is legal but perhaps not meant.",
    "items": {"type": "object", "properties": {"code": {"type": "string"}, "detail": {"type": "string"}}},
}
_JOB: Schema = {
    "type": "object",
    "properties": {
        "id": _ID,
        "product": {"type": "string"},
        "jobGroup": {"type": "string"},
        "state": {"type": "string", "enum": [state.value for state in State]},
        "isPaused": {"type": "boolean"},
        "nextRun": {"type": ["string", "null"], "format": "date-time"},
        "jobRequest": {"type": "object", "description": "The request as it was sent."},
        "schedule": {"oneOf": [{"$ref": f"{_OURS}Schedule"}, {"type": "null"}]},
        "options": {"type": "object"},
        "attempt": {"type": "integer", "description": "Tries begun for this fire time."},
        "outcome": {"type": ["string", "null"], "enum": [*(outcome.value for outcome in Outcome), None]},
        "lastRun": {"oneOf": [{"$ref": f"{_OURS}Run"}, {"type": "null"}]},
        "version": {"type": "integer", "description": "Rises with every write; the ETag."},
        "createdAt": _TIME,
        "updatedAt": _TIME,
        "warnings": {**_WARNINGS, "description": "Where the job was written: what is legal but perhaps not meant."},
    },
}
_BATCH: Schema = {
    "type": "object",
    "properties": {"created": {"type": "integer"}, "ids": {"type": "array", "items": _ID}},
}
_FORECAST: Schema = {
    "type": "object",
    "properties": {
        "valid": {"type": "boolean", "description": "True; a request that is not valid is answered with an error."},
        "schedule": {"type": "string", "description": "The schedule in English."},
        "fireTimes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "utc": _TIME,
                    "local": {**_TIME, "description": "The same by the clocks of the schedule's time zone."},
                    "at": {**_TIME, "description": "When it starts: window, jitter, calendar and outage considered."},
                    "note": {"type": ["string", "null"]},
                },
            },
        },
        "passed": {
            "type": "array",
            "description": "Occurrences that do not start.",
            "items": {
                "type": "object",
                "properties": {
                    "first": _TIME,
                    "last": _TIME,
                    "occurrences": {"type": "integer"},
                    "fate": {"type": "string", "enum": [fate.value for fate in Fate]},
                    "reason": {"type": "string"},
                },
            },
        },
        "warnings": _WARNINGS,
    },
}
_BACKFILLED: Schema = {
    "type": "object",
    "properties": {
        "created": {"type": "integer"},
        "left": {"type": "integer", "description": "Fire times of the range beyond the cap."},
    },
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457, with the stable code as id.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The id of this request."},
        "id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "retryable": {"type": "boolean"},
    },
}
_ERRORS = {
    "default": {
        "description": "An error.",
        "content": {"application/problem+json": {"schema": {"$ref": f"{_OURS}Problem"}}},
    }
}
_JOB_ID = {"name": "jobId", "in": "path", "required": True, "schema": _ID}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "The ETag the job must still have.",
}
_STATES = ["scheduled", "running", "paused", "done", "dead"]
_LIST_PARAMETERS = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    {
        "name": "cursor",
        "in": "query",
        "schema": {"type": "string"},
        "description": "From the Link header of the page before.",
    },
    {"name": "state", "in": "query", "schema": {"type": "array", "items": {"type": "string", "enum": _STATES}}},
    {"name": "from", "in": "query", "schema": _TIME},
    {"name": "to", "in": "query", "schema": _TIME},
]
_RUNS_PARAMETERS = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    {
        "name": "before",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1},
        "description": "Runs numbered below.",
    },
]
_AHEAD_PARAMETERS = [
    {
        "name": "next",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
        "description": "How many starts are shown.",
    },
    {"name": "outageFrom", "in": "query", "schema": _TIME, "description": "Suppose that nothing starts from here on."},
    {"name": "outageTo", "in": "query", "schema": _TIME},
]
_DRY_RUN = {
    "name": "dryRun",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "Create nothing: answer 200 and what the job would do.",
}
_CALENDAR_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def document(bindings: Iterable[Binding], version: str) -> Schema:
    """Return the OpenAPI 3.1 document for these job groups."""
    bindings = list(bindings)
    models = {binding.key: binding.request_model for binding in bindings}
    wanted = [(model, "validation") for model in dict.fromkeys([*models.values(), Schedule])]
    references, definitions = models_json_schema(wanted, by_alias=True, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    ours = {
        "Job": _JOB,
        "Run": _RUN,
        "Forecast": _FORECAST,
        "Problem": _PROBLEM,
        "Schedule": references[(Schedule, "validation")],
        "Backfill": WANTED_SCHEMA,
        "Calendar": {name: part for name, part in CALENDAR_SCHEMA.items() if name != "$defs"},
        **CALENDAR_SCHEMA["$defs"],
    }
    schemas = definitions.get("$defs", {}) | {f"mainspring.{name}": schema for name, schema in ours.items()}
    paths: dict[str, Schema] = {
        BASE: {"get": _operation("Products and job groups", "Mainspring", {"200": _answer({"type": "array"})})},
        **_CALENDAR_PATHS,
    }
    for binding in bindings:
        paths |= _group_paths(binding, references[(binding.request_model, "validation")])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mainspring",
            "version": version,
            "description": "Schedules jobs and runs them at their time.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _group_paths(binding: Binding, model: Schema) -> dict[str, Schema]:
    tag, group = str(binding.key), group_path(binding.key)
    job, job_list = _answer({"$ref": f"{_OURS}Job"}), _answer({"type": "array", "items": {"$ref": f"{_OURS}Job"}})
    history = _answer({"type": "array", "items": {"$ref": f"{_OURS}Run"}})
    forecast = _answer({"$ref": f"{_OURS}Forecast"})
    done = {"204": {"description": "Done."}}
    patch = {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "examples": [{"when": "2026-12-01T10:00:00Z"}]}}},
    }

    def operation(summary: str, answers: Mapping[str, Schema], **more: Any) -> Schema:
        return _operation(summary, tag, answers, **more)

    one = f"{group}/jobs/{{jobId}}"
    return {
        f"{group}/jobs": {
            "get": operation(
                "List the jobs that are not done, by next run", {"200": job_list}, parameters=_LIST_PARAMETERS
            ),
            "post": operation(
                "Schedule a job",
                {"201": job, "200": forecast},
                requestBody=_body(model),
                parameters=[_DRY_RUN, *_AHEAD_PARAMETERS],
            ),
        },
        f"{group}/jobs/batch": {
            "post": operation("Schedule many jobs, all or none", {"201": _answer(_BATCH)}, requestBody=_many(model)),
        },
        one: {
            "parameters": [_JOB_ID],
            "get": operation("Show a job", {"200": job}),
            "patch": operation("Move or change a job", {"200": job}, requestBody=patch, parameters=[_IF_MATCH]),
            "delete": operation("Delete a job", done, parameters=[_IF_MATCH]),
        },
        f"{one}/pause": {"parameters": [_JOB_ID], "post": operation("Hold a job back", done)},
        f"{one}/resume": {"parameters": [_JOB_ID], "post": operation("Let a paused job go on", done)},
        f"{one}/retry": {"parameters": [_JOB_ID], "post": operation("Bring a dead job back", {"200": job})},
        f"{one}/preview": {
            "parameters": [_JOB_ID],
            "get": operation("Show what a job will do", {"200": forecast}, parameters=_AHEAD_PARAMETERS),
        },
        f"{one}/backfill": {
            "parameters": [_JOB_ID],
            "post": operation(
                "Run a past range of a schedule afterwards",
                {"202": _answer(_BACKFILLED)},
                requestBody=_body({"$ref": f"{_OURS}Backfill"}),
            ),
        },
        f"{one}/runs": {
            "parameters": [_JOB_ID],
            "get": operation("Show the history of a job", {"200": history}, parameters=_RUNS_PARAMETERS),
        },
    }


def _body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _many(model: Schema) -> Schema:
    """Describe a body of many requests: an array, or a line each."""
    array = {"type": "array", "items": model, "maxItems": BATCH_JOBS}
    return {
        "required": True,
        "content": {"application/json": {"schema": array}, "application/x-ndjson": {"schema": model}},
    }


def _operation(summary: str, tag: str, answers: Mapping[str, Schema], **more: Any) -> Schema:
    return {"summary": summary, "tags": [tag], "responses": {**answers, **_ERRORS}, **more}


def _answer(schema: Schema) -> Schema:
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


_CALENDAR: Schema = {"$ref": f"{_OURS}Calendar"}
_CALENDARS: Schema = {"type": "object", "additionalProperties": _CALENDAR}
_CALENDAR_PATHS: dict[str, Schema] = {
    f"{BASE}/calendars": {"get": _operation("Calendars by name", "Calendars", {"200": _answer(_CALENDARS)})},
    f"{BASE}/calendars/{{name}}": {
        "parameters": [_CALENDAR_NAME],
        "get": _operation("Show a calendar", "Calendars", {"200": _answer(_CALENDAR)}),
        "put": _operation(
            "Write a calendar; jobs that keep to it follow",
            "Calendars",
            {"200": _answer(_CALENDAR), "201": _answer(_CALENDAR)},
            requestBody=_body(_CALENDAR),
        ),
        "delete": _operation("Delete a calendar that no job keeps to", "Calendars", {"204": {"description": "Done."}}),
    },
}
