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
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeVar
from uuid import UUID

from mainspring.clock import Clock
from mainspring.errors import ConfigError, ConflictError, StoreUnavailableError
from mainspring.failpoint import fp
from mainspring.job import DEADLY, Change, Claim, Job, JobFilter, JobKey, Position, Run, State
from mainspring.store.facts import Answer, Due, NodeBeat, Pulse
from mainspring.store.migrations import sqlite_upgrade, sqlite_version, verdict
from mainspring.store.rows import (
    Dialect,
    from_microseconds,
    job_row,
    job_values,
    last_run_to_json,
    load_statements,
    read_claims,
    read_done_job,
    read_job,
    read_run,
    run_row,
    tell,
    to_json,
    to_microseconds,
)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_OLDEST, _NEWEST = -(2**62), 2**62
PRUNE_BATCH = 1000
OLDEST_SQLITE = (3, 37, 0)
"""The first with strict tables."""


_DIALECT = Dialect(to_id=str, from_id=UUID, to_time=to_microseconds, from_time=from_microseconds, from_json=json.loads)
_CLAIMED = _DIALECT._replace(from_json=lambda value: value)
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
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
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

    async def add(self, jobs: Sequence[Job], unrun: Sequence[Run] = ()) -> None:
        """See `Store.add`."""
        rows = [job_row(job, _DIALECT) for job in jobs]

        def work(db: sqlite3.Connection) -> None:
            db.executemany(_SQL["add"], rows)
            _add_unrun(db, unrun)

        fp("add.before_commit")
        await self._call(work)
        fp("add.after_commit")
        tell(self._watchers, jobs)

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""

        def work(db: sqlite3.Connection) -> Job | None:
            if row := db.execute(_SQL["get"], {"id": str(job_id)}).fetchone():
                return read_job(row, _DIALECT)
            if row := db.execute(_SQL["get_done"], {"id": str(job_id)}).fetchone():
                return read_done_job(row, _DIALECT)
            return None

        return await self._call(work)

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        parameters = {
            **key._asdict(),
            "states": json.dumps([state.value for state in which.states]),
            "dead": which.dead,
            "deadly": json.dumps([outcome.value for outcome in DEADLY]),
            "after_due": to_microseconds(after.due_at) if after else _OLDEST,
            "after_id": str(after.id) if after else "",
            "after_run": after.run if after else _NEWEST,
            "due_from": to_microseconds(which.due_from) if which.due_from else _OLDEST,
            "due_to": to_microseconds(which.due_to) if which.due_to else _NEWEST,
            "limit": limit,
        }
        statement, read = ("page_done", read_done_job) if which.done else ("page", read_job)
        rows = await self._call(lambda db: db.execute(_SQL[statement], parameters).fetchall())
        return [read(row, _DIALECT) for row in rows]

    async def counts(self) -> dict[JobKey, dict[State, int]]:
        """See `Store.counts`."""
        counts: dict[JobKey, dict[State, int]] = {}
        for product, job_group, state, count in await self._call(lambda db: db.execute(_SQL["counts"]).fetchall()):
            counts.setdefault(JobKey(product, job_group), {})[State(state)] = count
        return counts

    async def update(self, job: Job, unrun: Sequence[Run] = ()) -> bool:
        """See `Store.update`."""
        return await self._update("update", job, [], unrun)

    async def split_off(self, job: Job, child: Job, unrun: Sequence[Run]) -> bool:
        """See `Store.part`."""
        return await self._update("split_off", job, [child], unrun)

    async def _update(self, statement: str, job: Job, added: Sequence[Job], unrun: Sequence[Run]) -> bool:
        row, rows = job_values(job, _DIALECT), [job_row(each, _DIALECT) for each in added]

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(_SQL[statement], row).fetchall())
            if done:
                db.executemany(_SQL["add"], rows)
                _add_unrun(db, unrun)
            return done

        done = await self._call(work)
        tell(self._watchers, [job] if done else [])
        return done

    async def revive(self, job: Job) -> bool:
        """See `Store.revive`."""
        row = job_row(job, _DIALECT)
        guard = {"id": str(job.id), "version": job.version - 1}

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(_SQL["end_being_done"], guard).fetchall())
            if done:
                db.execute(_SQL["add"], row)
            return done

        done = await self._call(work)
        tell(self._watchers, [job] if done else [])
        return done

    async def recurring(self, after: UUID | None, limit: int, *, calendar: str | None = None) -> list[Job]:
        """See `Store.recurring`."""
        parameters = {"after": str(after or ""), "limit": limit, "calendar": calendar}
        rows = await self._call(lambda db: db.execute(_SQL["recurring"], parameters).fetchall())
        return [read_job(row, _DIALECT) for row in rows]

    async def children(self, parent: UUID) -> list[Job]:
        """See `Store.children`."""
        rows = await self._call(lambda db: db.execute(_SQL["children"], {"parent": str(parent)}).fetchall())
        return [read_job(row, _DIALECT) for row in rows]

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        statement = _SQL["end_being_done" if job.state is State.DONE else "delete"]
        guard = {"id": str(job.id), "version": job.version}

        def work(db: sqlite3.Connection) -> bool:
            gone = bool(db.execute(statement, guard).fetchall())
            fp("delete.between")
            if gone and run is not None:
                db.execute(_SQL["add_run"], run_row(run, _DIALECT))
                db.execute(_SQL["ask_to_stop"], {"run": run.number, "node": run.node})
            return gone

        return await self._call(work)

    # --- running them

    async def claim(self, node: str, demand: Mapping[JobKey, int], limit: int) -> list[Claim]:
        """See `Store.claim`."""
        now = to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> str:
            if node not in {row[0] for row in db.execute(_SQL["nodes"])}:
                return "[]"
            ids: list[str] = []
            for key, slots in demand.items():
                parameters = {**key._asdict(), "now": now, "limit": min(slots, limit - len(ids))}
                ids += [id_ for (id_,) in db.execute(_SQL["due"], parameters)]
            if not ids:
                return "[]"
            (last,) = db.execute(_SQL["draw"], {"count": len(ids)}).fetchone()
            parameters = {"ids": json.dumps(ids), "first": last - len(ids) + 1, "node": node, "now": now}
            db.execute(_SQL["claim"], parameters)
            (claimed,) = db.execute(_SQL["claimed"], parameters).fetchone()
            return str(claimed)

        rows = json.loads(await self._call(work))
        fp("claim.sent")
        if not rows:
            return []
        keys: dict[tuple[str, str], JobKey] = {key: key for key in demand}
        of_rows = (keys[row[-3], row[-2]] for row in rows)
        claims = read_claims(rows, of_rows, node, from_microseconds(rows[0][-1]), _CLAIMED)
        return sorted(claims, key=lambda claim: claim.job.due_at)

    async def holding(self, node: str) -> list[Claim]:
        """See `Store.holding`."""
        rows = await self._call(lambda db: db.execute(_SQL["holding"], {"node": node}).fetchall())
        jobs = [read_job(row, _DIALECT) for row in rows]
        return [Claim(job, job.claimed_at or job.updated_at) for job in jobs]

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
        rows = [(_change_values(job, run), unrun) for run, job, unrun in changes]
        answers = await self._call(lambda db: _finish_all(db, rows))
        fp("finish.sent")
        tell(self._watchers, (change.job for change in changes))
        return answers

    async def orphans(self, keys: Collection[JobKey], limit: int) -> list[Job]:
        """See `Store.orphans`."""
        parameters = {"keys": json.dumps(list(keys)), "limit": limit}
        rows = await self._call(lambda db: db.execute(_SQL["orphans"], parameters).fetchall())
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

    async def prune(self, older_than: timedelta) -> bool:
        """See `Store.prune`."""
        midnight = (self._clock.now() - older_than).replace(hour=0, minute=0, second=0, microsecond=0)
        parameters = {"before": to_microseconds(midnight), "limit": PRUNE_BATCH}
        return await self._call(lambda db: db.execute(_SQL["prune"], parameters).rowcount == PRUNE_BATCH)

    # --- notes

    async def notes(self, kind: str) -> dict[str, Any]:
        """See `Store.notes`."""
        rows = await self._call(lambda db: db.execute(_SQL["notes"], {"kind": kind}).fetchall())
        return {name: json.loads(value) for name, value in rows}

    async def note(self, kind: str, name: str, value: Any) -> bool:
        """See `Store.note`."""
        text = None if value is None else to_json(value)

        def work(db: sqlite3.Connection) -> bool:
            there = name in {row[0] for row in db.execute(_SQL["notes"], {"kind": kind})}
            (version,) = db.execute(_SQL["draw"], {"count": 1}).fetchone()
            db.execute(_SQL["note"], {"kind": kind, "name": name, "value": text, "version": version})
            return there

        return await self._call(work)

    # --- nodes

    async def join(self, node: NodeBeat) -> None:
        """See `Store.join`."""
        parameters = {"node": node.name, "beat": node.beat, "host": node.host, "patient": node.patient}
        await self._call(lambda db: db.execute(_SQL["join"], parameters).close())

    async def beat(self, node: str) -> Pulse:
        """See `Store.beat`."""

        def work(db: sqlite3.Connection) -> Pulse:
            alive = db.execute(_SQL["beat"], {"node": node}).fetchone() is not None
            stops = frozenset(run for (run,) in db.execute(_SQL["stops"], {"node": node}).fetchall())
            (notes,) = db.execute(_SQL["noted"]).fetchone()
            return Pulse(alive, stops, tuple(_nodes(db)), notes)

        return await self._call(work)

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return await self._call(_nodes)

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
                for waiting in {call.future.get_loop() for call in work}:  # nodes beat on a loop of their own
                    theirs = [call for call in work if call.future.get_loop() is waiting]
                    with suppress(RuntimeError):  # it is closed: nobody waits any more
                        waiting.call_soon_threadsafe(_deliver, theirs)
        db.close()


_ENDED = ("id", "run", "version", "started_at", "finished_at", "outcome", "reason", "failures", "losses")
"""What the statement that ends jobs takes of each, in its order."""


def _change_values(job: Job, run: Run) -> dict[str, Any]:
    """Write a change as the parameters of its statements; a done job needs no more than how its run ended."""
    values = {
        "id": str(job.id),
        "job_id": str(run.job_id),
        "run": run.number,
        "version": job.version,
        "started_at": to_microseconds(run.started_at),
        "finished_at": to_microseconds(run.finished_at),
        "outcome": run.outcome.value,
        "reason": run.reason,
        "failures": job.failures,
        "losses": job.losses,
    }
    if job.state is State.DONE:
        return values
    return values | {
        "state": job.state.value,
        "paused": job.paused,
        "fire_time": to_microseconds(job.fire_time),
        "due_at": to_microseconds(job.due_at),
        "attempt": job.attempt,
        "last_run": last_run_to_json(run),
    }


def _add_unrun(db: sqlite3.Connection, unrun: Sequence[Run]) -> None:
    """Write rows of history under new numbers."""
    if unrun:
        (last,) = db.execute(_SQL["draw"], {"count": len(unrun)}).fetchone()
        numbered = (run._replace(number=number) for number, run in enumerate(unrun, last - len(unrun) + 1))
        db.executemany(_SQL["add_run"], [run_row(run, _DIALECT) for run in numbered])


def _finish_all(db: sqlite3.Connection, changes: Sequence[tuple[dict[str, Any], Sequence[Run]]]) -> list[Answer]:
    """Write changes: ends of jobs together, if all of them are as was believed, and the others one by one."""
    ended = [change for change, unrun in changes if "state" not in change and not unrun]
    together = len(ended) > 1 and _end(db, ended)
    return [
        Answer.DONE if together and "state" not in change and not unrun else _finish(db, change, unrun)
        for change, unrun in changes
    ]


def _finish(db: sqlite3.Connection, change: dict[str, Any], unrun: Sequence[Run]) -> Answer:
    """Write one change, if the job is as was believed."""
    if _go_on(db, change) if "state" in change else _end(db, [change]):
        _add_unrun(db, unrun)
        return Answer.DONE
    if db.execute(_SQL["settled"], change).fetchone():
        return Answer.DONE
    return Answer.STALE if db.execute(_SQL["run_of"], change).fetchone() == (change["run"],) else Answer.LOST


def _go_on(db: sqlite3.Connection, change: dict[str, Any]) -> bool:
    """Write what a job became that goes on, if it is as was believed."""
    if not db.execute(_SQL["end_run"], change).rowcount:
        return False
    db.execute(_SQL["go_on"], change)
    return True


def _end(db: sqlite3.Connection, changes: Sequence[dict[str, Any]]) -> bool:
    """Write that jobs are over, all or none: if all of them are as was believed."""
    values = {"ended": json.dumps([[change[name] for name in _ENDED] for change in changes])}
    db.execute("savepoint ends")
    there = db.execute(_SQL["end_jobs"], values).rowcount == len(changes)
    db.execute(*(_SQL["forget_jobs"], values) if there else ("rollback to ends",))
    db.execute("release ends")
    return there


def _nodes(db: sqlite3.Connection) -> list[NodeBeat]:
    return [NodeBeat(name, beat, host, bool(patient)) for name, beat, host, patient in db.execute(_SQL["nodes"])]


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
