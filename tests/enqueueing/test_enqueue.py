"""Jobs are created in transactions of their callers: with them they come, and with them they go."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from mainspring import enqueue, enqueue_many
from mainspring.errors import ConfigError, InvalidRequestError, KeyTakenError, NotFoundError, SchemaError
from mainspring.job import JobFilter, JobKey, Scope, State, lifecycle, options_from_json
from mainspring.schedule import Once
from mainspring.store import PLAIN
from mainspring.store.columns import JOB_COLUMNS
from mainspring.store.enqueued import ENQUEUED_COLUMNS
from mainspring.store.postgres.store import PostgresStore
from mainspring.web.codes import CODES

BACKUPS = JobKey("vps4", "backups")
VM = UUID("79bf0c2e-7a4c-4bb4-8a3b-3f2a5c8a1d11")
SOON = datetime(2030, 1, 1, tzinfo=UTC)


def codes(error: InvalidRequestError) -> set[tuple[str, str]]:
    """Return places and codes of all problems."""
    return {(problem.pointer, problem.code) for problem in error.problems}


async def test_commit_makes_the_job(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """After the commit the job is there as if the service had created it: listed, counted, labelled, told."""
    id_ = enqueue(connection, "vps4", "backups", when=SOON, vm_id=VM, data_center="ams3", options={"tags": ["night"]})
    assert await store.get(id_) is None
    connection.commit()
    job = await store.get(id_)
    assert job is not None
    assert (BACKUPS, Once(SOON), State.SCHEDULED) == (job.key, job.trigger, job.state)
    assert {
        "when": "2030-01-01T00:00:00Z",
        "vmId": str(VM),
        "dataCenter": "ams3",
        "options": {"tags": ["night"]},
    } == dict(job.request)
    assert (7, "dc:ams3") == (job.priority, job.concurrency_key)
    assert {"t:night", "c:dc:ams3", f"f:vmId={VM}"} == set(job.labels)
    assert 1 == (await store.counts())[BACKUPS].states[State.SCHEDULED]
    assert 1 == await store.labelled(Scope(*BACKUPS), "t:night", 10)
    assert [job] == await store.page(BACKUPS, JobFilter(), after=None, limit=10)
    kinds = connection.execute("select kind, jobs from mainspring.events").fetchall()
    assert [("job.created", [id_])] == kinds


async def test_rollback_leaves_nothing(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """What is rolled back leaves no job, no count and no label, and to a savepoint alone what came after it."""
    enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
    connection.rollback()
    assert {} == await store.counts()
    kept = enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
    connection.execute("savepoint before")
    enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
    connection.execute("rollback to savepoint before")
    connection.commit()
    assert [kept] == [job.id for job in await store.page(BACKUPS, JobFilter(), after=None, limit=10)]


async def test_a_killed_client_leaves_nothing(schema_url: str, store: PostgresStore) -> None:
    """A session that ends before its commit leaves no job."""
    with closing(psycopg.connect(schema_url)) as client, psycopg.connect(schema_url, autocommit=True) as other:
        enqueue(client, "vps4", "backups", when="now", vm_id=VM)
        other.execute("select pg_terminate_backend(%s, 5000)", [client.info.backend_pid])
    assert {} == await store.counts()


async def test_nodes_claim_what_is_due(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """A job that is due is not seen by claims before the commit, and is by the next one."""
    id_ = enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
    with psycopg.connect(connection.info.dsn, autocommit=True) as listener:
        listener.execute("listen mainspring")
        connection.commit()
        heard = [notice.payload for notice in listener.notifies(timeout=10, stop_after=1)]
    job = await store.get(id_)
    assert job is not None
    assert [str((job.due_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))] == heard


async def test_all_problems_at_once(connection: psycopg.Connection[Any]) -> None:
    """What is wrong is refused with every problem, and the transaction can be used on."""
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(
            connection,
            "vps4",
            "backups",
            vm_id="no",
            nothing=1,
            place={"rack": "x"},
            options={"maxAttempts": 0, "after": [str(VM)]},
        )
    assert {
        ("/vmId", "UUID_PARSING"),
        ("/place/rack", "INT_PARSING"),
        ("/nothing", "UNKNOWN_FIELD"),
        ("/when", "REQD_FIELD_MISSING"),
        ("/options/maxAttempts", "GREATER_THAN_EQUAL"),
    } == codes(refused.value)
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(connection, "vps4", "backups", when="now")
    assert {("/vmId", "REQD_FIELD_MISSING")} == codes(refused.value)
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(
            connection, "vps4", "backups", when="now", vm_id=VM, options={"after": [str(VM)], "onConflict": "replace"}
        )
    assert {("/options/after", "AFTER_BY_JOB"), ("/options/onConflict", "REPLACE_IN_BATCH")} == codes(refused.value)
    with pytest.raises(NotFoundError, match="no node has published the job group 'moons'"):
        enqueue(connection, "vps4", "moons", when="now")
    enqueue(connection, "vps4", "backups", when="now", vm_id=VM)


async def test_code_of_the_group_is_not_skipped_in_silence(
    connection: psycopg.Connection[Any], store: PostgresStore
) -> None:
    """Checks and keys that are code are refused in words, unless the caller says what is to be."""
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(connection, "vps4", "strict", when="now", name="x")
    assert {("", "CHECKED_BY_CODE"), ("/options/concurrencyKey", "KEYED_BY_CODE")} == codes(refused.value)
    options = {"concurrencyKey": "n:x"}
    id_ = enqueue(connection, "vps4", "strict", when="now", name="x", options=options, checks_later=True)
    connection.commit()
    job = await store.get(id_)
    assert job is not None
    assert "n:x" == job.concurrency_key


async def test_groups_without_code(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """Their schema is enough, and problems have its keywords as REST gives them."""
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(connection, "vps4", "calls", when="now", name="much too long")
    assert {("/name", "MAX_LENGTH")} == codes(refused.value)
    id_ = enqueue(connection, "vps4", "calls", when="now", name="short")
    connection.commit()
    job = await store.get(id_)
    assert job is not None
    assert "host:example.com" == job.concurrency_key


async def test_a_key_that_is_taken(connection: psycopg.Connection[Any]) -> None:
    """Whose key is taken is told who has it, or gets its id; the transaction can be used on."""
    first = enqueue(connection, "vps4", "backups", when=SOON, vm_id=VM, options={"key": "k"})
    with pytest.raises(KeyTakenError) as taken:
        enqueue(connection, "vps4", "backups", when=SOON, vm_id=VM, options={"key": "k"})
    assert (BACKUPS, first) == taken.value.other
    keep = {"key": "k", "onConflict": "keep"}
    assert first == enqueue(connection, "vps4", "backups", when=SOON, vm_id=VM, options=keep)


async def test_schedules(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """A schedule may use a calendar that is written; one that is not is refused."""
    schedule: dict[str, Any] = {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}
    id_ = enqueue(connection, "vps4", "backups", schedule=schedule, vm_id=VM)
    with pytest.raises(InvalidRequestError) as refused:
        enqueue(connection, "vps4", "backups", schedule={**schedule, "calendar": "closed"}, vm_id=VM)
    assert {("/schedule/calendar", "CALENDAR_UNKNOWN")} == codes(refused.value)
    connection.commit()
    await store.note("calendar", "closed", {"dates": ["2026-12-24"]})
    enqueue(connection, "vps4", "backups", schedule={**schedule, "calendar": "closed"}, vm_id=VM)
    job = await store.get(id_)
    assert job is not None
    assert not isinstance(job.trigger, Once)


async def test_thousands_in_one_transaction(connection: psycopg.Connection[Any], store: PostgresStore) -> None:
    """Many jobs are two statements; a problem of any is told with its number, and nothing is written."""
    bodies: list[dict[str, Any]] = [{"when": SOON, "vmId": uuid4(), "copies": n} for n in range(5000)]
    ids = enqueue_many(connection, "vps4", "backups", bodies)
    connection.commit()
    assert 5000 == len(set(ids)) == (await store.counts())[BACKUPS].states[State.SCHEDULED]
    job = await store.get(ids[4999])
    assert job is not None
    assert 4999 == job.request["copies"]
    bodies[17] = {"when": "tomorrow", "vmId": 5, "options": {"key": "k"}}
    bodies[18]["options"] = {"key": "k"}
    with pytest.raises(InvalidRequestError) as refused:
        enqueue_many(connection, "vps4", "backups", bodies)
    assert {"/17/when", "/17/vmId", "/18/options/key"} == {problem.pointer for problem in refused.value.problems}
    with pytest.raises(InvalidRequestError, match="up to 10000 jobs"):
        enqueue_many(connection, "vps4", "backups", [{}] * 10_001)
    assert [] == enqueue_many(connection, "vps4", "backups", [])


@pytest.mark.usefixtures("store")
async def test_other_schemas_are_refused(schema_url: str) -> None:
    """A database without the schema, or with one of another version, is refused in words."""
    with psycopg.connect(schema_url) as connection:
        connection.execute("update mainspring.alembic_version set version_num = '9999'")
        with pytest.raises(SchemaError, match="is version 9999, newer than this Mainspring knows"):
            enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
        connection.rollback()
        connection.execute("drop schema mainspring cascade")
        with pytest.raises(SchemaError, match="no schema of Mainspring"):
            enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
        connection.rollback()


def test_what_is_no_connection() -> None:
    """Anything else is refused, also another database."""
    with pytest.raises(TypeError, match="str is no connection"):
        enqueue("postgresql://", "vps4", "backups")  # type: ignore[call-overload]
    with (
        sqlalchemy.create_engine("sqlite://").connect() as connection,
        pytest.raises(TypeError, match="this one is to sqlite"),
    ):
        enqueue(connection, "vps4", "backups")


def test_codes_are_documented() -> None:
    """Each that only `enqueue` gives is on its page."""
    root = Path(__file__).parents[2]
    page = (root / "docs/enqueue.md").read_text("utf-8")
    sources = [path.read_text("utf-8") for path in (root / "src/mainspring/enqueueing").glob("*.py")]
    codes = {code for text in sources for code in re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', text)}
    assert {"CHECKED_BY_CODE", "KEY_IN_MANY"} < codes
    assert [] == [code for code in sorted(codes - CODES.keys()) if f"`{code}`" not in page]


def test_columns_that_are_not_written_keep_their_defaults() -> None:
    """A new job has nothing in the columns that are left to their defaults."""
    job, _ = lifecycle.create(
        job_id=VM, key=BACKUPS, request={}, trigger=Once(SOON), options=a_lot(), now=SOON, calendars={}
    )
    row = PLAIN.job_values(job)
    assert all(row[name] in {None, False} for name in set(JOB_COLUMNS) - set(ENQUEUED_COLUMNS))


def a_lot() -> Any:
    """Options of many kinds."""
    return options_from_json({"paused": True, "key": "k", "tags": ["t"], "maxAttempts": 3, "concurrencyKey": "c"})


# --- drivers


def test_no_driver_is_loaded() -> None:
    """`import mainspring` loads nothing more, and `enqueue` no driver but that of the connection, which is there."""
    code = (
        "import sys, mainspring\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('mainspring', 'pydantic'))))\n"
        "mainspring.enqueue\n"
        "try: mainspring.enqueue(None, 'vps4', 'backups')\n"
        "except TypeError: pass\n"
        "print(*{'alembic', 'aiosql', 'asyncpg', 'psycopg', 'sqlalchemy'} & set(sys.modules))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ["mainspring", ""] == ran.stdout.splitlines()


@pytest.mark.parametrize("factory", [Session, sqlalchemy.Connection])
async def test_sqlalchemy(schema_url: str, store: PostgresStore, factory: Any) -> None:
    """Both a connection and a session of SQLAlchemy carry the job."""
    engine = sqlalchemy.create_engine(schema_url.replace("postgresql", "postgresql+psycopg", 1), poolclass=NullPool)
    with Session(engine) if factory is Session else engine.connect() as given:
        enqueue(given, "vps4", "backups", when=SOON, vm_id=uuid4())
        given.rollback()
        id_ = enqueue(given, "vps4", "backups", when=SOON, vm_id=VM)
        given.commit()
    assert [id_] == [job.id for job in await store.page(BACKUPS, JobFilter(), after=None, limit=10)]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("session", [False, True])
async def test_sqlalchemy_on_a_loop(schema_url: str, store: PostgresStore, driver: str, *, session: bool) -> None:
    """The same on an event loop, over either driver."""
    engine = create_async_engine(schema_url.replace("postgresql", f"postgresql+{driver}", 1), poolclass=NullPool)
    async with AsyncSession(engine) if session else engine.connect() as given:
        await enqueue(given, "vps4", "backups", when=SOON, vm_id=uuid4())
        await given.rollback()
        id_ = await enqueue(given, "vps4", "backups", when=SOON, vm_id=VM, data_center="ü%:x")
        await given.commit()
    assert [id_] == [job.id for job in await store.page(BACKUPS, JobFilter(), after=None, limit=10)]


@asynccontextmanager
async def pooled(url: str) -> Any:
    """A connection of a pool of asyncpg."""
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        yield connection


@asynccontextmanager
async def with_codecs(url: str) -> Any:
    """A connection of asyncpg that was told how to write JSON."""
    connection = await asyncpg.connect(url)
    try:
        await connection.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("connect", [pooled, with_codecs])
async def test_asyncpg(schema_url: str, store: PostgresStore, connect: Callable[[str], Any]) -> None:
    """Connections of asyncpg carry the job, whatever codecs they have."""
    async with connect(schema_url) as given:
        transaction = given.transaction()
        await transaction.start()
        await enqueue(given, "vps4", "backups", when=SOON, vm_id=uuid4())
        await transaction.rollback()
        async with given.transaction():
            id_ = await enqueue(given, "vps4", "backups", when=SOON, vm_id=VM)
            (other,) = await enqueue_many(given, "vps4", "backups", [{"when": SOON, "vm_id": VM}])
    found = await store.page(BACKUPS, JobFilter(), after=None, limit=10)
    assert {id_, other} == {job.id for job in found}
    assert [{"when": "2030-01-01T00:00:00Z", "vmId": str(VM)}] * 2 == [dict(job.request) for job in found]


async def test_psycopg_on_a_loop(schema_url: str, store: PostgresStore) -> None:
    """A connection of psycopg on an event loop carries the job, whatever its rows are like."""
    async with await psycopg.AsyncConnection.connect(schema_url, row_factory=dict_row) as given:
        id_ = await enqueue(given, "vps4", "backups", when=SOON, vm_id=VM)
    assert [id_] == [job.id for job in await store.page(BACKUPS, JobFilter(), after=None, limit=10)]


@pytest.mark.usefixtures("store")
async def test_a_role_without_rights(schema_url: str) -> None:
    """A role that may not create jobs is refused with what helps."""
    with psycopg.connect(schema_url) as connection:
        connection.execute("create role nobody_at_all")
        connection.execute("set local role nobody_at_all")
        with pytest.raises(ConfigError, match="mainspring db enqueue-role"):
            enqueue(connection, "vps4", "backups", when="now", vm_id=VM)
        connection.rollback()
