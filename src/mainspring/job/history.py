"""Rows of history: of a run that ended, and of occurrences that had no run. Pure; the store numbers the latter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from mainspring.job.job import Job
from mainspring.job.run import Ending, Outcome, Run
from mainspring.job.tuples import maker
from mainspring.schedule import Fate, Planned, Recurring, Unrun, format_time

_run = maker(
    Run, "number", "job_id", "key", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at", "outcome",
    "reason", "backfill", "result", "result_error", "traceback", "log",
)  # fmt: skip


def ended(job: Job, ending: Ending, *, started_at: datetime, now: datetime) -> Run:
    """Return the row of history of the run that `job` has just ended."""
    assert job.run is not None and job.node is not None, "only a running job can end a run"  # noqa: S101, PT018
    return _run(
        job.run, job.parent or job.id, job.key, job.fire_time, job.due_at, job.attempt, job.node, started_at, now,
        ending.outcome, ending.reason, job.backfill, ending.result, ending.result_error, ending.traceback, ending.log,
    )  # fmt: skip


def without_first(trigger: Recurring, unrun: tuple[Unrun, ...]) -> tuple[Unrun, ...]:
    """Leave out the first of the occurrences that were passed over: the run that was not begun stands for it."""
    first, *others = unrun
    second = trigger.nth(first.first, 1) if first.number > 1 else None
    return (first._replace(first=second, number=first.number - 1), *others) if second else tuple(others)


def unrun_since(trigger: Recurring, begin: datetime, unrun: Iterable[Unrun]) -> Iterator[Unrun]:
    """Leave out what was passed over before `begin`: it was accounted for when that was planned."""
    for each in unrun:
        if each.first >= begin:
            yield each
        elif each.last >= begin and (number := trigger.number(begin, each.last)):
            yield each._replace(first=trigger.nth(begin, 0) or begin, number=number)


def rows_of(job: Job, planned: Planned, node: str, now: datetime) -> tuple[Run, ...]:
    """Return the rows of history of what was passed over on the way to an occurrence, and of its postponement."""
    rows = [
        _row(job, each, f"coalesced: {each.reason}" if each.fate is Fate.COALESCED else each.reason, node, now)
        for each in planned.unrun
    ]
    if planned.reason and planned.fire_time and planned.due_at:
        waits = Unrun(planned.fire_time, planned.fire_time, 1, Fate.SKIPPED, "")
        reason = f"{planned.reason}, and so is to start at {format_time(planned.due_at)}"
        rows.append(_row(job, waits, reason, node, now)._replace(outcome=Outcome.POSTPONED))
    return tuple(rows)


def unbegun(job: Job, outcome: Outcome, reason: str, now: datetime) -> Run:
    """Return the row of history of a fire time that ends before a run of it began; the store numbers it."""
    at = Unrun(job.fire_time, job.fire_time, 1, Fate.SKIPPED, "")
    return _row(job, at, reason, "", now)._replace(due_at=job.due_at, outcome=outcome)


def _row(job: Job, unrun: Unrun, reason: str, node: str, now: datetime) -> Run:
    """Return a row of history that no run stands behind; the store numbers it."""
    return Run(
        number=0,
        job_id=job.series,
        key=job.key,
        fire_time=unrun.first,
        due_at=unrun.first,
        attempt=0,
        node=node,
        started_at=now,
        finished_at=now,
        outcome=Outcome.SKIPPED,
        reason=reason,
        last_fire_time=unrun.last if unrun.number > 1 else None,
        occurrences=unrun.number,
    )
