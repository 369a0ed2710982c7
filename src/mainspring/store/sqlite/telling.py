"""How events are written, on a connection that is in a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mainspring.job import Entry, EventKind, State
from mainspring.store.columns import JOB_COLUMNS
from mainspring.store.entries import entry_values
from mainspring.store.sqlite.dialect import SQL

_PLACES = [
    JOB_COLUMNS.index(name)
    for name in ("id", "product", "job_group", "state", "paused", "waits_for", "parent", "version", "updated_at")
]


def tell(db: sqlite3.Connection, at: int, entry: Entry | None) -> None:
    """Write what happened at a moment, if anything did."""
    if entry is not None:
        row = entry_values(entry)
        jobs = row["jobs"] and json.dumps([*map(str, row["jobs"])])
        db.execute(SQL["tell"], {**row, "jobs": jobs, "runs": row["runs"] and json.dumps(row["runs"]), "now": at})


def tell_ended(db: sqlite3.Connection, runs: Sequence[int]) -> None:
    """Write that runs have ended that history holds."""
    if runs:
        db.execute(SQL["tell_ended"], {"numbers": json.dumps(runs)})


def tell_added(db: sqlite3.Connection, jobs: Sequence[Any]) -> None:
    """Write that rows of jobs are there; one of a later version was done, and is so no longer."""
    added: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    at = 0
    for job in jobs:
        id_, product, job_group, state, paused, waits_for, parent, version, updated_at = (
            job[place] for place in _PLACES
        )
        if parent is None:
            if state == State.PAUSED and waits_for is not None and not paused:
                state = State.SCHEDULED
            kind = EventKind.JOB_CREATED if version == 1 else EventKind.JOB_RETRIED
            added[kind, product, job_group, state].append(id_)
            at = max(at, updated_at)
    for (name, product, job_group, state), ids in added.items():
        told = {"kind": name, "product": product, "job_group": job_group, "state": state, "jobs": json.dumps(ids)}
        db.execute(SQL["tell"], {**told, "now": at, "outcome": None, "node": None, "runs": None, "detail": None})
