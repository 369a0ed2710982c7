"""What only a store can show that several processes use at once, and what only a database with a clock of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from mainspring.clock import ManualClock
from mainspring.errors import SchemaChangedError, SchemaError, StoreUnavailableError
from mainspring.job import Claim, Counts, JobKey, State
from mainspring.store import NodeBeat, Store
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from tests.contract.build import ALL, ANY, BACKUPS, NODE, START, a_job, claim, due_in, opened
from tests.postgres import PostgresServer, temporary_database


@pytest.fixture
async def two(empty_url: str, clock: ManualClock) -> AsyncIterator[list[Store]]:
    """Two stores on one database, as two processes have them."""
    async with opened(PostgresStore(empty_url, clock)) as one, opened(PostgresStore(empty_url, clock)) as other:
        yield [one, other]


@pytest.fixture
def edit(empty_url: str) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction, which is rolled back unless it is committed."""
    with psycopg.connect(empty_url) as connection:
        yield connection
        connection.rollback()


async def test_two_stores_claim_each_job_once(two: list[Store]) -> None:
    """Of 2,000 jobs that two nodes claim with all they have, each goes to one of them, under one number."""
    jobs = [a_job() for _ in range(2000)]
    await two[0].add(jobs)
    for number, store in enumerate(two):
        await store.join(NodeBeat(f"node-{number}"))

    async def claim_all(store: Store, node: str) -> list[Claim]:
        claims: list[Claim] = []
        while batch := await claim(store, node=node, limit=20):
            claims += batch
        return claims

    hands = [claim_all(store, f"node-{number}") for number, store in enumerate(two) for _ in range(4)]
    claims = [one for batch in await asyncio.gather(*hands) for one in batch]

    assert sorted(job.id for job in jobs) == sorted(one.job.id for one in claims)
    assert len(jobs) == len({one.job.run for one in claims})
    assert {"node-0", "node-1"} == {one.job.node for one in claims}


async def test_claim_passes_over_what_others_hold(two: list[Store], edit: psycopg.Connection) -> None:
    """A job that somebody is writing at the moment is left to them, without waiting."""
    held, free = a_job(fire_at=START), a_job(fire_at=START)
    await two[0].add([held, free])
    await two[0].join(NodeBeat(NODE))
    edit.execute("select from mainspring.jobs where id = %s for update", [held.id])

    assert [free.id] == [one.job.id for one in await claim(two[0])]


async def test_batch_holds_up_nobody(two: list[Store], edit: psycopg.Connection) -> None:
    """A single job shares no commit with a batch, which takes long and may fail as a whole."""
    job, lone = a_job(), a_job()
    await two[0].add([job])
    edit.execute("delete from mainspring.jobs where id = %s", [job.id])  # who adds the job again waits for us
    batch = [job, *(a_job() for _ in range(100))]

    answers = await asyncio.gather(two[0].add(batch), two[0].add([lone]), return_exceptions=True)

    assert [StoreUnavailableError, type(None)] == [type(answer) for answer in answers]
    assert lone == await two[0].get(lone.id)


@pytest.mark.parametrize(
    ("change", "verb"),
    [
        ("alter table mainspring.jobs add column colour text not null default ''", "add"),
        ("alter table mainspring.jobs rename column due_at to due", "get"),
        ("drop type mainspring.ended cascade", "finish"),
        ("alter table mainspring.jobs rename column format to form", "claim"),
    ],
)
async def test_schema_that_is_upgraded_under_a_store_is_told(
    postgres_url: str, clock: ManualClock, change: str, verb: str
) -> None:
    """Whatever no longer fits is said to be that, not a bug: a restart with the other version helps."""
    with temporary_database(postgres_url) as url:
        rebuild_schema(url)
        async with opened(PostgresStore(url, clock)) as store:
            job = a_job(fire_at=START)
            await store.add([job])
            await store.join(NodeBeat(NODE))
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "add": lambda: store.add([a_job()]),
                "get": lambda: store.get(job.id),
                "claim": lambda: claim(store),
                "finish": lambda: store.finish([]),
            }
            await calls[verb]()
            with psycopg.connect(url) as connection:
                connection.execute(change.encode())
                connection.execute("update mainspring.alembic_version set version_num = '9999'")

            with pytest.raises(SchemaChangedError, match="was brought to version 9999 while this Mainspring"):
                await calls[verb]()


async def test_a_schema_that_was_put_back_costs_one_call(two: list[Store], empty_url: str) -> None:
    """A connection remembers the types of a schema; after a restore from a backup they are others of the same names."""
    await two[0].add([a_job()])
    await asyncio.to_thread(rebuild_schema, empty_url)
    job = a_job()
    with pytest.raises(StoreUnavailableError):
        await two[0].add([job])
    await two[0].add([job])
    assert job == await two[0].get(job.id)


async def test_wait_for_a_lock_ends(two: list[Store], edit: psycopg.Connection) -> None:
    """A database that is held up costs an error within seconds, never a hang."""
    edit.execute("lock table mainspring.jobs in access exclusive mode")

    with pytest.raises(StoreUnavailableError):
        await two[0].page(BACKUPS, ANY, after=None, limit=ALL)


async def test_lost_connections_are_replaced(two: list[Store], edit: psycopg.Connection) -> None:
    """A database that came back is used again."""
    terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mainspring'"
    edit.execute(terminate)

    with pytest.raises(StoreUnavailableError):
        await two[0].nodes()

    assert [] == await two[0].nodes()


async def test_without_a_clock_the_database_tells_the_time(empty_url: str) -> None:
    """Due is judged by the database, whatever the time is on the node."""
    past, future = datetime(2001, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
    job = a_job(fire_at=past)
    async with opened(PostgresStore(empty_url)) as store:
        await store.join(NodeBeat(NODE))
        await store.add([job, a_job(fire_at=future)])
        with psycopg.connect(empty_url) as connection:
            [[before]] = connection.execute("select clock_timestamp()").fetchall()

        assert past - before >= (await due_in(store, [job.key]) or timedelta())
        [claimed] = await claim(store)

        assert job.id == claimed.job.id
        assert before <= claimed.at <= await store.now()
        assert timedelta() == claimed.at.utcoffset()


def test_moments_survive_as_numbers(edit: psycopg.Connection) -> None:
    """Each microsecond is a moment, up to the year 2105, and none stays none."""
    exact = """
        select count(*) from generate_series(0, 4290000000000000, 4290000007) n
        where mainspring.moment(n) <> timestamptz 'epoch' + n * interval '1 microsecond'
    """

    assert [(0,)] == edit.execute(exact).fetchall()
    assert [(None,)] == edit.execute("select mainspring.moment(null)").fetchall()


async def test_columns_that_are_not_ours_are_refused_at_start(postgres_url: str) -> None:
    """Rows are written by the order of the table: a column more would put values in the wrong place."""
    with temporary_database(postgres_url) as url:
        rebuild_schema(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter table mainspring.jobs add column colour text")
        with pytest.raises(SchemaError, match=r"mainspring\.jobs has the columns .*, colour; this Mainspring writes"):
            await PostgresStore(url).open()


async def test_counts_that_many_writes_added_are_added_up(two: list[Store], edit: psycopg.Connection) -> None:
    """They say the same, in few rows; those of days that are forgotten go with them."""
    edit.execute(
        "insert into mainspring.counts (product, job_group, state, gave_up, day, jobs) "
        "select 'p', 'g', 'done', n % 2 = 0, '2000-01-01'::date + n % 4, 1 from generate_series(1, 2000) n"
    )
    edit.commit()
    key = JobKey("p", "g")
    assert Counts({State.DONE: 2000}, 1000) == (await two[0].counts())[key]

    await asyncio.gather(*(store.prune(timedelta(days=365_000)) for store in two))

    assert Counts({State.DONE: 2000}, 1000) == (await two[0].counts())[key]
    assert 4 == (edit.execute("select count(*) from mainspring.counts").fetchone() or (0,))[0]
    await two[0].prune(timedelta(days=1))
    assert {} == await two[0].counts()


DEFAULTS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "search_path": "elsewhere",
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "1",
    "transaction_timeout": "1",
    "timezone": "Asia/Tokyo",
    "datestyle": "German, DMY",
    "synchronous_commit": "off",
    "enable_seqscan": "on",
}
"""What a role or a database may have set for its sessions: each would do us harm."""


@pytest.mark.parametrize("owner", ["database", "role"])
async def test_defaults_of_role_and_database_do_not_matter(postgres: PostgresServer, owner: str) -> None:
    """Neither for what looks, nor for what changes the schema, nor for what a node does."""
    past = datetime(2001, 1, 1, 12, tzinfo=UTC)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        with temporary_database(postgres.url()) as url:
            name, role = url.rpartition("/")[2], f"role_{url.rpartition('_')[2]}"
            theirs = url.replace("postgres@", f"{role}@")
            connection.execute(f"create role {role} login superuser".encode())
            for key, value in DEFAULTS.items():
                which = f"database {name}" if owner == "database" else f"role {role}"
                connection.execute(f"alter {which} set {key} = '{value}'".encode())
            await asyncio.to_thread(rebuild_schema, theirs)
            mine = PostgresStore(theirs)
            async with opened(mine) as store:
                await store.join(NodeBeat(NODE))
                await store.add([a_job(fire_at=past) for _ in range(20)])
                assert (await store.beat(NODE)).alive
                assert [past] * 20 == [one.job.due_at for one in await claim(store, limit=20)]
                assert {BACKUPS: Counts({State.RUNNING: 20})} == await store.counts()
                await store.prune(timedelta(days=1))
                async with mine._jobs.connection() as session:  # noqa: SLF001 - the durability of its commits
                    assert "on" == await session.fetchval("show synchronous_commit")
        connection.execute(f"drop role {role}".encode())
