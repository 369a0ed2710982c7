"""Jobs and history of every schema that there has been are there after the upgrade."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg

from mainspring.clock import ManualClock
from mainspring.job import Counts, JobFilter, JobKey, Outcome, State
from mainspring.store import Store
from mainspring.store.migrations import statements
from mainspring.store.postgres.schema import upgrade_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.rows import to_microseconds
from mainspring.store.sqlite.store import SqliteStore
from tests.postgres import temporary_database

KEY = JobKey("vps4", "backups")
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
WAITING, RUNNING, DONE, FORGOTTEN = (UUID(int=n) for n in range(1, 5))
JOBS = """
insert into {0}jobs (id, product, job_group, request, state, paused, fire_time, due_at, attempt, failures, losses, run,
    node, claimed_at, outcome, version, created_at, updated_at) values
    ('{1}', 'vps4', 'backups', '{{"n": 1}}', 'scheduled', {false}, {at}, {at},
        1, 1, 0, null, null, null, 'failed', 5, {at}, {at}),
    ('{2}', 'vps4', 'backups', '{{"n": 2}}', 'running', {false}, {at}, {at},
        1, 0, 0, 7, 'node', {at}, null, 2, {at}, {at}),
    ('{3}', 'vps4', 'backups', '{{"n": 3}}', 'done', {false}, {at}, {at},
        1, 0, 0, null, null, null, 'succeeded', 3, {at}, {at}),
    ('{4}', 'vps4', 'backups', '{{"n": 4}}', 'done', {false}, {at}, {at},
        1, 1, 0, null, null, null, 'failed', 3, {at}, {at})
"""
RUNS = """
insert into {0}runs (number, job_id, product, job_group, fire_time, due_at, attempt, node, started_at, finished_at,
    outcome, reason) values
    (4, '{1}', 'vps4', 'backups', {at}, {at}, 1, 'node', {at}, {at}, 'failed', 'it was'),
    (5, '{3}', 'vps4', 'backups', {at}, {at}, 1, 'node', {at}, {at}, 'succeeded', null)
"""
IDS = (WAITING, RUNNING, DONE, FORGOTTEN)


async def check(store: Store) -> None:
    """Look at what the upgrade made of the jobs."""
    await store.open()
    try:
        waiting, running, done, forgotten = [await store.get(id_) for id_ in IDS]
        assert waiting is not None
        assert (State.SCHEDULED, 5, 1, AT) == (waiting.state, waiting.version, waiting.failures, waiting.due_at)
        assert {"n": 1} == waiting.request
        assert waiting.last_run is not None
        assert (4, "it was", AT) == (waiting.last_run.number, waiting.last_run.reason, waiting.last_run.finished_at)
        assert running is not None
        assert (State.RUNNING, 7, "node", AT) == (running.state, running.run, running.node, running.claimed_at)
        assert done is not None
        assert (State.DONE, Outcome.SUCCEEDED, 3, {"n": 3}) == (done.state, done.outcome, done.version, done.request)
        assert forgotten is not None
        assert forgotten.is_dead
        assert {KEY: Counts({State.SCHEDULED: 1, State.RUNNING: 1, State.DONE: 2}, gave_up=1)} == await store.counts()
        listed = await store.page(KEY, JobFilter(frozenset({State.DONE})), after=None, limit=10)
        assert {DONE, FORGOTTEN} == {job.id for job in listed}
        assert [4] == [run.number for run in await store.runs(KEY, WAITING, before=None, limit=10)]
        await store.prune(timedelta(days=3650))
    finally:
        await store.close()


async def test_upgrade_of_postgres(postgres_url: str) -> None:
    """From the first schema on."""
    with temporary_database(postgres_url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements("postgres", "0001"):
                connection.execute(statement.encode())
            for text in (JOBS, RUNS):
                filled = text.format("mainspring.", *IDS, at=f"'{AT.isoformat()}'", false="false")
                connection.execute(filled.encode())
            connection.execute("create table mainspring.alembic_version (version_num varchar(32) primary key)")
            connection.execute("insert into mainspring.alembic_version values ('0001')")
        upgrade_schema(url)
        await check(PostgresStore(url))


async def test_upgrade_of_sqlite(tmp_path: Path) -> None:
    """From the first schema on, by whatever opens the file."""
    path = tmp_path / "jobs.db"
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements("sqlite", "0001"):
        db.execute(statement)
    for text in (JOBS, RUNS):
        db.execute(text.format("", *IDS, at=to_microseconds(AT), false="0"))
    db.execute("create table alembic_version (version_num varchar(32) primary key)")
    db.execute("insert into alembic_version values ('0001')")
    db.close()

    await check(SqliteStore(path, ManualClock()))


def test_bodies_between_dollars_belong_to_their_statement() -> None:
    """A function is one statement, whatever is in it."""
    functions = [text for text in statements("postgres", "0002") if text.startswith("create function")]

    assert [True] * len(functions) == [text.endswith("$$") for text in functions]
    assert len(functions) == 2
