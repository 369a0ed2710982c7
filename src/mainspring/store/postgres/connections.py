"""How we talk to PostgreSQL: pools for what people ask and what nodes do, and one session by which a node is seen.

Every wait is bounded by us: to connect, for a connection of the pool, for a lock, for a statement, and for the answer
on the wire, so that a database that is away, frozen or cut off costs an error within two seconds, never a hang. Every
way in which it can fail becomes one of our own errors.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import asyncpg

from mainspring.errors import (
    ConflictError,
    KeyTakenError,
    ReceiptTakenError,
    SchemaChangedError,
    StoreUnavailableError,
    first_line,
)
from mainspring.store.columns import lists
from mainspring.store.facts import KEY_TAKEN, RECEIPT_TAKEN
from mainspring.store.migrations import HEAD
from mainspring.store.postgres.address import CONNECT_SECONDS, Address
from mainspring.store.postgres.moments import to_2000
from mainspring.store.statements import load_statements

ANSWER_SECONDS = 1.8
"""How long a call may take, from asking the pool for a connection to the last row: an API call fails within 2 s."""
PATIENT_SECONDS, BATCH_SECONDS = 30.0, 120.0
"""The same for the few calls that write or count very many rows, once the database has shown that it answers at all."""
JOBS_POOL, RUNS_POOL = 6, 4
"""How many connections there are for what people ask, and for what nodes do: neither waits for the other."""
# InternalClientError is how asyncpg reports that a connection was lost just when it was used.
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
# After a failover these sessions are with a server that takes no writes any more.
_ASTRAY = (
    *_LOST,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalServerError,  # a session remembers types by number: where a backup was put back there are others
)
# Statements that fit the schema of this version fail so where it was brought to another one meanwhile.
_MISFITS = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.InternalServerError)
_FAILURES = (asyncpg.PostgresError, *_LOST)
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class Statement(NamedTuple):
    """A statement as the driver takes it, and the names of its parameters by position."""

    sql: str
    names: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of the parameters."""
        return [values[name] for name in self.names]


def _positional(sql: str) -> Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    return Statement(_PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", sql), names)


TEXT = load_statements("postgres", lists({}, table="j."))
_IDS = "select string_agg(uuid_send(id), ''::bytea order by {}, id) from ({}) page"
_PAGES = {"page": "due_at", "page_of_outcomes": "due_at", "page_created": "created_at"}
TEXT |= {f"ids_of_{page}": _IDS.format(time, TEXT[page].rstrip(";")) for page, time in _PAGES.items()}
"""The statements of the store, with their parameters by name."""
SQL = {name: _positional(sql) for name, sql in TEXT.items()}


async def query(connection: Any, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """Run a named statement and return its rows."""
    rows: list[Any] = await connection.fetch(SQL[statement].sql, *SQL[statement].arguments(values))
    return rows


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, size: int) -> None:
        self._url = url
        self._size = size
        self._pool: Any = None

    async def open(self) -> None:
        """Connect. Raises `ConfigError`, and `StoreUnavailableError`."""
        with _translated():
            self._pool = await asyncpg.create_pool(
                connect=Address.read(self._url).connect,
                min_size=2,
                max_size=self._size,
                reset=_no_reset,
                init=_take_any_moment,
            )

    async def close(self) -> None:
        """Disconnect. Closing twice is harmless."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_SECONDS)
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self, seconds: float = ANSWER_SECONDS) -> AsyncIterator[Any]:
        """Lend a connection for at most that long.

        Raises `ConflictError` for what is there already, `ValueError` for what cannot be written, and
        `StoreUnavailableError` for all else.
        """
        pool = self._pool
        if pool is None:
            raise StoreUnavailableError("the job store is closed")
        with _translated():
            try:
                async with asyncio.timeout(seconds), pool.acquire() as connection:
                    try:
                        yield connection
                    except (TimeoutError, asyncio.CancelledError):
                        connection.terminate()  # or its way back to the pool would wait for the answer
                        raise
            except (*_ASTRAY, *_MISFITS) as error:
                if isinstance(error, _ASTRAY):
                    await pool.expire_connections()  # what cut off one has probably cut off all
                if isinstance(error, _MISFITS):
                    await self._refuse_changed_schema()
                raise

    async def _refuse_changed_schema(self) -> None:
        """Raise `SchemaChangedError` if the schema is no longer that of this version."""
        async with asyncio.timeout(ANSWER_SECONDS), self._pool.acquire() as connection:
            found = await connection.fetchval("select version_num from mainspring.alembic_version")
        if found != HEAD:
            raise SchemaChangedError(
                f"the job store's schema was brought to version {found} while this Mainspring, which needs {HEAD}, "
                "used it; restart it with the version of Mainspring that upgraded the schema"
            )

    @asynccontextmanager
    async def patient_connection(self, seconds: float = PATIENT_SECONDS) -> AsyncIterator[Any]:
        """Lend a connection, in a transaction, for what may take long; a database that does not answer fails soon."""
        async with self.connection() as connection:
            await connection.fetchval("select 1")
        async with self.connection(seconds) as connection, connection.transaction():
            await connection.execute(f"set local statement_timeout = {int(PATIENT_SECONDS * 1000)}")
            yield connection


class Session:
    """The session by which a node beats, is seen by others and hears of them.

    It belongs to the event loop that uses it. Whoever holds its lock lives: the lock ends with the session.
    """

    def __init__(self, url: str, hear: Callable[[str], None]) -> None:
        self._url = url
        self._address: Address | None = None
        self._hear = hear
        self._connection: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shown = ""

    def open(self) -> None:
        """Allow the session to begin, which it does when it is first used."""
        self._address = Address.read(self._url)

    async def run(self, node: str, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """Run a statement in the name of a node, in a new session if need be. Raises `StoreUnavailableError`."""
        if self._address is None:
            raise StoreUnavailableError("the job store is closed")
        with _translated():
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        await self._connect(self._address)
                    if self._shown != node:
                        await query(self._connection, "show_session", {"node": node})
                        self._shown = node
                    return await query(self._connection, statement, values)
            except BaseException:
                self._drop()
                raise

    async def _connect(self, address: Address) -> None:
        self._loop, self._shown = asyncio.get_running_loop(), ""
        self._connection = await address.connect()
        await self._connection.add_listener("mainspring", lambda *notice: self._hear(notice[-1]))

    def close(self) -> None:
        """End the session, from whatever thread. Closing twice is harmless."""
        self._address = None
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._loop is not None:
            with suppress(RuntimeError):  # its loop is closed, and with it the session
                self._loop.call_soon_threadsafe(connection.terminate)


async def _no_reset(_connection: object) -> None:
    """Leave a connection as it is when it goes back to the pool: no statement of ours leaves anything behind."""


async def _take_any_moment(connection: Any) -> None:
    """Have moments come and go as microseconds since 2000, as the server sends them.

    The driver would fail for all rows of a result where one has a moment that Python does not know.
    """
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="tuple", encoder=_write_moment, decoder=itemgetter(0)
    )


def _write_moment(moment: datetime) -> tuple[int]:
    return (to_2000(moment),)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "jobs_key":
            raise KeyTakenError(KEY_TAKEN) from None
        if error.constraint_name == "receipts_pkey":
            raise ReceiptTakenError(RECEIPT_TAKEN) from None
        raise ConflictError(f"the job store refused the rows: {first_line(error)}") from error
    except asyncpg.DataError as error:
        # The driver's own sentence repeats the values of everybody who shares the commit.
        raise ValueError(f"a value cannot be written: {error.__cause__ or type(error).__name__}") from None
    except _FAILURES as error:
        raise StoreUnavailableError(f"the job store failed: {first_line(error)}") from error
