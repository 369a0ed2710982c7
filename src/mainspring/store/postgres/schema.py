"""The schema in PostgreSQL: looked at, made, brought up to date.

By a connection of its own, outside any event loop; the service looks before it opens the store, commands do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mainspring.errors import ConfigError, NodesAliveError, StoreUnavailableError, first_line
from mainspring.store.columns import ENDED, JOB_COLUMNS, KEPT, check_columns
from mainspring.store.migrations import needs_upgrade, postgres_upgrade, verdict
from mainspring.store.postgres.connections import CONNECT_SECONDS

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_COLUMNS = """
select attname from pg_attribute where attrelid = %s::text::regclass and attnum > 0 and not attisdropped order by attnum
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
    case relname when 'alembic_version' then '{select}' else '{select,insert,update,delete}'::text[] end
) with ordinality as needed (right_, nr)
where case when relkind in ('r', 'p') then not has_table_privilege(oid, right_) end
group by relname
union all
select 'usage on sequence mainspring.' || relname from relation
where case when relkind = 'S' then not has_sequence_privilege(oid, 'usage, update') end
union all
select 'execute on function ' || p.oid::regprocedure from pg_proc p join schema on p.pronamespace = schema.oid
where not has_function_privilege(p.oid, 'execute')
"""
_LIVING_NODES = """
select name from mainspring.nodes where (hashtext(name)::bigint & 4294967295)::oid in (
    select objid from pg_locks
    where locktype = 'advisory' and granted and classid = 7236342
      and database = (select oid from pg_database where datname = current_database())
) order by name
"""
_PARAMETERS = {
    "host", "port", "dbname", "user", "password", "passfile", "service", "options", "application_name",
    "target_session_attrs", "krbsrvname", "gsslib", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert",
    "sslcrl", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version",
}  # fmt: skip
"""What both drivers read in a URL. What else psycopg knows, asyncpg would send to the server as a setting."""


def check_schema(url: str) -> None:
    """Raise `ConfigError` unless nodes can work here, `SchemaError` if that needs another schema.

    And `StoreUnavailableError` if it is away. Nothing is changed.
    """
    with _connected(url) as connection:
        _refuse_pooler(connection, url)
        _refuse_missing_rights(connection)
        if connection.execute("show transaction_read_only").fetchone() == ("on",):
            raise StoreUnavailableError(
                f"the job store at {_place(url)} takes no writes: it is a standby, or read-only. A URL with several "
                "hosts finds the one that does with target_session_attrs=read-write"
            )
        verdict(_schema_version(connection), "mainspring db upgrade")
        for name, ours in (("jobs", JOB_COLUMNS), ("ended", ENDED), ("kept", KEPT)):
            rows = connection.execute(_COLUMNS, [f"mainspring.{name}"]).fetchall()
            check_columns(f"mainspring.{name}", [str(column) for (column,) in rows], tuple(ours))


def upgrade_schema(url: str, *, force: bool = False) -> str | None:
    """Make the schema or bring it up to date; return its version before. Raises like `check_schema`.

    And `NodesAliveError`, unless by `force`, while nodes work with a schema that would change under them.
    """
    with _connected(url) as connection:
        before = _schema_version(connection)
        if before is not None and needs_upgrade(before) and not force:
            _refuse_living_nodes(connection)
    if needs_upgrade(before):
        postgres_upgrade(url)
    check_schema(url)
    return before


def rebuild_schema(url: str) -> None:
    """Drop the schema with all its jobs and history, and make it anew. Raises like `check_schema`."""
    with _connected(url) as connection:
        connection.execute("drop schema if exists mainspring cascade")
    upgrade_schema(url)


def _schema_version(connection: _Connection) -> str | None:
    if connection.execute("select to_regclass('mainspring.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("select version_num from mainspring.alembic_version").fetchone()
    return None if row is None else str(row[0])


def _refuse_pooler(connection: _Connection, url: str) -> None:
    """Find a pooler by the process id that it makes up: it hands sessions of the server from client to client."""
    if connection.execute("select pg_backend_pid()").fetchone() != (connection.info.backend_pid,):
        raise ConfigError(
            f"what answers at {_place(url)} is a connection pooler such as PgBouncer. Mainspring keeps sessions of its "
            "own: locks, notifications and prepared statements live in them. Give it the address of PostgreSQL itself"
        )


def _refuse_missing_rights(connection: _Connection) -> None:
    if missing := [str(right) for (right,) in connection.execute(_MISSING_RIGHTS)]:
        ((role,),) = connection.execute("select quote_ident(current_user)").fetchall()
        grants = [f"  grant {right} to {role};" for right in missing]
        raise ConfigError(
            "\n".join([f"the role {role} lacks rights that a node needs; let the owner of the schema run:", *grants])
        )


def _refuse_living_nodes(connection: _Connection) -> None:
    if connection.execute("select to_regclass('mainspring.nodes')").fetchone() == (None,):
        return
    if nodes := [str(name) for (name,) in connection.execute(_LIVING_NODES)]:
        raise NodesAliveError(
            f"the schema is in use by nodes that live: {', '.join(nodes)}. Stop them first, or upgrade it under them "
            "with --force: until they are restarted, they may fail to run jobs"
        )


@contextmanager
def _connected(url: str) -> Iterator[_Connection]:
    """Lend a connection outside the pool, and turn every way it can fail into our own errors."""
    place = _place(url)
    try:
        with psycopg.connect(url, connect_timeout=int(CONNECT_SECONDS), autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the job store at {place} cannot be reached: {first_line(error)}") from error
    except psycopg.Error as error:
        raise ConfigError(f"the job store at {place} cannot be used: {first_line(error)}") from error


def _place(url: str) -> str:
    """Say where a URL points, without its user and password, which an unclear URL may show anywhere.

    Raises `ConfigError` for a URL that the two drivers do not read alike.
    """
    try:
        parts: dict[str, Any] = {"host": "localhost", "port": 5432, "dbname": "", **conninfo_to_dict(url)}
    except psycopg.ProgrammingError as error:
        unknown = re.search('invalid URI query parameter: "([a-z_]+)"', str(error))
        parts = {unknown[1]: "", "dbname": ""} if unknown and "@" not in url.rpartition("?")[2] else {"dbname": "@"}
    if "@" in str(parts["dbname"]):
        raise ConfigError(
            "the job store's URL cannot be understood; in its user name and password special characters must be "
            "written as %XX"
        )
    if useless := sorted(parts.keys() - _PARAMETERS):
        raise ConfigError(
            f"the job store's URL has parameters that Mainspring cannot use: {', '.join(useless)}. Leave them out; it "
            "sets its own time limits"
        )
    return "{host}:{port}/{dbname}".format_map(parts)
