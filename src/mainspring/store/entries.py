"""How what happened is written and read: entries of the feed, as rows of the table ``events``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import pydantic_core

from mainspring.job import Entry, EventKind, Job, Outcome, Scope, State, Told
from mainspring.store.rows import Row, to_json

T = TypeVar("T")
_STATES = {state.value: state for state in State}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def deletion(job: Job) -> Entry:
    """Return that a job was deleted, with its labels: they are looked up nowhere else from then on."""
    return Entry(EventKind.JOB_DELETED, Scope(*job.key), (job.id,), detail={"labels": list(job.labels)})


def returned(job: Job, state: State) -> Entry:
    """Return that a claim of a job was undone, before the run began."""
    runs = () if job.run is None else (job.run,)
    return Entry(EventKind.RUN_RETURNED, Scope(*job.key), (job.parent or job.id,), runs, state=state)


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return the values of an entry that is to be written, by the names of their columns; `jobs` are ids."""
    product, job_group = entry.scope or (None, None)
    return {
        "kind": entry.kind,
        "product": product,
        "job_group": job_group,
        "state": entry.state,
        "outcome": entry.outcome,
        "node": entry.node,
        "jobs": list(entry.jobs) or None,
        "runs": list(entry.runs) or None,
        "detail": None if entry.detail is None else to_json(entry.detail),
    }


def read_told(
    rows: Sequence[Row],
    *,
    head: int,
    forgotten: int,
    limit: int,
    time: Callable[[Any], datetime],
    jobs: Callable[[Any], tuple[UUID, ...]] = tuple,
    runs: Callable[[Any], tuple[int, ...]] = tuple,
) -> Told:
    """Read entries. What cannot be read of one is nothing: it takes no other with it."""
    entries = []
    for cursor, at, kind, product, job_group, state, outcome, node, ids, numbers, detail in rows:
        scope = None if product is None else Scope(product, job_group or "")
        entries.append(
            Entry(
                kind,
                scope,
                _read(jobs, ids, ()),
                _read(runs, numbers, ()),
                _STATES.get(state),
                _OUTCOMES.get(outcome),
                node,
                _read(pydantic_core.from_json, detail, None),
                cursor,
                time(at),
            )
        )
    last = entries[-1].cursor if entries else 0
    return Told(entries, last if 0 < len(entries) == limit else max(head, last), forgotten)


def _read(read: Callable[[Any], T], value: Any, nothing: T) -> T:
    try:
        return nothing if value is None else read(value)
    except ValueError:
        return nothing


def by_job(labels: Iterable[tuple[UUID, str]]) -> dict[UUID, set[str]]:
    """Return the labels of each job."""
    found: dict[UUID, set[str]] = defaultdict(set)
    for job_id, label in labels:
        found[job_id].add(label)
    return dict(found)
