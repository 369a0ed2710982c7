"""A node and what people see, where a row of the store cannot be read."""

from typing import Any

import psycopg
import pytest

from mainspring.errors import NewerJobError, UnreadableJobError
from mainspring.job import GaveUp, Job, Outcome, State
from mainspring.schedule import format_time
from mainspring.store.sqlite.store import SqliteStore
from tests.node.conftest import KEY, World

UNREADABLE = {
    "due_at": ("'-infinity'", str(-(2**63))),
    "trigger": ("'{\"moon\": 1}'", "'{\"moon\": 1}'"),
    "request": ("'[]'", "'{'"),
    "options": ("'{\"maxAttempts\": 0}'", "'{\"maxAttempts\": 0}'"),
}


async def tamper(world: World, request: pytest.FixtureRequest, column: str, job: Job, *values: str) -> None:
    """Write SQL, for PostgreSQL and for SQLite, into a column of a job's row, past the store."""
    store: Any = world.store._store  # noqa: SLF001 - the one that is watched
    postgres, sqlite = values
    if isinstance(store, SqliteStore):
        sql = f'update jobs set "{column}" = {sqlite} where id = ?'  # noqa: S608 - of the test's own
        await store._call(lambda db: db.execute(sql, [str(job.id)]))  # noqa: SLF001
        return
    with psycopg.connect(request.getfixturevalue("postgres_schema"), autocommit=True) as connection:
        sql = f"update mainspring.jobs set {column} = {postgres} where id = %s"  # noqa: S608
        connection.execute(sql.encode(), [job.id])


@pytest.mark.parametrize("column", UNREADABLE)
async def test_others_run_and_the_job_is_dead(world: World, request: pytest.FixtureRequest, column: str) -> None:
    """It gave up before it began, for a reason that is listed and counted; it can be repaired and tried again."""
    bad, good = await world.create(), await world.create(after=1)
    await tamper(world, request, column, bad, *UNREADABLE[column])

    async with world.node():
        await world.happened(GaveUp)
        await world.until(lambda: good.id in {context.job_id for context in world.script.contexts})

        dead = await world.job(bad)
        assert (State.DONE, Outcome.FAILED, True) == (dead.state, dead.outcome, dead.gave_up)
        assert bad.id not in {context.job_id for context in world.script.contexts}
        (run,) = await world.runs(bad)
        assert column in (run.reason or "")
        assert 1 == (await world.store.counts())[KEY].gave_up
        with pytest.raises(UnreadableJobError, match="PATCH"):
            await world.service.control.retry_job(KEY, bad.id)

        when = format_time(world.clock.now())
        repaired = await world.service.change_job(KEY, bad.id, {"when": when, "schedule": None, "options": None})
        assert (None, State.DONE) == (repaired.damage, repaired.state)
        assert (await world.job(bad)).damage is None
        await world.service.control.retry_job(KEY, bad.id)
        await world.until(lambda: bad.id in {context.job_id for context in world.script.contexts})


@pytest.mark.parametrize("column", UNREADABLE)
async def test_pending_job_can_be_repaired_or_deleted(
    world: World, request: pytest.FixtureRequest, column: str
) -> None:
    """Before it is due; what would leave it as it is is refused."""
    bad, worse = await world.create(after=3600), await world.create(after=3600)
    for job in (bad, worse):
        await tamper(world, request, column, job, *UNREADABLE[column])

    with pytest.raises(UnreadableJobError):
        await world.service.control.pause_job(KEY, bad.id)
    when = format_time(world.clock.now())
    await world.service.change_job(KEY, bad.id, {"when": when, "schedule": None, "options": None})
    await world.service.delete_job(KEY, worse.id)

    assert (await world.job(bad)).damage is None
    assert await world.store.get(worse.id) is None


async def test_job_of_a_newer_version_is_not_touched(world: World, request: pytest.FixtureRequest) -> None:
    """Neither by the node nor by people."""
    newer, ours = await world.create(), await world.create()
    await tamper(world, request, "format", newer, "2", "2")

    async with world.node():
        await world.until(lambda: ours.id in {context.job_id for context in world.script.contexts})
        await world.pass_time(5)

    assert State.SCHEDULED is (await world.job(newer)).state
    with pytest.raises(NewerJobError):
        await world.service.change_job(KEY, newer.id, {"when": format_time(world.clock.now())})
    await world.service.delete_job(KEY, newer.id)


async def test_calendar_that_cannot_be_read_takes_no_other_with_it(world: World) -> None:
    """Those who keep to others go on."""
    await world.store.note("calendar", "bad", {"weekly": 7})
    await world.store.note("calendar", "good", {})
    job = await world.create(schedule={"every": "P1D", "calendar": "good"})

    async with world.node():
        await world.until(lambda: job.id in {context.job_id for context in world.script.contexts})


async def test_calendar_is_obeyed_from_its_answer_on(world: World) -> None:
    """Also by another node, which has not heard of it: a job that is overdue waits for the end of the stretch."""
    await world.store.note("calendar", "freeze", {})
    job = await world.create(after=1, schedule={"every": "P1D", "calendar": {"name": "freeze", "blackout": "postpone"}})

    async with world.node():
        today = world.clock.now().date().isoformat()
        await world.store.note("calendar", "freeze", {"dates": [today]})
        await world.pass_time(10)
        assert [] == world.script.contexts

    postponed = await world.job(job)
    assert (job.fire_time, Outcome.POSTPONED) == (postponed.fire_time, postponed.outcome)
