"""What is done, step by step: each step is a query, for which the driver of the caller brings the answer."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from mainspring.clock import SystemClock
from mainspring.enqueueing.asked import Known, new_job, refused
from mainspring.enqueueing.published import model_of
from mainspring.errors import ConflictError, InvalidRequestError, KeyTakenError, NotFoundError, Problem
from mainspring.job import TERMS, Job, JobKey, OnConflict, terms_from_json
from mainspring.schedule import Calendar, Calendars, calendar_from_json, without_unknown
from mainspring.store.enqueued import ADD, LOOK, OTHER, hint, new_rows
from mainspring.store.migrations import verdict

MOST_JOBS = 10_000
"""How many jobs a call creates at most: their rows are one parameter of a statement."""
_SOON = timedelta(minutes=1)
"""What is due later than that is found by the polling of nodes in time."""
_TRIES = 5
_CLOCK = SystemClock()

T = TypeVar("T")


class Query(NamedTuple):
    """A statement with parameters by name, all of them texts; its answer is one text."""

    sql: str
    values: Mapping[str, str | None]


Steps: TypeAlias = Generator[Query, str, T]


class Wanted(NamedTuple):
    """Of which group a job is to be, and whether checks by code may wait until it runs."""

    product: str
    job_group: str
    checks_later: bool


def created(wanted: Wanted, body: Mapping[str, Any]) -> Steps[UUID]:
    """Create one job; the id of the other where another is kept that has its key."""
    known = yield from _look(wanted, [body])
    job = _made(wanted, body, known)
    for _ in range(_TRIES):
        if (yield from _add([job], known.now)):
            return job.id
        if (other := (yield from _other(job))) is None:
            continue  # it is over by now
        if job.options.on_conflict is OnConflict.KEEP:
            return other
        detail = f"job {other} has the key {job.options.key!r} and is not done"
        problem = Problem("/options/key", KeyTakenError.code, detail)
        raise KeyTakenError(detail, problems=[problem], other=(job.key, other))
    raise ConflictError(
        "the job that has the key cannot be seen in this transaction, or changed again and again; try in another one"
    )


def created_many(wanted: Wanted, bodies: Sequence[Mapping[str, Any]]) -> Steps[list[UUID]]:
    """Create many jobs, all or none."""
    if len(bodies) > MOST_JOBS:
        detail = f"a call creates up to {MOST_JOBS} jobs, and {len(bodies)} were given; call it several times"
        raise InvalidRequestError(detail, problems=[Problem("", "TOO_MANY_JOBS", detail)])
    known = yield from _look(wanted, bodies)
    jobs: list[Job] = []
    problems: list[Problem] = []
    for number, body in enumerate(bodies):
        try:
            job = _made(wanted, body, known)
        except InvalidRequestError as error:
            problems += [each_of(number, problem) for problem in error.problems]
            continue
        jobs.append(job)
        if job.options.key is not None:
            detail = "can only be used for one job at a time, with enqueue"
            problems.append(Problem(f"/{number}/options/key", "KEY_IN_MANY", detail))
    if problems:
        raise refused(problems)
    if jobs:
        yield from _add(jobs, known.now)
    return [job.id for job in jobs]


def each_of(number: int, problem: Problem) -> Problem:
    """Return a problem at its place among many bodies."""
    return Problem(f"/{number}{problem.pointer}", problem.code, problem.detail)


def _look(wanted: Wanted, bodies: Sequence[Mapping[str, Any]]) -> Steps[Known]:
    """Ask what has to be known. Raises `SchemaError` and `NotFoundError`."""
    key = JobKey(wanted.product, wanted.job_group)
    has_schedule = any(body.get("schedule") is not None for body in bodies)
    found = from_json((yield Query(LOOK, {"name": str(key), "calendars": "yes" if has_schedule else "no"})))
    verdict(found["version"], "mainspring db upgrade")
    schema = found["schema"]
    if "/" in wanted.product or not isinstance(schema, dict) or not isinstance(schema.get(TERMS), dict):
        detail = (
            f"no node has published the job group {key.job_group[:64]!r} of product {key.product[:64]!r}; a service or "
            "node that has its plugin does so when it starts"
        )
        raise NotFoundError(detail, problems=[Problem("", "UNKNOWN_JOB_GROUP", detail)])
    terms = terms_from_json(schema[TERMS])
    return Known(
        datetime.fromisoformat(found["now"]),
        model_of(str(key), to_json(schema), is_declared=terms.declared),
        terms,
        _calendars(found["calendars"] or {}),
    )


def _calendars(noted: Mapping[str, Any]) -> Calendars:
    """Read calendars; one that cannot be used here is none."""
    read: dict[str, Calendar] = {}
    for name, value in noted.items():
        try:
            read[name] = calendar_from_json(value)
        except ValidationError:
            continue
    return without_unknown(read)[0]


def _made(wanted: Wanted, body: Mapping[str, Any], known: Known) -> Job:
    key = JobKey(wanted.product, wanted.job_group)
    return new_job(key, known, body, _CLOCK.new_id(), checks_later=wanted.checks_later)


def _add(jobs: Sequence[Job], now: datetime) -> Steps[bool]:
    """Write jobs; answer whether they were written."""
    answer = yield Query(ADD, {"rows": new_rows(jobs), "due": hint(jobs, now + _SOON)})
    return bool(from_json(answer)["ids"])


def _other(job: Job) -> Steps[UUID | None]:
    """Ask which other job has the key of one."""
    answer = yield Query(OTHER, {**job.key._asdict(), "key": job.options.key})
    found = from_json(answer)["id"]
    return None if found is None else UUID(found)
