"""The schema in PostgreSQL: looked at, made, brought up to date.

By connections of its own, on a loop of its own: the service looks before it opens the store, commands do the rest. What
looks is the driver of the store, so that a check finds what a service would; what changes the schema is psycopg.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
import psycopg

from mainspring.errors import ConfigError, NodesAliveError, StoreUnavailableError, first_line
from mainspring.store.columns import ENDED, JOB_COLUMNS, KEPT, check_columns
from mainspring.store.migrations import needs_upgrade, postgres_upgrade, verdict
from mainspring.store.postgres.address import SETTLE, SILENT, Address
from mainspring.store.postgres.connections import TEXT

T = TypeVar("T")
_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

LOOK_SECONDS = 5.0
"""How long all questions of a check may take together, once there is a connection."""
PULSE_SECONDS = 5.0
"""How often the server is asked, while its schema is changed, whether it still answers at all."""

_COLUMNS = """
select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
# Rows of history are reached through their table: partitions need no rights of their own.
_MISSING_RIGHTS = """
with schema as (select oid from pg_namespace where nspname = 'mainspring'),
relation as (
    select c.oid, c.relname, c.relkind from pg_class c join schema on c.relnamespace = schema.oid
    where not c.relispartition
)
select 'usage on schema mainspring' from schema where not has_schema_privilege(oid, 'usage')
union all
select string_agg(right_, ', ' order by nr) || ' on table mainspring.' || relname
from relation, unnest(
    case when relname = 'alembic_version' or relkind = 'v' then '{select}'::text[]
        else '{select,insert,update,delete}' end
) with ordinality as needed (right_, nr)
where case when relkind in ('r', 'p', 'v') then not has_table_privilege(oid, right_) end
group by relname
union all
select 'usage on sequence mainspring.' || relname from relation
where case when relkind = 'S' then not has_sequence_privilege(oid, 'usage, update')
    and not exists (select from pg_depend d where d.objid = relation.oid and d.deptype = 'i') end
union all
select 'usage on type mainspring.' || relname from relation
where relkind = 'c' and not has_type_privilege((select reltype from pg_class c where c.oid = relation.oid), 'usage')
union all
select 'execute on function ' || p.oid::regprocedure from pg_proc p join schema on p.pronamespace = schema.oid
where p.proname = any($1::text[]) and not has_function_privilege(p.oid, 'execute')
"""
_CALLED = sorted({name for text in TEXT.values() for name in re.findall(r"\bmainspring\.([a-z_]+)\(", text)})
"""The functions that statements of the store call."""
_HIDDEN = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'mainspring' and c.relrowsecurity and row_security_active(c.oid) order by 1
"""
_WRITE = "insert into mainspring.notes (kind, name, value, version) values ('check', gen_random_uuid()::text, null, 0)"
_LIVING_NODES = """
select name from mainspring.nodes where (hashtext(name)::bigint & 4294967295)::oid in (
    select objid from pg_locks
    where locktype = 'advisory' and granted and classid = 7236342
      and database = (select oid from pg_database where datname = current_database())
) order by name
"""


def check_schema(url: str) -> None:
    """Raise `ConfigError` unless nodes can work here, `SchemaError` if that needs another schema.

    And `StoreUnavailableError` if it is away. Nothing is changed.
    """
    _run(_check(Address.read(url)))


def upgrade_schema(url: str, *, force: bool = False) -> str | None:
    """Make the schema or bring it up to date; return its version before. Raises like `check_schema`.

    And `NodesAliveError`, unless by `force`, while nodes work with a schema that would change under them.
    """
    address = Address.read(url)
    before = _run(_before_upgrade(address, force=force))
    if needs_upgrade(before):
        with _watched(address) as connect:
            postgres_upgrade(connect)
    _run(_check(address))
    return before


def rebuild_schema(url: str) -> None:
    """Drop the schema with all its jobs and history, and make it anew. Raises like `check_schema`."""
    address = Address.read(url)
    _run(_reach(address))
    with _watched(address) as connect, connect() as connection:
        connection.execute("drop schema if exists mainspring cascade")
    upgrade_schema(url)


# --- looking


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Do work on a loop in a thread of its own: whoever calls may have a loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _check(address: Address) -> None:
    async with _connected(address) as connection:
        await _refuse_missing_rights(connection)
        if await connection.fetchval("select pg_is_in_recovery()"):
            raise _takes_no_writes(address)
        verdict(await _schema_version(connection), "mainspring db upgrade")
        for name, ours in (("jobs", JOB_COLUMNS), ("ended", ENDED), ("kept", KEPT)):
            rows = await connection.fetch(_COLUMNS, f"mainspring.{name}")
            check_columns(f"mainspring.{name}", [str(column) for (column,) in rows], tuple(ours))
        await _refuse_what_hides(connection)
        await _try_to_write(connection, address)


async def _reach(address: Address) -> None:
    async with _connected(address):
        pass


async def _before_upgrade(address: Address, *, force: bool) -> str | None:
    """Return the version of the schema. Raises `NodesAliveError`, unless by `force`, if nodes use an older one."""
    async with _connected(address) as connection:
        before = await _schema_version(connection)
        if before is not None and needs_upgrade(before) and not force:
            await _refuse_living_nodes(connection)
    return before


async def _schema_version(connection: Any) -> str | None:
    if await connection.fetchval("select to_regclass('mainspring.alembic_version')") is None:
        return None
    found = await connection.fetchval("select version_num from mainspring.alembic_version")
    return None if found is None else str(found)


async def _refuse_missing_rights(connection: Any) -> None:
    if missing := [str(right) for (right,) in await connection.fetch(_MISSING_RIGHTS, _CALLED)]:
        role = await connection.fetchval("select quote_ident(current_user)")
        grants = [f"  grant {right} to {role};" for right in missing]
        raise ConfigError(
            "\n".join([f"the role {role} lacks rights that a node needs; let the owner of the schema run:", *grants])
        )


async def _refuse_what_hides(connection: Any) -> None:
    """Raise `ConfigError` if rows would be hidden from the role, or changes from the triggers that count jobs."""
    if hidden := [f"mainspring.{table}" for (table,) in await connection.fetch(_HIDDEN)]:
        raise ConfigError(
            f"row-level security hides rows of {', '.join(hidden)} from the role of the job store's URL; nodes must "
            "see them all: disable it there, or give the role bypassrls"
        )
    if (role := await connection.fetchval("select current_setting('session_replication_role')")) != "origin":
        raise ConfigError(
            f"session_replication_role is {role!r} for the role or database of the job store's URL; it must be "
            "'origin', or jobs are not counted"
        )


async def _try_to_write(connection: Any, address: Address) -> None:
    """Write a row, and undo it. Raises `StoreUnavailableError`."""
    writing = connection.transaction()
    await writing.start()
    try:
        await connection.execute(_WRITE)
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise _takes_no_writes(address) from error
    except (asyncpg.InsufficientResourcesError, asyncpg.PostgresSystemError) as error:
        raise StoreUnavailableError(f"the job store at {address} keeps nothing: {first_line(error)}") from error
    await writing.rollback()


def _takes_no_writes(address: Address) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"the job store at {address} takes no writes: it is a standby, or read-only. A URL with several hosts finds "
        "the one that does with target_session_attrs=read-write"
    )


async def _refuse_living_nodes(connection: Any) -> None:
    if await connection.fetchval("select to_regclass('mainspring.nodes')") is None:
        return
    if nodes := [str(name) for (name,) in await connection.fetch(_LIVING_NODES)]:
        raise NodesAliveError(
            f"the schema is in use by nodes that live: {', '.join(nodes)}. Stop them first, or upgrade it under them "
            "with --force: until they are restarted, they may fail to run jobs"
        )


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Any]:
    """Lend a connection outside the pool, and turn every way it can fail into our own errors."""
    try:
        connection = await address.connect()
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(f"the job store's URL cannot be used: {first_line(error)}") from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError) as error:  # a setting that the server does not know
        raise ConfigError(f"the job store at {address} cannot be used: {first_line(error)}") from error
    except (asyncpg.PostgresError, *SILENT) as error:
        raise StoreUnavailableError(f"the job store at {address} cannot be reached: {first_line(error)}") from error
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            yield connection
    except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.InterfaceError, *SILENT) as error:
        raise StoreUnavailableError(f"the job store at {address} does not answer: {first_line(error)}") from error
    except asyncpg.PostgresError as error:
        raise ConfigError(f"the job store at {address} cannot be used: {first_line(error)}") from error
    finally:
        connection.terminate()


# --- changing


@contextmanager
def _watched(address: Address) -> Iterator[Callable[[], _Connection]]:
    """Lend a way to connect for what may take long. A server that stops answering meanwhile is hung up on."""
    lent: list[_Connection] = []
    silence: list[Exception] = []
    over = threading.Event()

    def connect() -> _Connection:
        connection = psycopg.connect(address.conninfo(), autocommit=True)
        lent.append(connection)
        connection.execute(SETTLE)
        connection.autocommit = False
        return connection

    def watch() -> None:
        while not over.wait(PULSE_SECONDS):
            try:
                asyncio.run(_pulse(address))
            except OSError as error:  # of which no answer in time is one
                silence.append(error)
                for connection in lent:
                    _hang_up(connection)
                return

    watcher = threading.Thread(target=watch, name="pulse", daemon=True)
    watcher.start()
    try:
        yield connect
    except Exception as error:
        if silence:
            said = first_line(silence[0])
            raise StoreUnavailableError(f"the job store at {address} stopped answering: {said}") from error
        if isinstance(error, psycopg.OperationalError):
            raise StoreUnavailableError(f"the job store at {address} cannot be reached: {first_line(error)}") from error
        if isinstance(error, psycopg.Error):
            raise ConfigError(f"the job store at {address} cannot be changed: {first_line(error)}") from error
        raise
    finally:
        over.set()


async def _pulse(address: Address) -> None:
    """Raise `OSError` if the server does not answer at all: a refusal is an answer too."""
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ConfigError):
        (await address.connect()).terminate()


def _hang_up(connection: _Connection) -> None:
    """End a connection that another thread waits for, without waiting for anybody."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
