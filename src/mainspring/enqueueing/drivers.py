"""The drivers: each executes a query in the transaction of its connection, and decides nothing.

A connection can only be of a driver that is loaded already: none is loaded here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from mainspring.enqueueing.steps import Query, Steps
from mainspring.errors import ConfigError, SchemaError

T = TypeVar("T")
_PARAMETER = re.compile(r":([a-z_]+)")
_NO_SCHEMA = frozenset({"42P01", "3F000"})
_NO_RIGHT = "42501"


def run(connection: Any, steps: Steps[T]) -> T | Coroutine[Any, Any, T]:
    """Take the steps by a connection; the answer of one on an event loop is to be awaited. Raises `TypeError`."""
    fetch, is_async = _way(connection)
    return _on_loop(connection, fetch, steps) if is_async else _waiting(connection, fetch, steps)


def _waiting(connection: Any, fetch: Callable[[Any, Query], str], steps: Steps[T]) -> T:
    try:
        query = next(steps)
        while True:
            with _translated():
                answer = fetch(connection, query)
            query = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


async def _on_loop(connection: Any, fetch: Callable[[Any, Query], Coroutine[Any, Any, str]], steps: Steps[T]) -> T:
    try:
        query = next(steps)
        while True:
            with _translated():
                answer = await fetch(connection, query)
            query = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


def _way(connection: Any) -> tuple[Callable[[Any, Query], Any], bool]:
    """Return how a connection fetches an answer, and whether that is to be awaited."""
    for names, fetch, is_async in _WAYS:
        for name in names:
            module, _, kind = name.rpartition(".")
            cls = getattr(sys.modules.get(module), kind, None)
            if cls is not None and isinstance(connection, cls):
                return fetch, is_async
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise TypeError(
        f"{kind} is no connection that enqueue knows: give it one of psycopg 3 or asyncpg, or a Connection or Session "
        "of SQLAlchemy, on the PostgreSQL of the nodes"
    )


def _psycopg(connection: Any, query: Query) -> str:
    cursor = sys.modules["psycopg"].Cursor(connection, row_factory=sys.modules["psycopg.rows"].tuple_row)
    with cursor:
        cursor.execute(_named(query.sql), query.values)
        return str(cursor.fetchone()[0])


async def _psycopg_on_loop(connection: Any, query: Query) -> str:
    cursor = sys.modules["psycopg"].AsyncCursor(connection, row_factory=sys.modules["psycopg.rows"].tuple_row)
    async with cursor:
        await cursor.execute(_named(query.sql), query.values)
        return str((await cursor.fetchone())[0])


async def _asyncpg(connection: Any, query: Query) -> str:
    sql, names = _numbered(query.sql)
    return str(await connection.fetchval(sql, *(query.values[name] for name in names)))


def _sqlalchemy(connection: Any, query: Query) -> str:
    _refuse_other_database(connection)
    return str(connection.execute(sys.modules["sqlalchemy"].text(query.sql), dict(query.values)).scalar_one())


async def _sqlalchemy_on_loop(connection: Any, query: Query) -> str:
    _refuse_other_database(getattr(connection, "sync_session", connection))
    return str((await connection.execute(sys.modules["sqlalchemy"].text(query.sql), dict(query.values))).scalar_one())


def _refuse_other_database(connection: Any) -> None:
    """Raise `TypeError` for a connection of SQLAlchemy to anything but PostgreSQL."""
    bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
    if bind.dialect.name != "postgresql":
        raise TypeError(f"enqueue needs a connection to PostgreSQL, and this one is to {bind.dialect.name}")


_WAYS: tuple[tuple[tuple[str, ...], Callable[[Any, Query], Any], bool], ...] = (
    (("psycopg.Connection",), _psycopg, False),
    (("psycopg.AsyncConnection",), _psycopg_on_loop, True),
    (("asyncpg.Connection", "asyncpg.pool.PoolConnectionProxy"), _asyncpg, True),
    (("sqlalchemy.Connection", "sqlalchemy.orm.Session", "sqlalchemy.orm.scoped_session"), _sqlalchemy, False),
    (
        (
            "sqlalchemy.ext.asyncio.AsyncConnection",
            "sqlalchemy.ext.asyncio.AsyncSession",
            "sqlalchemy.ext.asyncio.async_scoped_session",
        ),
        _sqlalchemy_on_loop,
        True,
    ),
)
"""The kinds of connections, how each fetches an answer, and whether that is to be awaited."""


@cache
def _named(sql: str) -> str:
    return _PARAMETER.sub(r"%(\1)s", sql)


@cache
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    return _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", sql), names


@contextmanager
def _translated() -> Iterator[None]:
    """Say in words what an operator can put right; all other errors of drivers pass through."""
    try:
        yield
    except Exception as error:
        state = getattr(getattr(error, "orig", error), "sqlstate", None)
        if state in _NO_SCHEMA:
            raise SchemaError(
                "this database has no schema of Mainspring, or one of another version: connect to the PostgreSQL of "
                "the nodes, and upgrade the older of the two. The transaction must be rolled back"
            ) from error
        if state == _NO_RIGHT:
            raise ConfigError(
                "the role of the connection may not create jobs: let the owner of the schema run what "
                "`mainspring db enqueue-role ROLE` prints. The transaction must be rolled back"
            ) from error
        raise
