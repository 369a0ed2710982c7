"""The schema in PostgreSQL: looked at, made, brought up to date.

By a connection of its own, outside any event loop; the service looks before it opens the store, commands do the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mainspring.errors import ConfigError, StoreUnavailableError
from mainspring.store.columns import ENDED, JOB_COLUMNS, KEPT, check_columns
from mainspring.store.migrations import needs_upgrade, postgres_upgrade, verdict
from mainspring.store.postgres.connections import CONNECT_SECONDS, first_line

_COLUMNS = """
select attname from pg_attribute where attrelid = %s::text::regclass and attnum > 0 and not attisdropped order by attnum
"""


def check_schema(url: str) -> None:
    """Raise `SchemaError` unless the schema is what this version needs, `StoreUnavailableError` if it is away."""
    verdict(_schema_version(url), "mainspring db upgrade")
    with _connected(url) as connection:
        for name, ours in (("jobs", JOB_COLUMNS), ("ended", ENDED), ("kept", KEPT)):
            rows = connection.execute(_COLUMNS, [f"mainspring.{name}"]).fetchall()
            check_columns(f"mainspring.{name}", [str(column) for (column,) in rows], tuple(ours))


def upgrade_schema(url: str) -> None:
    """Make the schema or bring it up to date. Raises like `check_schema`."""
    if needs_upgrade(_schema_version(url)):
        postgres_upgrade(url)
    check_schema(url)


def rebuild_schema(url: str) -> None:
    """Drop the schema with all its jobs and history, and make it anew. Raises like `check_schema`."""
    with _connected(url) as connection:
        connection.execute("drop schema if exists mainspring cascade")
    upgrade_schema(url)


def _schema_version(url: str) -> str | None:
    with _connected(url) as connection:
        if connection.execute("select to_regclass('mainspring.alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("select version_num from mainspring.alembic_version").fetchone()
        return None if row is None else str(row[0])


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
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
    """Say where a URL points, without its user and password, which an unclear URL may show anywhere."""
    try:
        parts = {"host": "localhost", "port": 5432, "dbname": "", **conninfo_to_dict(url)}
    except psycopg.ProgrammingError:
        parts = {"dbname": "@"}
    if "@" in str(parts["dbname"]):
        raise ConfigError(
            "the job store's URL cannot be understood; in its user name and password special characters must be "
            "written as %XX"
        )
    return "{host}:{port}/{dbname}".format_map(parts)
