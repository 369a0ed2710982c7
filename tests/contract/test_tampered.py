"""Rows that no version of ours wrote: whatever is wrong with one, it stops nobody else, and people can see it."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from mainspring.job import Claim, Ending, Job, Outcome, State, lifecycle
from mainspring.job.history import ended as ended_run
from mainspring.store import Answer, NodeBeat, Store
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore
from tests.contract.build import ALL, BACKUPS, DONE, NODE, a_job, claim, ended, jobs_of

Tamper = Callable[..., Awaitable[None]]
DEEP = '{"a":' * 5000 + "1" + "}" * 5000

# What stands in a column, in SQL: for all stores, or for PostgreSQL and for SQLite.
DAMAGED = {
    "due at the beginning of time": ("due_at", "'-infinity'", str(-(2**63))),
    "due in the year 20000 BC": ("due_at", "'4713-01-01 BC'", str(-(10**17) * 2)),
    "fired at the end of time": ("fire_time", "'infinity'", str(2**63 - 1)),
    "fired in the year 10000": ("fire_time", "'10000-01-01'", str(253402300800 * 10**6)),
    "made at the end of time": ("created_at", "'infinity'", str(2**63 - 1)),
    "made in the year 1": ("created_at", "'0001-01-01'", str(-62135596800 * 10**6)),
    "a list as request": ("request", "'[]'", "'[]'"),
    "a text as request": ("request", "'\"text\"'", "'\"text\"'"),
    "a number as request": ("request", "'7'", "'7'"),
    "null as request": ("request", "'null'", "'null'"),
    "a request that is too deep": ("request", f"'{DEEP}'", f"'{DEEP}'"),
    "an unknown trigger": ("trigger", '\'{"moon": "full"}\'', '\'{"moon": "full"}\''),
    "a list as trigger": ("trigger", "'[]'", "'[]'"),
    "a text as trigger": ("trigger", "'\"daily\"'", "'\"daily\"'"),
    "a trigger that is too deep": ("trigger", f"'{DEEP}'", f"'{DEEP}'"),
    "a trigger without a start": ("trigger", '\'{"every": "P1D"}\'', '\'{"every": "P1D"}\''),
    "a trigger with a wrong moment": ("trigger", '\'{"at": "soon"}\'', '\'{"at": "soon"}\''),
    "a list as options": ("options", "'[]'", "'[]'"),
    "an option out of range": ("options", "'{\"maxAttempts\": 0}'", "'{\"maxAttempts\": 0}'"),
    "an option of the wrong type": ("options", "'{\"timeout\": []}'", "'{\"timeout\": []}'"),
    "an unknown outcome": ("outcome", "'exploded'", "'exploded'"),
}
ONLY_SQLITE = {
    "a request that is no JSON": ("request", "'{'"),
    "a request that is no text": ("request", "cast(x'7b22ff227d' as text)"),
    "a trigger that is no JSON": ("trigger", "'daily'"),
    "options that are no JSON": ("options", "'-'"),
}
EXTREME = {
    "no more attempts": ("attempt", str(2**31 - 1)),
    "no more versions": ("version", str(2**63 - 1)),
    "no more failures": ("failures", str(2**31 - 1)),
}


@pytest.fixture
def tamper(request: pytest.FixtureRequest, store: Store) -> Tamper:
    """Write SQL into a column of a row of a job, past the store."""

    async def tamper(column: str, value: str, job: Job, table: str = "jobs", of: str = "id") -> None:
        if isinstance(store, SqliteStore):
            sql = f'update {table} set "{column}" = {value} where {of} = ?'  # noqa: S608 - of the test's own
            await store._call(lambda db: db.execute(sql, [str(job.id)]))  # noqa: SLF001 - past the store
            return
        with psycopg.connect(request.getfixturevalue("schema_url"), autocommit=True) as connection:
            sql = f"update mainspring.{table} set {column} = {value} where {of} = %s"  # noqa: S608
            connection.execute(sql.encode(), [job.id])

    return tamper


def given(store: Store, kind: str) -> tuple[str, str]:
    """Return the column and the value of a kind of damage on a store."""
    column, postgres, sqlite = DAMAGED[kind]
    return column, postgres if isinstance(store, PostgresStore) else sqlite


def set_aside(job: Job, claimed: Claim) -> Any:
    """End the run of a job that cannot be read."""
    assert job.damage is not None
    ending = Ending(Outcome.FAILED, job.damage.reason)
    return lifecycle.set_aside(job, ended_run(job, ending, started_at=claimed.at, now=claimed.at), now=claimed.at)


async def ended_with_others(store: Store, bad: Job, good: list[Job]) -> Job:
    """Claim and end all; return the bad one as people see it in the end."""
    claims = {claimed.job.id: claimed for claimed in await claim(store)}
    assert {bad.id, *(job.id for job in good)} == claims.keys()
    assert [None, None] == [claims[job.id].job.damage for job in good]
    of_bad = claims[bad.id]
    assert [bad.id] == [each.job.id for each in await store.holding(NODE) if each.job.damage]

    await store.finish([set_aside(of_bad.job, of_bad), *(ended(claims[job.id].job) for job in good)])

    assert {bad.id, *(job.id for job in good)} <= {
        job.id for job in await store.page(BACKUPS, DONE, after=None, limit=ALL)
    }
    assert [bad.id] == [run.job_id for run in await store.runs(BACKUPS, bad.id, before=None, limit=ALL)]
    seen = await store.get(bad.id)
    assert seen is not None
    return seen


@pytest.mark.parametrize("kind", DAMAGED)
async def test_row_that_cannot_be_read_stops_nobody(store: Store, tamper: Tamper, kind: str) -> None:
    """It is claimed with its damage, ends as dead, and is shown with what stands there."""
    bad, good = a_job(), [a_job(), a_job()]
    await store.join(NodeBeat(NODE))
    await store.add([bad, *good])
    column, value = given(store, kind)
    await tamper(column, value, bad)

    listed = (await jobs_of(store))[bad.id]
    assert listed.damage is not None
    assert (State.SCHEDULED, [column]) == (listed.state, [*listed.damage.raw])
    assert column in listed.damage.reason
    if column != "outcome":  # a claim does not depend on how the run before ended
        seen = await ended_with_others(store, bad, good)
        assert (State.DONE, True) == (seen.state, seen.is_dead)


@pytest.mark.parametrize("kind", ONLY_SQLITE)
async def test_text_that_is_no_value_stops_nobody(store: Store, tamper: Tamper, kind: str) -> None:
    """The columns of PostgreSQL refuse it."""
    if isinstance(store, PostgresStore):
        pytest.skip("PostgreSQL does not take such a value")
    bad, good = a_job(), [a_job(), a_job()]
    await store.join(NodeBeat(NODE))
    await store.add([bad, *good])
    await tamper(*ONLY_SQLITE[kind], bad)

    assert (await ended_with_others(store, bad, good)).is_dead


@pytest.mark.parametrize("kind", EXTREME)
async def test_number_that_cannot_grow_stops_nobody(store: Store, tamper: Tamper, kind: str) -> None:
    """The job is claimed, and ends like others."""
    bad, good = a_job(), [a_job(), a_job()]
    await store.join(NodeBeat(NODE))
    await store.add([bad, *good])
    await tamper(*EXTREME[kind], bad)

    claims = await claim(store)

    assert {bad.id, *(job.id for job in good)} == {claimed.job.id for claimed in claims}
    assert [Answer.DONE] * 3 == await store.finish([ended(claimed.job) for claimed in claims])


async def test_row_of_a_newer_version_is_left_to_others(store: Store, tamper: Tamper) -> None:
    """It is shown, neither claimed nor waited for, and given up by nobody who cannot read it."""
    newer, ours = a_job(), a_job()
    await store.join(NodeBeat(NODE))
    await store.add([newer, ours])
    await tamper("format", "2", newer)

    assert [ours.id] == [claimed.job.id for claimed in await claim(store)]
    assert await store.next_due([BACKUPS]) is None
    shown = await store.get(newer.id)
    assert shown is not None and shown.damage is not None  # noqa: PT018
    assert (True, {"format": 2}) == (shown.damage.is_newer, shown.damage.raw)


@pytest.mark.parametrize(
    ("column", "in_postgres", "in_sqlite"),
    [
        ("fire_time", "'infinity'", str(2**63 - 1)),
        ("due_at", "'-infinity'", str(-(2**63))),
        ("outcome", "'exploded'", "'exploded'"),
    ],
)
async def test_history_that_cannot_be_read_is_shown(
    store: Store, tamper: Tamper, column: str, in_postgres: str, in_sqlite: str
) -> None:
    """The other rows come as ever."""
    jobs = [a_job(), a_job()]
    await store.join(NodeBeat(NODE))
    await store.add(jobs)
    await store.finish([ended(claimed.job) for claimed in await claim(store)])
    value = in_postgres if isinstance(store, PostgresStore) else in_sqlite
    await tamper(column, value, jobs[0], "runs", "job_id")

    runs = {run.job_id: run for run in await store.runs(BACKUPS, None, before=None, limit=ALL)}
    shown = {job.id: job for job in await store.page(BACKUPS, DONE, after=None, limit=ALL)}

    assert (True, False) == tuple(runs[job.id].damage is not None for job in jobs)
    assert (True, False) == tuple(shown[job.id].damage is not None for job in jobs)


async def test_notes_that_are_no_json_come_as_they_are(store: Store) -> None:
    """Whoever reads them finds out; the others are read."""
    if isinstance(store, PostgresStore):
        pytest.skip("PostgreSQL does not take such a value")
    await store.note("calendar", "good", {})
    await store.note("calendar", "bad", {})
    assert isinstance(store, SqliteStore)
    await store._call(lambda db: db.execute("update notes set value = '{' where name = 'bad'"))  # noqa: SLF001

    assert {"good": {}, "bad": "{"} == await store.notes("calendar")
