"""What good answers say: jobs, runs and forecasts written as JSON, each beside the schema that the document shows.

Errors are written by `problem`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timezone
from typing import Any
from zlib import crc32

from pydantic_core import from_json, to_json
from starlette.responses import Response

from mainspring.job import (
    FIRST_PRIORITY,
    LAST_PRIORITY,
    Damage,
    Hold,
    Job,
    Level,
    Outcome,
    Pause,
    Run,
    State,
    options_to_json,
    pauses_of,
)
from mainspring.schedule import Fate, Forecast, Once, Start, describe, format_time, trigger_to_json
from mainspring.web.schema import ID, TIME, Schema, named

_MOST_RAW = 1000
"""Characters of each column that cannot be read."""


class JsonResponse(Response):
    """An answer with JSON, of which the headers are known. To be made by Starlette it took 3 us more for a job."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int, headers: Mapping[str, str] | None) -> None:
        self.status_code, self.background = status, None
        self.body = to_json(content)
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json")]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode(), value.encode("latin-1")))


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return JsonResponse(content, status, headers)


# --- jobs and runs


def job_json(job: Job, pauses: Sequence[Pause] = ()) -> dict[str, Any]:
    """Write a job as it stands on the wire; `pauses` are those of groups, products and everything."""
    if job.damage is not None:
        return _unreadable(job, pauses)
    holds = _holds(job, pauses) if job.paused or pauses else []
    next_run, created_at = job.next_run, format_time(job.created_at)
    return {
        "id": str(job.id),
        "product": job.key.product,
        "jobGroup": job.key.job_group,
        "state": job.state.value,
        "isPaused": bool(holds),
        "pausedBy": holds,
        "nextRun": next_run and format_time(next_run),
        "jobRequest": job.request,
        "schedule": None if isinstance(job.trigger, Once) else trigger_to_json(job.trigger),
        "options": options_to_json(job.options),
        "priority": job.priority,
        "concurrencyKey": job.concurrency_key,
        "attempt": job.attempt,
        "outcome": job.outcome and job.outcome.value,
        "currentRun": _current_run(job) if job.run is not None else None,
        "lastRun": job.last_run and run_json(job.last_run),
        "version": job.version,
        "createdAt": created_at,
        "updatedAt": created_at if job.updated_at == job.created_at else format_time(job.updated_at),
    }


def _current_run(job: Job) -> dict[str, Any]:
    """Write the run under way; it may begin a little later, when it is claimed ahead of its due time."""
    since = job.begins_at
    progress = job.progress and job.progress._asdict()
    return {
        "run": job.run,
        "node": job.node,
        "attempt": job.attempt,
        "since": since and format_time(since),
        "progress": progress,
    }


def _holds(job: Job, pauses: Sequence[Pause]) -> list[dict[str, Any]]:
    """Write all that holds a job back."""
    own = [_hold_json(Level.JOB, job.hold, job.resume_at)] if job.paused else []
    return own + ([] if job.state is State.DONE else [pause_json(pause) for pause in pauses_of(pauses, job.key)])


def _hold_json(level: Level, hold: Hold | None, until: datetime | None) -> dict[str, Any]:
    return {
        "level": level.value,
        "by": hold and hold.by,
        "at": hold and format_time(hold.at),
        "reason": hold and hold.reason,
        "until": until and format_time(until),
    }


def pause_json(pause: Pause) -> dict[str, Any]:
    """Write a pause of a group, a product or everything; one that is over with its end."""
    over = {"endedAt": format_time(pause.ended_at), "endedBy": pause.ended_by} if pause.ended_at else {}
    return _hold_json(pause.scope.level, pause.hold, pause.until) | over


def standing_json(pauses: Iterable[Pause]) -> dict[str, Any]:
    """Write whether something is stopped, and by what."""
    holds = [pause_json(pause) for pause in pauses]
    return {"isPaused": bool(holds), "pausedBy": holds}


def held_warnings(job: Job, pauses: Sequence[Pause]) -> list[dict[str, str]]:
    """Say that a job waits in a group that is stopped."""
    if not pauses:
        return []
    held = [f"the pause of {pause.scope}" for pause in pauses_of(pauses, job.key)]
    return [{"code": "PAUSED", "detail": f"the job waits for the end of {' and '.join(held)}"}] if held else []


def _unreadable(job: Job, pauses: Sequence[Pause]) -> dict[str, Any]:
    """Write what can be read of a job whose row cannot be read as a whole, and what stands in the columns at fault."""
    found = job_json(job._replace(damage=None), pauses)
    return found | {"nextRun": None, "damage": _damage_json(job.damage)}


def _damage_json(damage: Damage | None) -> dict[str, Any] | None:
    if damage is None:
        return None
    raw = {name: value if value is None else str(value)[:_MOST_RAW] for name, value in damage.raw.items()}
    return {"reason": damage.reason, "raw": raw}


def job_response(
    job: Job,
    pauses: Sequence[Pause],
    status: int = 200,
    *,
    warnings: list[dict[str, str]] | None = None,
    **headers: str,
) -> Response:
    """Answer with a job and its version as ETag; where it was written, also with `warnings`."""
    content = job_json(job, pauses)
    if warnings is not None:
        content["warnings"] = warnings
    return json_response(content, status, {"ETag": _etag(job, pauses), **headers})


def _etag(job: Job, pauses: Sequence[Pause]) -> str:
    """Return the version of a job, and behind it a digest of what is shown of it that no version tells, if anything."""
    if not (pauses or job.progress):
        return f'"{job.version}"'
    beside = [*map(pause_json, pauses_of(pauses, job.key)), *(job.progress or ())]
    return f'"{job.version}-{crc32(to_json(beside)):08x}"' if beside else f'"{job.version}"'


def run_json(run: Run) -> dict[str, Any]:
    """Write a row of history as it stands on the wire."""
    damage = {} if run.damage is None else {"damage": _damage_json(run.damage)}
    return damage | {
        "run": run.number,
        "jobId": str(run.job_id),
        "scheduledFireTime": format_time(run.fire_time),
        "dueAt": format_time(run.due_at),
        "startedAt": format_time(run.started_at),
        "finishedAt": format_time(run.finished_at),
        "latenessSeconds": run.lateness.total_seconds(),
        "attempt": run.attempt,
        "outcome": run.outcome.value,
        "reason": run.reason,
        "node": run.node,
        "occurrences": run.occurrences,
        "lastScheduledFireTime": format_time(run.last_fire_time or run.fire_time),
        "backfill": run.backfill,
    }


def run_details_json(run: Run) -> dict[str, Any]:
    """Write a run with what it returned, or why that was not kept, and the traceback of what it raised."""
    result = None if run.result is None else from_json(run.result)
    return run_json(run) | {"result": result, "resultError": run.result_error, "traceback": run.traceback}


DAMAGE: Schema = {
    "type": "object",
    "description": "Only where the row in the store cannot be read: why, and what stands in the columns at fault.",
    "properties": {
        "reason": {"type": "string"},
        "raw": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    },
}
RUN: Schema = {
    "type": "object",
    "properties": {
        "run": {"type": "integer", "description": "The fence: rises with every run, never reused."},
        "jobId": ID,
        "scheduledFireTime": TIME,
        "dueAt": TIME,
        "startedAt": TIME,
        "finishedAt": TIME,
        "latenessSeconds": {"type": "number"},
        "attempt": {"type": "integer"},
        "outcome": {"type": "string", "enum": [outcome.value for outcome in Outcome]},
        "reason": {"type": ["string", "null"]},
        "node": {"type": "string"},
        "occurrences": {"type": "integer", "description": "How many fire times the row stands for."},
        "lastScheduledFireTime": {**TIME, "description": "The last of the fire times that the row stands for."},
        "backfill": {"type": "boolean", "description": "A run of a past range that was asked for afterwards."},
        "damage": DAMAGE,
    },
}
RUN_DETAILS: Schema = {
    **RUN,
    "properties": {
        **RUN["properties"],
        "result": {"description": "What the job returned; null if that is nothing, or was not kept."},
        "resultError": {"type": ["string", "null"], "description": "Why what it returned was not kept."},
        "traceback": {"type": ["string", "null"], "description": "Of what it raised."},
    },
}
WARNINGS: Schema = {
    "type": "array",
    "description": "What is legal but perhaps not meant.",
    "items": {"type": "object", "properties": {"code": {"type": "string"}, "detail": {"type": "string"}}},
}
PAUSED_BY: Schema = {
    "type": "array",
    "description": "What holds it back.",
    "items": {
        "type": "object",
        "properties": {
            "level": {"type": "string", "enum": [level.value for level in Level]},
            "by": {"type": ["string", "null"]},
            "at": {**TIME, "type": ["string", "null"]},
            "reason": {"type": ["string", "null"]},
            "until": {**TIME, "type": ["string", "null"], "description": "When it goes on by itself."},
            "endedAt": {**TIME, "description": "Only where it is over."},
            "endedBy": {"type": ["string", "null"]},
        },
    },
}
JOB: Schema = {
    "type": "object",
    "properties": {
        "id": ID,
        "product": {"type": "string"},
        "jobGroup": {"type": "string"},
        "state": {"type": "string", "enum": [state.value for state in State]},
        "isPaused": {"type": "boolean"},
        "pausedBy": PAUSED_BY,
        "nextRun": {"type": ["string", "null"], "format": "date-time"},
        "jobRequest": {"type": "object", "description": "The request as it was sent."},
        "schedule": {"oneOf": [named("Schedule"), {"type": "null"}]},
        "options": {"type": "object"},
        "priority": {"type": "integer", "minimum": LAST_PRIORITY, "maximum": FIRST_PRIORITY},
        "concurrencyKey": {"type": ["string", "null"], "description": "What limits by key count together."},
        "attempt": {"type": "integer", "description": "Tries begun for this fire time."},
        "outcome": {"type": ["string", "null"], "enum": [*(outcome.value for outcome in Outcome), None]},
        "currentRun": {
            "type": ["object", "null"],
            "description": "The run under way.",
            "properties": {
                "run": {"type": "integer"},
                "node": {"type": "string"},
                "attempt": {"type": "integer"},
                "since": TIME,
                "progress": {
                    "type": ["object", "null"],
                    "description": "How far it says it is.",
                    "properties": {
                        "done": {"type": "number"},
                        "total": {"type": ["number", "null"]},
                        "note": {"type": ["string", "null"]},
                    },
                },
            },
        },
        "lastRun": {"oneOf": [named("Run"), {"type": "null"}]},
        "version": {"type": "integer", "description": "Rises with every write; the ETag."},
        "createdAt": TIME,
        "updatedAt": TIME,
        "damage": DAMAGE,
        "warnings": {**WARNINGS, "description": "Where the job was written: what is legal but perhaps not meant."},
    },
}


# --- forecasts


def forecast_json(job: Job, forecast: Forecast, warnings: list[dict[str, str]]) -> dict[str, Any]:
    """Write what a job will do as it stands on the wire."""
    return {
        "valid": True,
        "schedule": describe(job.trigger),
        "fireTimes": [
            {
                "utc": format_time(start.fire_time),
                "local": _local(start),
                "at": format_time(start.at),
                "note": start.note,
            }
            for start in forecast.starts
        ],
        "passed": [
            {
                "first": format_time(unrun.first),
                "last": format_time(unrun.last),
                "occurrences": unrun.number,
                "fate": unrun.fate.value,
                "reason": unrun.reason,
            }
            for unrun in forecast.unrun
        ],
        "warnings": warnings,
    }


def _local(start: Start) -> str:
    """Write a fire time as the clocks of its zone show it, with their offset from UTC."""
    offset = start.local.replace(tzinfo=UTC) - start.fire_time
    return start.local.replace(tzinfo=timezone(offset)).isoformat()


FORECAST: Schema = {
    "type": "object",
    "properties": {
        "valid": {"type": "boolean", "description": "True; a request that is not valid is answered with an error."},
        "schedule": {"type": "string", "description": "The schedule in English."},
        "fireTimes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "utc": TIME,
                    "local": {**TIME, "description": "The same by the clocks of the schedule's time zone."},
                    "at": {**TIME, "description": "When it starts: window, jitter, calendar and outage considered."},
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
                    "first": TIME,
                    "last": TIME,
                    "occurrences": {"type": "integer"},
                    "fate": {"type": "string", "enum": [fate.value for fate in Fate]},
                    "reason": {"type": "string"},
                },
            },
        },
        "warnings": WARNINGS,
    },
}

SCHEMAS: dict[str, Schema] = {"Job": JOB, "Run": RUN, "RunDetails": RUN_DETAILS, "Forecast": FORECAST}
"""By the names that `named` refers to."""
