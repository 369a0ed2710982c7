"""The SQLite store: one file (or RAM), one process, one thread that owns the connection.

Calls are queued to the thread, which takes all that wait and commits them together: concurrent writers share one fsync
and a lone one does not wait for company. `synchronous=FULL`, because NORMAL loses acknowledged rows when the power
fails.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import ConfigError, ConflictError, StoreUnavailableError
from mainspring.model import DEADLY, Answer, Change, Claim, Due, Job, JobFilter, JobKey, NodeBeat, Position, Run, State
from mainspring.store.migrations import sqlite_upgrade, sqlite_version, verdict
from mainspring.store.rows import (
    Dialect,
    from_microseconds,
    job_row,
    load_statements,
    read_job,
    read_run,
    run_row,
    tell,
    to_microseconds,
)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_OLDEST, _NEWEST = -(2**62), 2**62
_REQUIRED = (3, 37)


_DIALECT = Dialect(to_id=str, from_id=UUID, to_time=to_microseconds, from_time=from_microseconds, from_json=json.loads)
_SQL = load_statements("sqlite")


@dataclass(slots=True)
class _Call:
    """Work for the thread, and who waits for it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class SqliteStore:
    """See `mainspring.store.protocol.Store`. `path` is a file, or ``None`` for RAM; `clock` tells the store's time."""

    shared = False

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.durable = path is not None
        self._path = path
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._lock_file: IO[str] | None = None
        self._watchers: list[Callable[[datetime], None]] = []

    async def open(self) -> None:
        """See `Store.open`; the schema is made or brought up to date."""
        if sqlite3.sqlite_version_info < _REQUIRED:
            raise ConfigError(f"SQLite 3.37 or newer is needed, this Python has {sqlite3.sqlite_version}")
        if self._path is not None:
            self._lock_file = _lock(self._path)
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread = threading.Thread(target=self._serve, args=(opened,), name="sqlite", daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            await asyncio.to_thread(thread.join)
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def watch(self, notice: Callable[[datetime], None]) -> None:
        """See `Store.watch`."""
        self._watchers.append(notice)

    async def now(self) -> datetime:
        """See `Store.now`."""
        return await self._call(lambda _: self._clock.now())

    # --- jobs

    async def add(self, jobs: Sequence[Job]) -> None:
        """See `Store.add`."""
        rows = [job_row(job, _DIALECT) for job in jobs]
        await self._call(lambda db: db.executemany(_SQL["add"], rows))
        tell(self._watchers, jobs)

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""
        row = await self._call(lambda db: db.execute(_SQL["get"], {"id": str(job_id)}).fetchone())
        return row and read_job(row, _DIALECT)

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        parameters = {
            **key._asdict(),
            "states": json.dumps([state.value for state in which.states]),
            "dead": which.dead,
            "deadly": json.dumps([outcome.value for outcome in DEADLY]),
            "after_due": to_microseconds(after.due_at) if after else _OLDEST,
            "after_id": str(after.id) if after else "",
            "due_from": to_microseconds(which.due_from) if which.due_from else _OLDEST,
            "due_to": to_microseconds(which.due_to) if which.due_to else _NEWEST,
            "limit": limit,
        }
        statement = _SQL["page_done" if which.done else "page"]
        rows = await self._call(lambda db: db.execute(statement, parameters).fetchall())
        return [read_job(row, _DIALECT) for row in rows]

    async def counts(self) -> dict[JobKey, dict[State, int]]:
        """See `Store.counts`."""
        counts: dict[JobKey, dict[State, int]] = {}
        for product, job_group, state, count in await self._call(lambda db: db.execute(_SQL["counts"]).fetchall()):
            counts.setdefault(JobKey(product, job_group), {})[State(state)] = count
        return counts

    async def update(self, job: Job) -> bool:
        """See `Store.update`."""
        row = job_row(job, _DIALECT)
        done = await self._call(lambda db: db.execute(_SQL["update"], row).fetchone() is not None)
        tell(self._watchers, [job] if done else [])
        return done

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(_SQL["delete"], {"id": str(job.id), "version": job.version}).fetchone() is not None
            if gone and run is not None:
                db.execute(_SQL["add_run"], run_row(run, _DIALECT))
                db.execute(_SQL["ask_to_stop"], {"run": run.number, "node": run.node})
            return gone

        return await self._call(work)

    # --- running them

    async def claim(self, node: str, demand: Mapping[JobKey, int], limit: int) -> list[Claim]:
        """See `Store.claim`."""
        at = self._clock.now()
        now = to_microseconds(at)

        def work(db: sqlite3.Connection) -> list[Any]:
            if node not in {name for name, _ in db.execute(_SQL["nodes"])}:
                return []
            ids: list[str] = []
            for key, slots in demand.items():
                parameters = {**key._asdict(), "now": now, "limit": min(slots, limit - len(ids))}
                ids += [id_ for (id_,) in db.execute(_SQL["due"], parameters)]
            if not ids:
                return []
            (last,) = db.execute(_SQL["draw"], {"count": len(ids)}).fetchone()
            first = last - len(ids) + 1
            return [
                db.execute(_SQL["claim"], {"id": id_, "run": run, "node": node, "now": now}).fetchone()
                for run, id_ in enumerate(ids, first)
            ]

        return [Claim(read_job(row, _DIALECT), at) for row in await self._call(work)]

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """See `Store.next_due`."""

        def work(db: sqlite3.Connection) -> list[int]:
            found = (db.execute(_SQL["due_next"], key._asdict()).fetchone()[0] for key in keys)
            return [due for due in found if due is not None]

        due = await self._call(work)
        at = from_microseconds(min(due)) if due else None
        return None if at is None else Due(at, at - self._clock.now())

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        rows = [
            (job_row(change.job, _DIALECT) | {"ended_run": change.run.number}, run_row(change.run, _DIALECT))
            for change in changes
        ]

        def work(db: sqlite3.Connection) -> list[Answer]:
            answers = []
            for job, run in rows:
                if db.execute(_SQL["finish"], job).fetchone() is not None:
                    db.execute(_SQL["add_run"], run)
                    answers.append(Answer.DONE)
                else:
                    held = db.execute(_SQL["run_of"], {"id": job["id"]}).fetchone()
                    answers.append(Answer.STALE if held == (run["number"],) else Answer.LOST)
            return answers

        answers = await self._call(work)
        tell(self._watchers, [change.job for change in changes])
        return answers

    async def stops(self, node: str) -> frozenset[int]:
        """See `Store.stops`."""
        rows = await self._call(lambda db: db.execute(_SQL["stops"], {"node": node}).fetchall())
        return frozenset(run for (run,) in rows)

    async def orphans(self, limit: int) -> list[Job]:
        """See `Store.orphans`."""
        rows = await self._call(lambda db: db.execute(_SQL["orphans"], {"limit": limit}).fetchall())
        return [read_job(row, _DIALECT) for row in rows]

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """See `Store.runs`."""
        statement = _SQL["runs_of_group" if job_id is None else "runs_of_job"]
        parameters = {
            **key._asdict(),
            "job_id": str(job_id),
            "before": _NEWEST if before is None else before,
            "limit": limit,
        }
        rows = await self._call(lambda db: db.execute(statement, parameters).fetchall())
        return [read_run(row, _DIALECT) for row in rows]

    async def prune(self, older_than: timedelta, limit: int) -> int:
        """See `Store.prune`."""
        parameters = {"before": to_microseconds(self._clock.now() - older_than), "limit": limit}
        return await self._call(
            lambda db: sum(db.execute(_SQL[name], parameters).rowcount for name in ("prune_jobs", "prune_runs"))
        )

    # --- nodes

    async def join(self, node: str) -> None:
        """See `Store.join`."""
        await self._call(lambda db: db.execute(_SQL["join"], {"node": node}))

    async def beat(self, node: str) -> bool:
        """See `Store.beat`."""
        return await self._call(lambda db: db.execute(_SQL["beat"], {"node": node}).fetchone() is not None)

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return [NodeBeat(*row) for row in await self._call(lambda db: db.execute(_SQL["nodes"]).fetchall())]

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        await self._call(lambda db: [db.execute(_SQL[name], {"node": node}).fetchall() for name in ("leave", "stops")])

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        parameters = {"node": node.name, "beat": node.beat}

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(_SQL["bury"], parameters).fetchone() is not None
            if gone:
                db.execute(_SQL["stops"], {"node": node.name}).fetchall()
            return gone

        return await self._call(work)

    # --- the thread

    async def _call(self, work: Work[T]) -> T:
        if self._thread is None:
            raise StoreUnavailableError("the job store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put(_Call(work, future))
        return await future

    def _serve(self, opened: asyncio.Future[None]) -> None:
        loop = opened.get_loop()
        try:
            db = _connect(self._path)
        except Exception as error:  # noqa: BLE001 - whoever opens the store must hear of it
            loop.call_soon_threadsafe(opened.set_exception, error)
            return
        loop.call_soon_threadsafe(opened.set_result, None)
        closing = False
        while not closing:
            calls = [self._calls.get()]
            while not self._calls.empty():
                calls.append(self._calls.get())
            closing = None in calls
            work = [call for call in calls if call is not None]
            if work:
                _commit_together(db, work)
                loop.call_soon_threadsafe(_deliver, work)
        db.close()


def _commit_together(db: sqlite3.Connection, calls: Sequence[_Call]) -> None:
    """Do all the work in one transaction; work that fails is undone alone, a commit that fails undoes it all."""
    try:
        db.execute("begin immediate")
        for call in calls:
            db.execute("savepoint call")
            try:
                call.result = call.work(db)
            except Exception as error:  # noqa: BLE001 - goes to the caller
                db.execute("rollback to call")
                call.error = _translated(error)
            db.execute("release call")
        db.execute("commit")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("rollback")
        for call in calls:
            call.error = call.error or _translated(error)


def _translated(error: Exception) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return ConflictError(f"the job store refused the rows: {error}")
    if isinstance(error, sqlite3.Error):
        return StoreUnavailableError(f"the job store failed: {error}")
    return error


def _deliver(calls: Iterable[_Call]) -> None:
    for call in calls:
        if call.future.done():
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)


# --- opening the file


def _lock(path: Path) -> IO[str]:
    """Take the lock beside the file that says which process has it.

    SQLite's own locks would let a second one in between commits.
    """
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        lock = os.fdopen(os.open(beside, os.O_CREAT | os.O_RDWR, 0o600), "r+")
    except OSError as error:
        raise ConfigError(f"the job store {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ConfigError(
            f"the job store {path} is in use by another process (pid {holder}). "
            "A SQLite file serves one process; nodes on several share a PostgreSQL store."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def check_schema(path: Path) -> None:
    """Raise `SchemaError` unless the schema of a file is the one this version needs; nothing is changed.

    Works beside a service that uses the file. Raises `ConfigError` when it is no database.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            verdict(sqlite_version(db), "mainspring db upgrade")
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"the job store {path} is not a usable SQLite database: {error}") from error


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        sqlite_upgrade(db)
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigError(f"the job store {path} is not a usable SQLite database: {error}") from error
    except ConfigError:
        db.close()
        raise
    return db
