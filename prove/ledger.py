"""What the store says: the one place that reads its tables, so that another schema needs another look only in here.

Jobs are read as long as they are pending; what ended is read from history.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import psycopg

from mainspring.store.postgres.schema import rebuild_schema

__all__ = [
    "Ledger",
    "Pending",
    "RunRow",
    "Told",
    "backends",
    "beats",
    "count_pending",
    "fill",
    "held",
    "occurrences",
    "ownerless",
    "postmaster",
    "read",
    "rebuild_schema",
    "running_since",
    "tell",
    "terminate_backends",
]

LIMITS = "-c statement_timeout=20000 -c timezone=UTC"
_RUNS = """
select number, job_id, fire_time, due_at, attempt, node, started_at, finished_at, outcome, reason from mainspring.runs
"""
_PENDING = "select id, state, attempt, run, node, fire_time, due_at from mainspring.jobs where state <> 'done'"
_OCCURRENCES = "select job_id, outcome, fire_time, last_fire_time, occurrences from mainspring.runs"
_TOLD = "select number, job_id, job_group, fire_time, outcome, result from runs"
_LIVING = "select id, job_group from jobs where state <> 'done'"
_OWNERLESS = """
select run from mainspring.jobs where state = 'running' and node <> all(array(select name from mainspring.nodes))
"""
_HELD = """
select (select count(*) from mainspring.jobs where state = 'running' and node like %(node)s)
    + (select count(*) from mainspring.nodes where name like %(node)s)
"""
_FILL = """
insert into mainspring.jobs (
    id, product, job_group, request, state, paused, fire_time, due_at, attempt, failures, losses, version, created_at,
    updated_at
)
select uuidv7(), %(product)s, %(group)s, %(request)s::jsonb || jsonb_build_object('when', d),
    'scheduled', false, d, d, 0, 0, 0, 1, now(), now()
from (
    select now() + %(after)s * interval '1 s' + n * %(over)s * interval '1 s' / %(jobs)s as d
    from generate_series(1, %(jobs)s) n
) moments
returning id
"""


class RunRow(NamedTuple):
    """A row of history; moments are seconds of the store's wall clock since 1970."""

    number: int
    job: str
    occurrence: str
    due: float
    attempt: int
    node: str
    started: float
    finished: float
    outcome: str
    reason: str | None


class Pending(NamedTuple):
    """A job that is not done."""

    job: str
    state: str
    attempt: int
    run: int | None
    node: str | None
    occurrence: str
    due: float


class Occurrences(NamedTuple):
    """What a row of history stands for: one fire time of a job, or several without a run; in seconds since 1970."""

    job: str
    outcome: str
    first: float
    last: float
    number: int


class Told(NamedTuple):
    """A row of history with the result of the run, as JSON."""

    number: int
    job: str
    group: str
    occurrence: str
    outcome: str
    result: str | None


class Ledger(NamedTuple):
    """What the store says at one moment."""

    runs: tuple[RunRow, ...]
    pending: tuple[Pending, ...]
    nodes: frozenset[str]


def read(url: str) -> Ledger:
    """Read all of it in one snapshot."""
    with _connect(url) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        runs = [_run(row) for row in connection.execute(_RUNS)]
        pending = [_pending(row) for row in connection.execute(_PENDING)]
        nodes = frozenset(name for (name,) in connection.execute("select name from mainspring.nodes"))
    return Ledger(tuple(runs), tuple(pending), nodes)


def tell(url: str) -> tuple[list[Told], dict[str, str]]:
    """Return history with its results, and the groups of the jobs that are not done, by their ids.

    That of SQLite is read beside the process that has the file.
    """
    if url.startswith("sqlite:"):
        file = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as reader:
            reader.execute("begin")
            rows, living = reader.execute(_TOLD).fetchall(), reader.execute(_LIVING).fetchall()
    else:
        with _connect(url) as connection, connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            connection.execute("set local search_path = mainspring")
            rows, living = connection.execute(_TOLD).fetchall(), connection.execute(_LIVING).fetchall()
    return [_told(*row) for row in rows], {str(job): group for job, group in living}


def _told(
    number: int, job: UUID | str, group: str, fire_time: datetime | int, outcome: str, result: str | None
) -> Told:
    if isinstance(fire_time, int):
        fire_time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=fire_time)
    return Told(number, str(job), group, _occurrence(UUID(str(job)), fire_time), outcome, result)


def occurrences(url: str) -> list[Occurrences]:
    """Return which fire times the rows of history stand for."""
    with _connect(url) as connection:
        return [
            Occurrences(str(job), outcome, first.timestamp(), (last or first).timestamp(), number)
            for job, outcome, first, last, number in connection.execute(_OCCURRENCES)
        ]


def count_pending(url: str, *, group: str | None = None, due_only: bool = False) -> int:
    """Return how many jobs (of a group, and due) are not done."""
    with _connect(url) as connection:
        row = connection.execute(
            "select count(*) from mainspring.jobs where state <> 'done' and job_group = coalesce(%(group)s, job_group)"
            " and (not %(due)s or due_at <= now())",
            {"group": group, "due": due_only},
        ).fetchone()
    assert row is not None
    return int(row[0])


def ownerless(url: str) -> set[int]:
    """Return the runs that are running on a node that has no row."""
    with _connect(url) as connection:
        return {run for (run,) in connection.execute(_OWNERLESS)}


def held(url: str, place: str) -> int:
    """Return how many jobs run under a place's name and how many nodes have it: 0 when it was given up for lost."""
    with _connect(url) as connection:
        row = connection.execute(_HELD, {"node": f"{place}:%"}).fetchone()
    assert row is not None
    return int(row[0])


def beats(url: str) -> int:
    """Return how often all nodes together have beaten."""
    with _connect(url) as connection:
        row = connection.execute("select coalesce(sum(beat), 0) from mainspring.nodes").fetchone()
    assert row is not None
    return int(row[0])


def running_since(url: str, seconds: float) -> list[int]:
    """Return the runs that were claimed longer ago than that and have not ended."""
    with _connect(url) as connection:
        rows = connection.execute(
            "select run from mainspring.jobs where state = 'running' and claimed_at < now() - %s * interval '1 s'",
            (seconds,),
        )
        return [run for (run,) in rows]


def fill(
    url: str,
    *,
    group: str,
    jobs: int,
    after: float = 0.0,
    over: float = 0.0,
    request: Mapping[str, Any] | None = None,
    product: str = "prove",
) -> frozenset[str]:
    """Write jobs faster than anybody could send them, and return their ids.

    They are due from `after` seconds from now on, evenly over so many seconds.
    """
    facts = {"product": product, "group": group, "jobs": jobs, "after": after, "over": over}
    facts["request"] = json.dumps(request or {})
    with _connect(url) as connection:
        connection.execute("set statement_timeout = 0")
        ids = frozenset(str(job) for (job,) in connection.execute(_FILL, facts))
        connection.commit()
        connection.autocommit = True
        connection.execute("vacuum analyze mainspring.jobs")
    return ids


def terminate_backends(url: str) -> int:
    """End all other sessions of the database, and return how many they were."""
    with _connect(url) as connection:
        rows = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and backend_type = 'client backend'"
        ).fetchall()
    return len(rows)


def postmaster(url: str) -> int:
    """Return the process of the server, which is on this machine."""
    with _connect(url) as connection:
        row = connection.execute("select pg_backend_pid()").fetchone()
        assert row is not None
        return int(Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()[1])


def backends(server: int) -> list[int]:
    """Return all processes of a server: its own and those that it has begotten."""
    children = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/stat")
        if int(path.read_text().rpartition(")")[2].split()[1]) == server
    ]
    return [server, *children]


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(url, connect_timeout=3, options=LIMITS, autocommit=False)


def _run(row: tuple[Any, ...]) -> RunRow:
    number, job, fire_time, due, attempt, node, started, finished, outcome, reason = row
    return RunRow(
        number,
        str(job),
        _occurrence(job, fire_time),
        due.timestamp(),
        attempt,
        node,
        started.timestamp(),
        finished.timestamp(),
        outcome,
        reason,
    )


def _pending(row: tuple[Any, ...]) -> Pending:
    job, state, attempt, run, node, fire_time, due = row
    return Pending(str(job), state, attempt, run, node, _occurrence(job, fire_time), due.timestamp())


def _occurrence(job: UUID, fire_time: datetime) -> str:
    """Name an occurrence as `mainspring.job.model.Job.occurrence_id` does."""
    return str(uuid5(job, fire_time.isoformat()))
