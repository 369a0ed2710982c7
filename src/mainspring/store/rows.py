"""Between rows and facts.

How jobs and runs are written as columns, the same for all stores but for a few value types.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiosql

from mainspring.model import Job, JobKey, Options, Outcome, Run, State
from mainspring.request import options_from_json, options_to_json
from mainspring.trigger import MICROSECOND, Once, trigger_from_json, trigger_to_json

JOB_COLUMNS = (
    "id", "product", "job_group", "request", "trigger", "options", "state", "paused", "fire_time", "due_at", "attempt",
    "failures", "losses", "run", "node", "claimed_at", "outcome", "version", "created_at", "updated_at",
)  # fmt: skip
RUN_COLUMNS = (
    "number", "job_id", "product", "job_group", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at",
    "outcome", "reason",
)  # fmt: skip

Row = Sequence[Any]
_STATES = {state.value: state for state in State}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
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
        "trigger": None if job.trigger == Once(job.fire_time) else to_json(trigger_to_json(job.trigger)),
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
        "version": job.version,
        "created_at": to_time(job.created_at),
        "updated_at": to_time(job.updated_at),
    }


def read_job(row: Row, dialect: Dialect) -> Job:
    """Read a job from `JOB_COLUMNS`, followed by the `RUN_COLUMNS` of its last run if they were asked for."""
    (
        id_, product, job_group, request, trigger, options, state, paused, fire_time, due_at, attempt, failures,
        losses, run, node, claimed_at, outcome, version, created_at, updated_at, *last_run,
    ) = row  # fmt: skip
    from_time, from_json = dialect.from_time, dialect.from_json
    job_id, key = dialect.from_id(id_), JobKey(product, job_group)
    fires_at = from_time(fire_time)
    return Job(
        job_id,
        key,
        from_json(request),
        Once(fires_at) if trigger is None else trigger_from_json(from_json(trigger)),
        fires_at,
        from_time(due_at),
        from_time(created_at),
        from_time(updated_at),
        version,
        _DEFAULTS if options is None else options_from_json(from_json(options)),
        _STATES[state],
        bool(paused),
        attempt,
        failures,
        losses,
        run,
        node,
        None if claimed_at is None else from_time(claimed_at),
        None if outcome is None else _OUTCOMES[outcome],
        read_run(last_run, dialect) if last_run and last_run[0] is not None else None,
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


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(moment: datetime) -> int:
    """Write a moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Read what `to_microseconds` wrote."""
    return _EPOCH + timedelta(microseconds=microseconds)


def tell(watchers: Iterable[Callable[[datetime], None]], written: Iterable[Job]) -> None:
    """Tell watchers the earliest due time of what was written and is scheduled."""
    due = min((job.due_at for job in written if job.state is State.SCHEDULED), default=None)
    if due is not None:
        for notice in watchers:
            notice(due)


def load_statements(dialect: str) -> dict[str, str]:
    """Load the named SQL statements of a store, with ``:name`` parameters, from the folder of its name."""
    queries = aiosql.from_path(Path(__file__).parent / dialect, "sqlite3", mandatory_parameters=False)
    return {name: getattr(queries, name).sql for name in queries.available_queries if not name.endswith("_cursor")}
