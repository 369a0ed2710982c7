"""How rows of jobs and their ends are written, on a connection that is in a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mainspring.job import DEADLY, Change, Edit, JobKey, Run, State
from mainspring.store.columns import JOB_COLUMNS
from mainspring.store.facts import Answer
from mainspring.store.rows import to_json
from mainspring.store.sqlite.dialect import IN_JSON, ROWS, SQL
from mainspring.store.sqlite.telling import tell_added, tell_ended

Tally = Counter[tuple[JobKey, State, bool]]
"""How many jobs of a group are in a state and did, or did not, give up last time."""


def count(db: sqlite3.Connection, counts: Mapping[tuple[JobKey, State, bool], int]) -> None:
    """Count jobs that were written where no trigger counts them."""
    rows = [
        {**key._asdict(), "state": state.value, "gave_up": gave_up, "jobs": jobs}
        for (key, state, gave_up), jobs in counts.items()
    ]
    db.executemany(SQL["count"], rows)


def add_rows(db: sqlite3.Connection, jobs: Sequence[Any], unrun: Sequence[dict[str, Any]]) -> None:
    """Write rows of new jobs, and rows of history under new numbers."""
    db.executemany(SQL["add"], jobs)
    tell_added(db, jobs)
    for job in jobs:
        if (waits_for := job[_WAITS_FOR]) is not None:
            wait(db, job[0], waits_for)
    if unrun:
        (last,) = db.execute(SQL["draw"], {"count": len(unrun)}).fetchone()
        numbered = [run | {"number": number} for number, run in enumerate(unrun, last - len(unrun) + 1)]
        db.executemany(SQL["add_run"], numbered)
        tell_ended(db, [run["number"] for run in numbered])


_WAITS_FOR = JOB_COLUMNS.index("waits_for")


def wait(db: sqlite3.Connection, job_id: str, waits_for: str | None) -> None:
    """Note for what a job waits, a JSON array of ids, if it waits."""
    awaited = [] if waits_for is None else json.loads(waits_for)
    db.executemany(SQL["wait"], [{"awaited": each, "waiting": job_id} for each in awaited])


def label(db: sqlite3.Connection, job: Mapping[str, Any], statement: str = "label") -> None:
    """Have a job, as its values by name, found by its labels and no others."""
    db.execute(SQL[statement], job)
    db.execute(SQL["unlabel"], job)
    if job["labels"] is not None and job["parent"] is None:
        db.execute(SQL["index_labels"], job)


def add_unrun(db: sqlite3.Connection, unrun: Sequence[Run]) -> None:
    """Write rows of history under new numbers."""
    add_rows(db, [], [ROWS.run_values(run) for run in unrun])


class Ends:
    """What is written of runs that ended their jobs, for many at once."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.values = {"ended": to_json(list(map(IN_JSON.ended, changes)))}
        self.runs = [change.run.number for change in changes]
        self.number = len(changes)
        running = Counter([change.job.key for change in changes])
        kept = Counter([(job.key, run.outcome in DEADLY) for run, job, *_ in changes if job.parent is None])
        self.counts: Tally = Counter({(key, State.RUNNING, False): -jobs for key, jobs in running.items()})
        self.counts.update({(key, State.DONE, gave_up): jobs for (key, gave_up), jobs in kept.items()})
        self.has_parents = kept.total() < self.number


def finish_one(db: sqlite3.Connection, change: Change) -> Answer:
    """Write one change, if the job is as was believed."""
    values = ROWS.kept_values(change) | {"job_id": str(change.run.job_id)}
    if end_all(db, Ends([change])) if change.job.state is State.DONE else _go_on(db, values):
        add_unrun(db, change.unrun)
        for edit in change.added:
            _follow(db, edit)
        return Answer.DONE
    if db.execute(SQL["settled"], values).fetchone():
        return Answer.DONE
    return Answer.STALE if db.execute(SQL["run_of"], values).fetchone() == (change.run.number,) else Answer.LOST


def _follow(db: sqlite3.Connection, edit: Edit) -> None:
    """Write a job that a run asked for, unless it is there or was, or another has its key."""
    if db.execute(SQL["get_done"], {"id": str(edit.job.id)}).fetchone():
        return
    with suppress(sqlite3.IntegrityError):
        add_rows(db, [ROWS.job_row(edit.job)], [ROWS.run_values(run) for run in edit.unrun])


def _go_on(db: sqlite3.Connection, values: Mapping[str, Any]) -> bool:
    """Write what a job became that goes on, if it is as was believed."""
    if not db.execute(SQL["end_run"], values).rowcount:
        return False
    tell_ended(db, [values["run"]])
    db.execute(SQL["tell_give_up"], values)
    db.execute(SQL["go_on"], values)
    return True


def end_all(db: sqlite3.Connection, ends: Ends) -> bool:
    """Write that jobs are over, all or none: if all of them are as was believed."""
    if not ends.number:
        return True
    db.execute("savepoint ends")
    there = db.execute(SQL["end_jobs"], ends.values).rowcount == ends.number
    if there:
        tell_ended(db, ends.runs)
        count(db, ends.counts)
        if ends.has_parents:
            db.execute(SQL["tell_parents"], ends.values)
    db.execute(*(SQL["forget_jobs"], ends.values) if there else ("rollback to ends",))
    db.execute("release ends")
    return there
