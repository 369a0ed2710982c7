"""Programs create jobs while nodes claim them: each job that is committed runs, once."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from mainspring import enqueue, enqueue_many
from mainspring.store import NodeBeat
from mainspring.store.postgres.store import PostgresStore
from tests.contract.build import BACKUPS, NODE, claim, ended, history

TRANSACTIONS, PROGRAMS = 20, 4
BODY: dict[str, Any] = {"when": "now", "vm_id": "79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11"}


def a_program(url: str) -> set[UUID]:
    """Create jobs; one transaction of three is rolled back, one leaves out the job after its savepoint."""
    committed = set()
    with psycopg.connect(url) as connection:
        for number in range(TRANSACTIONS):
            ids = {enqueue(connection, "vps4", "backups", **BODY)}
            if number % 3 == 1:
                connection.rollback()
                continue
            with connection.transaction(force_rollback=number % 3 == 2):
                more = enqueue_many(connection, "vps4", "backups", [BODY] * 2)
            connection.commit()
            committed |= ids if number % 3 else ids | set(more)
    return committed


async def test_each_job_that_is_committed_runs_once(schema_url: str, store: PostgresStore) -> None:
    """And none that was rolled back."""
    await store.join(NodeBeat(NODE))
    programs = asyncio.gather(*(asyncio.to_thread(a_program, schema_url) for _ in range(PROGRAMS)))
    ran: Counter[UUID] = Counter()
    async with asyncio.timeout(120):
        while not programs.done() or (await store.next_due([BACKUPS])) is not None:
            claims = await claim(store)
            ran.update(each.job.id for each in claims)
            await store.finish([ended(each.job) for each in claims])
    committed = set().union(*await programs)
    assert dict.fromkeys(committed, 1) == ran
    assert committed == {run.job_id for run in await history(store)}


@pytest.mark.usefixtures("store")
async def test_a_key_that_two_transactions_want(schema_url: str) -> None:
    """The second waits for the first: if that is rolled back it has the key, else it is told who has it."""
    options = {"key": str(uuid4()), "onConflict": "keep"}
    with psycopg.connect(schema_url) as first, psycopg.connect(schema_url) as second:
        for commit in (False, True):
            one = enqueue(first, "vps4", "backups", options=options, **BODY)
            other = asyncio.create_task(asyncio.to_thread(enqueue, second, "vps4", "backups", options=options, **BODY))
            await waits(schema_url, second.info.backend_pid)
            (first.commit if commit else first.rollback)()
            assert (one == await other) is commit
            second.rollback()


@pytest.mark.usefixtures("store")
async def test_a_key_that_a_snapshot_does_not_show(schema_url: str) -> None:
    """What was taken after the snapshot of a transaction is an error of the driver, which asks for another try."""
    options = {"key": str(uuid4())}
    with psycopg.connect(schema_url) as late, psycopg.connect(schema_url) as early:
        late.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        late.execute("select 1 from mainspring.jobs")
        enqueue(early, "vps4", "backups", options=options, **BODY)
        early.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            enqueue(late, "vps4", "backups", options=options, **BODY)
        late.rollback()


async def waits(url: str, pid: int) -> None:
    """Return when a session waits for another."""
    async with asyncio.timeout(30), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            found = await (await connection.execute("select cardinality(pg_blocking_pids(%s))", [pid])).fetchone()
            if found != (0,):
                return
