"""The PostgreSQL store: many nodes, one database.

Single-statement compare-and-set under READ COMMITTED; claims skip what others hold.

Every wait is bounded by us: to connect, for a connection of the pool, for a lock, for a statement, and for the answer
on the wire, so that a database that is away, frozen or cut off costs an error within seconds, never a hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mainspring.clock import Clock
from mainspring.errors import ConfigError, ConflictError, StoreUnavailableError
from mainspring.model import DEADLY, Answer, Change, Claim, Job, JobFilter, JobKey, NodeBeat, Position, Run, State
from mainspring.store.migrations import needs_upgrade, postgres_upgrade, verdict
from mainspring.store.rows import Dialect, job_row, load_statements, read_job, read_run, run_row

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5.0
"""How long a call may take, from asking the pool for a connection to the last row."""
_SESSION = "-c timezone=UTC -c statement_timeout=5000 -c lock_timeout=1000 -c idle_in_transaction_session_timeout=10000"
_POOL_SIZE = 10
_OLDEST = datetime(1, 1, 2, tzinfo=UTC)
_NEWEST = datetime(9999, 12, 30, tzinfo=UTC)
_NIL = UUID(int=0)


def _same(value: Any) -> Any:
    return value


_DIALECT = Dialect(to_id=_same, from_id=_same, to_time=_same, from_time=_same, from_json=_same)
_SQL = load_statements("postgres")
_FINISHED_COLUMNS = (
    "id", "state", "paused", "fire_time", "due_at", "attempt", "failures", "losses", "outcome", "last_run", "version",
    "updated_at",
)  # fmt: skip
_ENDED_COLUMNS = (
    "number", "fire_time", "due_at", "attempt", "node", "started_at", "finished_at", "outcome", "reason",
)  # fmt: skip


class PostgresStore:
    """See `mainspring.store.protocol.Store`.

    `clock` is for tests that move time; without it the database's own clock judges.
    """

    durable = True
    shared = True

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] | None = None
        self._watchers: list[Callable[[], None]] = []

    async def open(self) -> None:
        """See `Store.open`; a schema that is missing or old is refused with the command that helps."""
        await asyncio.to_thread(check_schema, self._url)
        options = " ".join(filter(None, (str(conninfo_to_dict(self._url).get("options") or ""), _SESSION)))
        self._pool = AsyncConnectionPool(
            self._url,
            kwargs={
                "autocommit": True,
                "options": options,
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "mainspring",
            },
            min_size=1,
            max_size=_POOL_SIZE,
            timeout=2,
            open=False,
        )
        await self._pool.open()

    async def close(self) -> None:
        """See `Store.close`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def watch(self, notice: Callable[[], None]) -> None:
        """See `Store.watch`."""
        self._watchers.append(notice)

    async def now(self) -> datetime:
        """See `Store.now`."""
        ((now,),) = await self._fetch("time", {})
        return now  # type: ignore[no-any-return]

    # --- jobs

    async def add(self, jobs: Sequence[Job]) -> None:
        """See `Store.add`."""
        rows = [job_row(job, _DIALECT) for job in jobs]
        async with self._connection() as connection, connection.transaction(), connection.cursor() as cursor:
            await cursor.executemany(_SQL["add"], rows)
        self._changed()

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""
        rows = await self._fetch("get", {"id": job_id})
        return read_job(rows[0], _DIALECT) if rows else None

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        parameters = {
            **key._asdict(),
            "states": [state.value for state in which.states],
            "dead": which.dead,
            "deadly": [outcome.value for outcome in DEADLY],
            "after_due": after.due_at if after else _OLDEST,
            "after_id": after.id if after else _NIL,
            "due_from": which.due_from or _OLDEST,
            "due_to": which.due_to or _NEWEST,
            "limit": limit,
        }
        rows = await self._fetch("page_done" if which.done else "page", parameters)
        return [read_job(row, _DIALECT) for row in rows]

    async def counts(self) -> dict[JobKey, dict[State, int]]:
        """See `Store.counts`."""
        counts: dict[JobKey, dict[State, int]] = {}
        for product, job_group, state, count in await self._fetch("counts", {}):
            counts.setdefault(JobKey(product, job_group), {})[State(state)] = count
        return counts

    async def update(self, job: Job) -> bool:
        """See `Store.update`."""
        done = bool(await self._fetch("update", job_row(job, _DIALECT)))
        self._changed()
        return done

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        async with self._connection() as connection, connection.transaction():
            cursor = await connection.execute(_SQL["delete"], {"id": job.id, "version": job.version})
            gone = cursor.rowcount == 1
            if gone and run is not None:
                await connection.execute(_SQL["add_run"], run_row(run, _DIALECT))
        self._changed()
        return gone

    # --- running them

    async def claim(self, node: str, demand: Mapping[JobKey, int], limit: int) -> list[Claim]:
        """See `Store.claim`."""
        parameters = {**_columns(demand), "demands": list(demand.values()), "node": node, "limit": limit}
        jobs = [read_job(row, _DIALECT) for row in await self._fetch("claim", parameters)]
        return [Claim(job, job.updated_at) for job in sorted(jobs, key=lambda job: job.due_at)]

    async def due_in(self, keys: Collection[JobKey]) -> timedelta | None:
        """See `Store.due_in`."""
        ((due_in,),) = await self._fetch("due_in", _columns(keys))
        return due_in  # type: ignore[no-any-return]

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        jobs = [job_row(change.job, _DIALECT) for change in changes]
        runs = [run_row(change.run, _DIALECT) for change in changes]
        parameters = {name: [row[name] for row in jobs] for name in _FINISHED_COLUMNS}
        parameters |= {f"ended_{name}": [row[name] for row in runs] for name in _ENDED_COLUMNS}
        done = {number for (number,) in await self._fetch("finish", parameters)}
        self._changed()
        refused = [change.job.id for change in changes if change.run.number not in done]
        held = dict(await self._fetch("runs_of", {"id": refused})) if refused else {}
        return [_answer(change, done, held) for change in changes]

    async def held(self, node: str) -> frozenset[int]:
        """See `Store.held`."""
        return frozenset(run for (run,) in await self._fetch("held", {"node": node}))

    async def orphans(self, limit: int) -> list[Job]:
        """See `Store.orphans`."""
        return [read_job(row, _DIALECT) for row in await self._fetch("orphans", {"limit": limit})]

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """See `Store.runs`."""
        parameters = {
            **key._asdict(),
            "job_id": job_id,
            "before": 2**63 - 1 if before is None else before,
            "limit": limit,
        }
        rows = await self._fetch("runs_of_group" if job_id is None else "runs_of_job", parameters)
        return [read_run(row, _DIALECT) for row in rows]

    async def prune(self, older_than: timedelta, limit: int) -> int:
        """See `Store.prune`."""
        parameters = {"older_than": older_than, "limit": limit}
        return sum([await self._execute(name, parameters) for name in ("prune_jobs", "prune_runs")])

    # --- nodes

    async def join(self, node: str) -> None:
        """See `Store.join`."""
        await self._execute("join", {"node": node})

    async def beat(self, node: str) -> bool:
        """See `Store.beat`."""
        return bool(await self._fetch("beat", {"node": node}))

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return [NodeBeat(*row) for row in await self._fetch("nodes", {})]

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        await self._execute("leave", {"node": node})

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        return bool(await self._fetch("bury", {"node": node.name, "beat": node.beat}))

    # --- talking to the database

    def _test_time(self) -> datetime | None:
        return None if self._clock is None else self._clock.now()

    def _changed(self) -> None:
        for notice in self._watchers:
            notice()

    async def _fetch(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            cursor = await connection.execute(_SQL[statement], {"now": self._test_time(), **parameters}, binary=True)
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        async with self._connection() as connection:
            return (await connection.execute(_SQL[statement], {"now": self._test_time(), **parameters})).rowcount

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[tuple[Any, ...]]]:
        """Lend a connection, and turn every way the database can fail into our own errors."""
        if self._pool is None:
            raise StoreUnavailableError("the job store is closed")
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._pool.connection() as connection:
                yield connection
        except psycopg.errors.UniqueViolation as error:
            raise ConflictError(f"the job store refused the rows: {_first_line(error)}") from error
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            raise StoreUnavailableError(f"the job store failed: {_first_line(error)}") from error


def _answer(change: Change, done: Collection[int], held: Mapping[UUID, int]) -> Answer:
    if change.run.number in done:
        return Answer.DONE
    return Answer.STALE if held.get(change.job.id) == change.run.number else Answer.LOST


def _columns(keys: Collection[JobKey]) -> dict[str, list[str]]:
    return {"products": [key.product for key in keys], "job_groups": [key.job_group for key in keys]}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


# --- the schema


def check_schema(url: str) -> None:
    """Raise `SchemaError` unless the schema is what this version needs, `StoreUnavailableError` if it is away."""
    verdict(_schema_version(url), "mainspring db upgrade")


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
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise StoreUnavailableError(f"the job store at {place} cannot be reached: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise ConfigError(f"the job store at {place} cannot be used: {_first_line(error)}") from error


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
