"""Between rows and facts.

How jobs and runs are written as columns, the same for all stores but for a few value types.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql

from mainspring.model import Job, JobKey, Options, Outcome, Run, State
from mainspring.request import options_from_json, options_to_json
from mainspring.trigger import format_time, parse_when, trigger_from_json, trigger_to_json

JOB_COLUMNS = (
    "id", "product", "job_group", "request", "trigger", "options", "state", "paused", "fire_time", "due_at", "attempt",
    "failures", "losses", "run", "node", "claimed_at", "outcome", "last_run", "version", "created_at", "updated_at",
)  # fmt: skip
RUN_COLUMNS = (
    "number", "job_id", "product", "job_group", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at",
    "outcome", "reason",
)  # fmt: skip

Row = Sequence[Any]
_DEFAULTS = Options()


class Dialect(NamedTuple):
    """How a store writes (`to_`) and reads (`from_`) the values that databases differ in."""

    to_id: Callable[[UUID], Any]
    from_id: Callable[[Any], UUID]
    to_time: Callable[[datetime], Any]
    from_time: Callable[[Any], datetime]
    from_json: Callable[[Any], Any]


def to_json(value: object) -> str:
    """Write JSON as compactly as it goes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def job_row(job: Job, dialect: Dialect) -> dict[str, Any]:
    """Write a job as columns."""
    to_time = dialect.to_time
    return {
        "id": dialect.to_id(job.id),
        "product": job.key.product,
        "job_group": job.key.job_group,
        "request": to_json(job.request),
        "trigger": to_json(trigger_to_json(job.trigger)),
        "options": None if job.options == _DEFAULTS else to_json(options_to_json(job.options)),
        "state": job.state.value,
        "paused": job.paused,
        "fire_time": to_time(job.fire_time),
        "due_at": to_time(job.due_at),
        "attempt": job.attempt,
        "failures": job.failures,
        "losses": job.losses,
        "run": job.run,
        "node": job.node,
        "claimed_at": job.claimed_at and to_time(job.claimed_at),
        "outcome": job.outcome and job.outcome.value,
        "last_run": None if job.last_run is None else _last_run_json(job.last_run),
        "version": job.version,
        "created_at": to_time(job.created_at),
        "updated_at": to_time(job.updated_at),
    }


def read_job(row: Row, dialect: Dialect) -> Job:
    """Read a job from `JOB_COLUMNS`."""
    (
        id_, product, job_group, request, trigger, options, state, paused, fire_time, due_at, attempt, failures,
        losses, run, node, claimed_at, outcome, last_run, version, created_at, updated_at,
    ) = row  # fmt: skip
    from_time, from_json = dialect.from_time, dialect.from_json
    job_id, key = dialect.from_id(id_), JobKey(product, job_group)
    return Job(
        id=job_id,
        key=key,
        request=from_json(request),
        trigger=trigger_from_json(from_json(trigger)),
        options=_DEFAULTS if options is None else options_from_json(from_json(options)),
        state=State(state),
        paused=bool(paused),
        fire_time=from_time(fire_time),
        due_at=from_time(due_at),
        attempt=attempt,
        failures=failures,
        losses=losses,
        run=run,
        node=node,
        claimed_at=None if claimed_at is None else from_time(claimed_at),
        outcome=outcome and Outcome(outcome),
        last_run=None if last_run is None else _last_run(from_json(last_run), job_id, key),
        version=version,
        created_at=from_time(created_at),
        updated_at=from_time(updated_at),
    )


def run_row(run: Run, dialect: Dialect) -> dict[str, Any]:
    """Write a run as columns."""
    to_time = dialect.to_time
    return {
        "number": run.number,
        "job_id": dialect.to_id(run.job_id),
        "product": run.key.product,
        "job_group": run.key.job_group,
        "fire_time": to_time(run.fire_time),
        "due_at": to_time(run.due_at),
        "attempt": run.attempt,
        "node": run.node,
        "started_at": to_time(run.started_at),
        "finished_at": to_time(run.finished_at),
        "outcome": run.outcome.value,
        "reason": run.reason,
    }


def read_run(row: Row, dialect: Dialect) -> Run:
    """Read a run from `RUN_COLUMNS`."""
    number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason = row
    from_time = dialect.from_time
    return Run(
        number=number,
        job_id=dialect.from_id(job_id),
        key=JobKey(product, job_group),
        fire_time=from_time(fire_time),
        due_at=from_time(due_at),
        attempt=attempt,
        node=node,
        started_at=from_time(started_at),
        finished_at=from_time(finished_at),
        outcome=Outcome(outcome),
        reason=reason,
    )


_LAST_RUN = Dialect(to_id=str, from_id=UUID, to_time=format_time, from_time=parse_when, from_json=json.loads)


def _last_run_json(run: Run) -> str:
    row = run_row(run, _LAST_RUN)
    return to_json({name: row[name] for name in RUN_COLUMNS if name not in {"job_id", "product", "job_group"}})


def _last_run(row: Mapping[str, Any], job_id: UUID, key: JobKey) -> Run:
    whole = {**row, "job_id": str(job_id), "product": key.product, "job_group": key.job_group}
    return read_run([whole[name] for name in RUN_COLUMNS], _LAST_RUN)


def load_statements(dialect: str) -> dict[str, str]:
    """Load the named SQL statements of a store, from the ``.sql`` files in the folder of its name."""
    adapter = {"sqlite": "sqlite3", "postgres": "psycopg"}[dialect]
    queries = aiosql.from_path(Path(__file__).parent / dialect, adapter, mandatory_parameters=False)
    return {name: getattr(queries, name).sql for name in queries.available_queries if not name.endswith("_cursor")}
