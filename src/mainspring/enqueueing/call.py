"""The two calls. A connection that waits in its thread answers at once, one of an event loop answers an awaitable."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, overload
from uuid import UUID

from mainspring.enqueueing.drivers import run
from mainspring.enqueueing.steps import Wanted, created, created_many


class Asyncpg(Protocol):
    """A connection of asyncpg, which has no types of its own, or one that its pool lends."""

    def fetchval(self, query: str, *args: Any) -> Coroutine[Any, Any, Any]:
        """Return the first value of the first row."""


if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session

    Waiting: TypeAlias = psycopg.Connection[Any] | Connection | Session
    OnLoop: TypeAlias = psycopg.AsyncConnection[Any] | AsyncConnection | AsyncSession | Asyncpg


@overload
def enqueue(
    connection: Waiting,
    product: str,
    job_group: str,
    /,
    *,
    when: datetime | str | None = None,
    schedule: Mapping[str, Any] | str | None = None,
    options: Mapping[str, Any] | None = None,
    checks_later: bool = False,
    **fields: Any,
) -> UUID: ...
@overload
def enqueue(
    connection: OnLoop,
    product: str,
    job_group: str,
    /,
    *,
    when: datetime | str | None = None,
    schedule: Mapping[str, Any] | str | None = None,
    options: Mapping[str, Any] | None = None,
    checks_later: bool = False,
    **fields: Any,
) -> Coroutine[Any, Any, UUID]: ...
def enqueue(
    connection: Waiting | OnLoop,
    product: str,
    job_group: str,
    /,
    *,
    when: datetime | str | None = None,
    schedule: Mapping[str, Any] | str | None = None,
    options: Mapping[str, Any] | None = None,
    checks_later: bool = False,
    **fields: Any,
) -> Any:
    """Create a job in the transaction of a connection to the nodes' PostgreSQL, and return the job's id.

    When the transaction is committed the job is there, and due jobs start at once; when it is rolled back, there is
    none. The connection is one of psycopg, asyncpg or SQLAlchemy, or a session of that; of an event loop, await the
    answer. Fields, `when`, `schedule` and `options` are those of the REST API; fields may have their names in Python.

    The request is checked by the schema that nodes publish. Checks that are code of the job class run only when the
    job does: `checks_later` says that this is right. A key that another job has follows ``options.onConflict``: reject
    or keep. Quotas are not looked at.

    Raises, with the transaction still usable, `NotFoundError` for an unknown group, `InvalidRequestError` with every
    problem, `KeyTakenError`, `SchemaError` for a schema of another version and `TypeError` for what is no connection;
    and `ConfigError` if the database or the role does not allow it. The driver's own errors pass through.
    """
    said = {"when": when, "schedule": schedule, "options": options}
    body = {**fields, **{name: value for name, value in said.items() if value is not None}}
    return run(connection, created(Wanted(product, job_group, checks_later), body))


@overload
def enqueue_many(
    connection: Waiting,
    product: str,
    job_group: str,
    bodies: Iterable[Mapping[str, Any]],
    /,
    *,
    checks_later: bool = False,
) -> list[UUID]: ...
@overload
def enqueue_many(
    connection: OnLoop,
    product: str,
    job_group: str,
    bodies: Iterable[Mapping[str, Any]],
    /,
    *,
    checks_later: bool = False,
) -> Coroutine[Any, Any, list[UUID]]: ...
def enqueue_many(
    connection: Waiting | OnLoop,
    product: str,
    job_group: str,
    bodies: Iterable[Mapping[str, Any]],
    /,
    *,
    checks_later: bool = False,
) -> Any:
    """Create up to 10,000 jobs like `enqueue`, in two statements, and return their ids in the order of `bodies`.

    A body has what `enqueue` takes by name. Jobs with keys are created one by one. Either all are written or, with
    every problem of every body, none. Raises like `enqueue`.
    """
    return run(connection, created_many(Wanted(product, job_group, checks_later), list(bodies)))
