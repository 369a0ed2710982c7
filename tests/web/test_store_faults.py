"""Every way in which a driver can fail, at every statement of every call: 503, never an empty list, a 404 or a success.

`tests/web/test_store_away.py` lets whole verbs of a store fail; here it is the real stores, over drivers that fail
before a statement, so that nothing was done, or after it, so that nobody knows.
"""

import errno
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import asyncpg
import httpx2
import psycopg
import pytest

from mainspring.clock import ManualClock
from mainspring.store import NodeBeat, Store
from mainspring.store.postgres.schema import rebuild_schema
from mainspring.store.postgres.store import PostgresStore
from mainspring.store.sqlite.store import SqliteStore
from tests.web.answers import at, refusal, refused
from tests.web.conftest import Jobs, MakeApp, client_of
from tests.web.plugin import BACKUPS
from tests.web.test_store_away import CALLS, body_of

AWAY = refused(503, "STORE_UNAVAILABLE")
LIES = {200, 201, 204, 304, 404}

POSTGRES: list[Exception] = [
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.ConnectionFailureError("connection failure"),
    asyncpg.InvalidAuthorizationSpecificationError("role may not log in"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
    asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.InsufficientPrivilegeError("permission denied for table jobs"),
    asyncpg.UndefinedTableError("relation does not exist"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.PostgresIOError("could not read block"),
    asyncpg.InternalServerError("unexpected chunk number"),
    asyncpg.DataCorruptedError("invalid page"),
    asyncpg.IndexCorruptedError("index is not a btree"),
    asyncpg.InterfaceError("the underlying connection is closed"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    TimeoutError(),
]
SQLITE: list[Exception] = [
    sqlite3.OperationalError("database is locked"),
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    sqlite3.OperationalError("no such table: jobs"),
    sqlite3.DatabaseError("database disk image is malformed"),
    sqlite3.DatabaseError("file is not a database"),
    sqlite3.InternalError("internal error"),
]
CLASHES: list[Exception] = [
    asyncpg.UniqueViolationError("duplicate key value violates unique constraint"),
    asyncpg.DataError("invalid input"),
    sqlite3.IntegrityError("UNIQUE constraint failed: jobs.id"),
    sqlite3.DataError("string or blob too big"),
]
"""What says that the rows are wrong, which is our fault or another's, and no answer either."""


class Faults:
    """What is to go wrong: `error`, from the statement with that number on, before it is sent or after its answer."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._left = 0
        self._after = False

    @contextmanager
    def injected(self, error: Exception, left: int, *, after: bool) -> Iterator[None]:
        """Let so many statements through, then none."""
        self._error, self._left, self._after = error, left, after
        yield
        self._error = None

    def before(self) -> None:
        """Fail before a statement, if it is its turn."""
        self._left -= 1
        if self._error is not None and self._left < 0 and not self._after:
            raise self._error

    def after(self) -> None:
        """Fail after a statement, if it is its turn."""
        if self._error is not None and self._left < 0 and self._after:
            raise self._error


@pytest.fixture
def faults() -> Faults:
    """Nothing goes wrong until a test says so."""
    return Faults()


@pytest.fixture(scope="session")
def faults_url(postgres_url: str) -> str:
    """The URL of a database with the schema."""
    rebuild_schema(postgres_url)
    return postgres_url


@pytest.fixture
async def sqlite_store(
    monkeypatch: pytest.MonkeyPatch, faults: Faults, clock: ManualClock
) -> AsyncIterator[SqliteStore]:
    """The SQLite store, over a driver with faults."""
    connect = sqlite3.connect

    class Faulty(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> Any:
            if sql.startswith("rollback"):
                return super().execute(sql, *arguments)
            faults.before()
            cursor = super().execute(sql, *arguments)
            faults.after()
            return cursor

        def executemany(self, sql: str, *arguments: Any) -> Any:
            faults.before()
            cursor = super().executemany(sql, *arguments)
            faults.after()
            return cursor

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: connect(*args, **named, factory=Faulty))
    store = SqliteStore(None, clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def postgres_store(
    monkeypatch: pytest.MonkeyPatch, faults: Faults, clock: ManualClock, faults_url: str
) -> AsyncIterator[PostgresStore]:
    """The PostgreSQL store, over a driver with faults."""

    def faulty(method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> Any:
            faults.before()
            rows = await method(*args, **named)
            faults.after()
            return rows

        return call

    for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany", "copy_records_to_table"):
        monkeypatch.setattr(asyncpg.Connection, name, faulty(getattr(asyncpg.Connection, name)))
    with psycopg.connect(faults_url, autocommit=True) as connection:
        tables = ("jobs", "runs", "counts", "nodes", "notes", "stops", "deletions")
        connection.execute(f"truncate {', '.join(f'mainspring.{table}' for table in tables)}".encode())
    store = PostgresStore(faults_url, clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the stores."""
    chosen: Store = request.getfixturevalue(f"{request.param}_store")
    return chosen


def errors_of(store: Store, errors: list[Exception]) -> list[Exception]:
    """Return those of these errors that the driver of a store could raise."""
    ours = isinstance(store, PostgresStore)
    return [error for error in errors if isinstance(error, sqlite3.Error) is not ours]


Call = tuple[str, str, str | None, int]
"""Method, path, the state of the job that the path is about (if it is about one), and the status when all is well."""
EACH = pytest.mark.parametrize("call", [pytest.param(param.values, id=str(param.id)) for param in CALLS])


async def answered(
    client: httpx2.AsyncClient, jobs: Jobs, call: Call, fault: AbstractContextManager[None]
) -> httpx2.Response:
    """Make a call under a fault; the job that it is about is made before it and gone after it."""
    method, path, state, _ = call
    body = body_of(method, path)
    job = state and await jobs.made(BACKUPS, state)
    with fault:
        answer = await client.request(method, path.format(job), json=body)
    if job:
        await client.delete(at(BACKUPS, job))
    return answer


def is_away(answer: httpx2.Response, error: Exception) -> bool:
    """Tell whether an answer is 503, once it is seen that such a one is as it should be."""
    if answer.status_code == 503:
        assert answer.headers["retry-after"], repr(error)
        assert not answer.content or AWAY == refusal(answer), repr(error)
    return answer.status_code == 503


@EACH
async def test_each_error_of_the_driver_is_503(
    make_app: MakeApp, store: Store, jobs: Jobs, faults: Faults, call: Call
) -> None:
    """Whatever the driver says when it is first asked, the client hears 503 and when to come back."""
    async with client_of(make_app(store), raise_app_exceptions=False) as client:
        for error in errors_of(store, POSTGRES + SQLITE):
            answer = await answered(client, jobs, call, faults.injected(error, 0, after=False))
            assert is_away(answer, error), (repr(error), answer.status_code, answer.text)


@EACH
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_error_at_each_statement_is_503(
    make_app: MakeApp, postgres_store: PostgresStore, clock: ManualClock, faults: Faults, call: Call, moment: str
) -> None:
    """Wherever in a call the connection is lost, before a statement or after it was done: 503, until all are done."""
    statements, error = 0, POSTGRES[0]
    async with client_of(make_app(postgres_store), raise_app_exceptions=False) as client:
        jobs = Jobs(client, postgres_store, clock)
        await postgres_store.join(NodeBeat("node-1"))
        while True:
            fault = faults.injected(error, statements, after=moment == "after")
            answer = await answered(client, jobs, call, fault)
            if not is_away(answer, error):
                break
            statements += 1
    # What was written by a call that failed after that is there for the next one.
    expected = 200 if (moment, call[0], call[-1]) == ("after", "PUT", 201) else call[-1]
    assert (True, expected) == (statements > 0, answer.status_code)


@EACH
async def test_clash_of_rows_is_no_answer(
    make_app: MakeApp, store: Store, jobs: Jobs, faults: Faults, call: Call
) -> None:
    """What the driver says of wrong rows is no success and no 404 either."""
    async with client_of(make_app(store), raise_app_exceptions=False) as client:
        for error in errors_of(store, CLASHES):
            answer = await answered(client, jobs, call, faults.injected(error, 0, after=False))
            assert answer.status_code not in LIES, (repr(error), answer.text)
