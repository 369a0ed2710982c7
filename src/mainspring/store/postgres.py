"""The PostgreSQL store: many nodes, one database.

Single-statement compare-and-set under READ COMMITTED; claims skip what others hold.

Every wait is bounded by us: to connect, for a connection of the pool, for a lock, for a statement, and for the answer
on the wire, so that a database that is away, frozen or cut off costs an error within seconds, never a hang.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict

from mainspring.clock import Clock
from mainspring.errors import ConfigError, ConflictError, StoreUnavailableError
from mainspring.model import DEADLY, Answer, Change, Claim, Due, Job, JobFilter, JobKey, NodeBeat, Position, Run, State
from mainspring.store.migrations import needs_upgrade, postgres_upgrade, verdict
from mainspring.store.rows import JOB_COLUMNS, Dialect, job_row, load_statements, read_job, read_run, run_row, tell

CONNECT_SECONDS = 3
POOL_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""How long a call may take, from asking the pool for a connection to the last row."""
_SESSION = {
    "application_name": "mainspring",
    "timezone": "UTC",
    "statement_timeout": "5000",
    "lock_timeout": "1000",
    "idle_in_transaction_session_timeout": "10000",
}
_POOL_SIZE = 10
_SHARED_ROWS = 10
"""How many rows a call may have to share a commit with others; larger batches take long and would hold them up."""
# InternalClientError is how asyncpg reports that a connection was lost just when it was used.
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_FAILURES = (asyncpg.PostgresError, *_LOST, TimeoutError)
_OLDEST = datetime(1, 1, 2, tzinfo=UTC)
_NEWEST = datetime(9999, 12, 30, tzinfo=UTC)
_NIL = UUID(int=0)


def _same(value: Any) -> Any:
    return value


_DIALECT = Dialect(to_id=_same, from_id=_same, to_time=_same, from_time=_same, from_json=json.loads)
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class _Statement(NamedTuple):
    """A statement as the driver takes it, and the names of its parameters by position."""

    sql: str
    names: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]


def _positional(sql: str) -> _Statement:
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    return _Statement(_PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", sql), names)


_SQL = {name: _positional(sql) for name, sql in load_statements("postgres").items()}


_Waiting = tuple[list[dict[str, Any]], "asyncio.Future[None]"]
"""Rows that somebody wants written, and who waits for it."""


class PostgresStore:
    """See `mainspring.store.protocol.Store`.

    `clock` is for tests that move time; without it the database's own clock judges.
    """

    durable = True
    shared = True

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock
        self._pool: Any = None
        self._watchers: list[Callable[[datetime], None]] = []
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See `Store.open`; a schema that is missing or old is refused with the command that helps."""
        await asyncio.to_thread(check_schema, self._url)
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=2,
                max_size=_POOL_SIZE,
                timeout=CONNECT_SECONDS,
                command_timeout=ANSWER_SECONDS,
                server_settings=_SESSION,
                reset=_no_reset,
            )
        except _FAILURES as error:
            raise StoreUnavailableError(f"the job store cannot be reached: {_first_line(error)}") from error

    async def close(self) -> None:
        """See `Store.close`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_SECONDS)
            except TimeoutError:
                pool.terminate()

    def watch(self, notice: Callable[[datetime], None]) -> None:
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
        if len(rows) > _SHARED_ROWS:
            await self._insert(rows)
        else:
            await self._share(rows)
        tell(self._watchers, jobs)

    async def _share(self, rows: list[dict[str, Any]]) -> None:
        """Have rows written in a commit with those of other calls."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await asyncio.shield(written)

    async def _write_waiting(self) -> None:
        """Write together what has come in while the last commit was under way: a lone call waits for nobody."""
        while self._waiting:
            calls, self._waiting = self._waiting, []
            try:
                await self._insert([row for rows, _ in calls for row in rows])
            except (ConflictError, ValueError) as error:
                if len(calls) == 1:
                    _fail(calls[0][1], error)
                else:
                    await self._write_apart(calls)
            except Exception as error:  # noqa: BLE001 - goes to the callers
                for _, written in calls:
                    _fail(written, error)
            else:
                for _, written in calls:
                    _succeed(written)

    async def _write_apart(self, calls: list[_Waiting]) -> None:
        """Write each call by itself, so that one that is refused does not take the others with it."""
        for rows, written in calls:
            try:
                await self._insert(rows)
            except Exception as error:  # noqa: BLE001 - goes to the caller
                _fail(written, error)
            else:
                _succeed(written)

    async def _insert(self, rows: list[dict[str, Any]]) -> None:
        await self._fetch("add", {name: [row[name] for row in rows] for name in JOB_COLUMNS})

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
        tell(self._watchers, [job] if done else [])
        return done

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        async with self._connection() as connection, connection.transaction():
            gone = bool(await self._on(connection, "delete", {"id": job.id, "version": job.version}))
            if gone and run is not None:
                await self._on(connection, "add_run", run_row(run, _DIALECT))
                await self._on(connection, "ask_to_stop", {"run": run.number, "node": run.node})
        return gone

    # --- running them

    async def claim(self, node: str, demand: Mapping[JobKey, int], limit: int) -> list[Claim]:
        """See `Store.claim`."""
        parameters = {**_columns(demand), "demands": list(demand.values()), "node": node, "limit": limit}
        jobs = [read_job(row, _DIALECT) for row in await self._fetch("claim", parameters)]
        return [Claim(job, job.updated_at) for job in sorted(jobs, key=lambda job: job.due_at)]

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """See `Store.next_due`."""
        ((at, wait),) = await self._fetch("next_due", _columns(keys))
        return None if at is None else Due(at, wait)

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        jobs, runs = [change.job for change in changes], [change.run for change in changes]
        parameters = {
            "id": [job.id for job in jobs],
            "state": [job.state.value for job in jobs],
            "paused": [job.paused for job in jobs],
            "fire_time": [job.fire_time for job in jobs],
            "due_at": [job.due_at for job in jobs],
            "attempt": [job.attempt for job in jobs],
            "failures": [job.failures for job in jobs],
            "losses": [job.losses for job in jobs],
            "version": [job.version for job in jobs],
            "updated_at": [job.updated_at for job in jobs],
            "ended_number": [run.number for run in runs],
            "ended_fire_time": [run.fire_time for run in runs],
            "ended_due_at": [run.due_at for run in runs],
            "ended_attempt": [run.attempt for run in runs],
            "ended_node": [run.node for run in runs],
            "ended_started_at": [run.started_at for run in runs],
            "ended_finished_at": [run.finished_at for run in runs],
            "ended_outcome": [run.outcome.value for run in runs],
            "ended_reason": [run.reason for run in runs],
        }
        done = {number for (number,) in await self._fetch("finish", parameters)}
        tell(self._watchers, jobs)
        refused = [change.job.id for change in changes if change.run.number not in done]
        held = dict(await self._fetch("runs_of", {"id": refused})) if refused else {}
        return [_answer(change, done, held) for change in changes]

    async def stops(self, node: str) -> frozenset[int]:
        """See `Store.stops`."""
        return frozenset(run for (run,) in await self._fetch("stops", {"node": node}))

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
        return sum([len(await self._fetch(name, parameters)) for name in ("prune_jobs", "prune_runs")])

    # --- nodes

    async def join(self, node: str) -> None:
        """See `Store.join`."""
        await self._fetch("join", {"node": node})

    async def beat(self, node: str) -> bool:
        """See `Store.beat`."""
        return bool(await self._fetch("beat", {"node": node}))

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return [NodeBeat(*row) for row in await self._fetch("nodes", {})]

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        await self._fetch("leave", {"node": node})

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        return bool(await self._fetch("bury", {"node": node.name, "beat": node.beat}))

    # --- talking to the database

    def _test_time(self) -> datetime | None:
        return None if self._clock is None else self._clock.now()

    async def _fetch(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        async with self._connection() as connection:
            return await self._on(connection, statement, parameters)

    async def _on(self, connection: Any, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        sql, arguments = _SQL[statement].sql, _SQL[statement].arguments({"now": self._test_time(), **parameters})
        rows: list[Any] = await connection.fetch(sql, *arguments)
        return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """Lend a connection, and turn every way the database can fail into our own errors."""
        if self._pool is None:
            raise StoreUnavailableError("the job store is closed")
        try:
            async with self._pool.acquire(timeout=POOL_SECONDS) as connection:
                yield connection
        except asyncpg.UniqueViolationError as error:
            raise ConflictError(f"the job store refused the rows: {_first_line(error)}") from error
        except asyncpg.DataError as error:
            # The driver's own sentence repeats the values of everybody who shares the commit.
            raise ValueError(f"a value cannot be written: {error.__cause__ or type(error).__name__}") from None
        except _FAILURES as error:
            if isinstance(error, _LOST):
                await self._pool.expire_connections()  # what cut off one has probably cut off all
            raise StoreUnavailableError(f"the job store failed: {_first_line(error)}") from error


async def _no_reset(_connection: object) -> None:
    """Leave a connection as it is when it goes back to the pool: no statement of ours leaves anything behind."""


def _succeed(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)


def _fail(written: asyncio.Future[None], error: Exception) -> None:
    if not written.done():
        written.set_exception(error)


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
