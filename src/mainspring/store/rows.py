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
import pydantic_core

from mainspring.job import (
    Claim,
    Job,
    JobKey,
    Options,
    Outcome,
    Run,
    State,
    new_tuple,
    options_from_json,
    options_to_json,
)
from mainspring.schedule import MICROSECOND, Once, Trigger, trigger_from_json, trigger_to_json

JOB_COLUMNS = (
    "id", "due_at", "fire_time", "created_at", "updated_at", "version", "attempt", "failures", "losses", "run",
    "claimed_at", "paused", "state", "node", "outcome", "product", "job_group", "request", "trigger", "options",
    "last_run", "parent", "backfill",
)  # fmt: skip
RUN_COLUMNS = (
    "number", "job_id", "product", "job_group", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at",
    "outcome", "reason", "last_fire_time", "occurrences", "backfill",
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
    """Write JSON as compactly as it goes. `json.dumps` takes 2 us more for a small request."""
    return pydantic_core.to_json(value).decode()


def job_row(job: Job, dialect: Dialect) -> tuple[Any, ...]:
    """Write a job as `JOB_COLUMNS`."""
    to_time = dialect.to_time
    return (
        dialect.to_id(job.id),
        to_time(job.due_at),
        to_time(job.fire_time),
        to_time(job.created_at),
        to_time(job.updated_at),
        job.version,
        job.attempt,
        job.failures,
        job.losses,
        job.run,
        job.claimed_at and to_time(job.claimed_at),
        job.paused,
        job.state.value,
        job.node,
        job.outcome and job.outcome.value,
        job.key.product,
        job.key.job_group,
        to_json(job.request),
        _trigger_text(job.trigger, job.fire_time),
        None if job.options is _DEFAULTS or job.options == _DEFAULTS else to_json(options_to_json(job.options)),
        job.last_run and last_run_to_json(job.last_run),
        job.parent and dialect.to_id(job.parent),
        job.backfill,
    )


def _trigger_text(trigger: Trigger, fire_time: datetime) -> str | None:
    """Write a trigger; one that fires once, at the job's fire time, is none."""
    is_plain = isinstance(trigger, Once) and trigger.at == fire_time
    return None if is_plain else to_json(trigger_to_json(trigger))


def job_values(job: Job, dialect: Dialect) -> dict[str, Any]:
    """Write a job as columns by name."""
    return dict(zip(JOB_COLUMNS, job_row(job, dialect), strict=True))


def read_job(row: Row, dialect: Dialect) -> Job:
    """Read a job from `JOB_COLUMNS`."""
    (
        id_, due_at, fire_time, created_at, updated_at, version, attempt, failures, losses, run, claimed_at, paused,
        state, node, outcome, product, job_group, request, trigger, options, last_run, parent, backfill,
    ) = row  # fmt: skip
    from_time, from_json = dialect.from_time, dialect.from_json
    job_id, key, fires_at = dialect.from_id(id_), JobKey(product, job_group), from_time(fire_time)
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
        None if last_run is None else _last_run_from_json(last_run, job_id, key),
        None if parent is None else dialect.from_id(parent),
        bool(backfill),
    )


class _Moments(dict[Any, Once]):
    """Moments as they were read, and as triggers; each is made once."""

    def __init__(self, from_time: Callable[[Any], datetime]) -> None:
        super().__init__()
        self._from_time = from_time

    def __missing__(self, value: Any) -> Once:
        self[value] = once = Once(self._from_time(value))
        return once


def read_claims(rows: Sequence[Row], keys: Iterable[JobKey], node: str, at: datetime, dialect: Dialect) -> list[Claim]:
    """Read jobs that `node` claimed at that moment from the columns that differ between the jobs of one claim.

    To read all of them would cost 2 us more for each. Columns beyond these are the store's own. Jobs that are claimed
    together are often due at the same moment, or were made at the same: it is read once.
    """
    from_id, from_json = dialect.from_id, dialect.from_json
    moments = _Moments(dialect.from_time)
    claims = []
    for row, key in zip(rows, keys, strict=True):
        (
            id_, due_at, fire_time, created_at, version, attempt, failures, losses, run, outcome, request, trigger,
            options, parent, backfill,
        ) = row[:15]  # fmt: skip
        once = moments[fire_time]
        facts = (
            from_id(id_),
            key,
            from_json(request),
            once if trigger is None else trigger_from_json(from_json(trigger)),
            once.at,
            once.at if due_at == fire_time else moments[due_at].at,
            moments[created_at].at,
            at,
            version,
            _DEFAULTS if options is None else options_from_json(from_json(options)),
            State.RUNNING,
            False,
            attempt,
            failures,
            losses,
            run,
            node,
            at,
            None if outcome is None else _OUTCOMES[outcome],
            None,
            None if parent is None else from_id(parent),
            bool(backfill),
        )
        claims.append(new_tuple(Claim, (new_tuple(Job, facts), at)))
    return claims


def read_done_job(row: Row, dialect: Dialect) -> Job:
    """Read a job that is done from `JOB_COLUMNS` and the `RUN_COLUMNS` of the run that ended it."""
    last = len(JOB_COLUMNS)
    return read_job(row[:last], dialect)._replace(last_run=read_run(row[last:], dialect))


_LAST_RUN = ("number", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at", "outcome", "reason")
_LAST_RUN_TIMES = frozenset({"fire_time", "due_at", "started_at", "finished_at"})


def last_run_to_json(run: Run) -> str:
    """Write the last run of a job that goes on; moments as microseconds since 1970."""
    facts = {name: getattr(run, name) for name in _LAST_RUN}
    return to_json({name: to_microseconds(fact) if name in _LAST_RUN_TIMES else fact for name, fact in facts.items()})


def _last_run_from_json(text: str, job_id: UUID, key: JobKey) -> Run:
    facts = json.loads(text)
    facts |= {name: from_microseconds(facts[name]) for name in _LAST_RUN_TIMES}
    return Run(job_id=job_id, key=key, **facts | {"outcome": _OUTCOMES[facts["outcome"]]})


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
        "last_fire_time": run.last_fire_time and to_time(run.last_fire_time),
        "occurrences": run.occurrences,
        "backfill": run.backfill,
    }


def read_run(row: Row, dialect: Dialect) -> Run:
    """Read a run from `RUN_COLUMNS`."""
    (
        number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason,
        last_fire_time, occurrences, backfill,
    ) = row  # fmt: skip
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
        last_fire_time=None if last_fire_time is None else from_time(last_fire_time),
        occurrences=occurrences,
        backfill=bool(backfill),
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(moment: datetime) -> int:
    """Write a moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Read what `to_microseconds` wrote."""
    return _EPOCH + timedelta(0, 0, microseconds)


def tell(watchers: Iterable[Callable[[datetime], None]], written: Iterable[Job]) -> datetime | None:
    """Tell watchers the earliest due time of what was written and is scheduled; answer it."""
    due = min((job.due_at for job in written if job.state is State.SCHEDULED), default=None)
    if due is not None:
        for notice in watchers:
            notice(due)
    return due


def load_statements(dialect: str) -> dict[str, str]:
    """Load the named SQL statements of a store, with ``:name`` parameters, from the folder of its name."""
    queries = aiosql.from_path(Path(__file__).parent / dialect, "sqlite3", mandatory_parameters=False)
    return {name: getattr(queries, name).sql for name in queries.available_queries if not name.endswith("_cursor")}
