"""The verbs of the SQLite store: one file (or RAM), one process, one thread that owns the connection.

They are one class, because `Store` is one protocol: each verb is a few lines around its statements. `synchronous=FULL`,
because NORMAL loses acknowledged rows when the power fails.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import SchemaValidator, core_schema, from_json

from mainspring.clock import Clock
from mainspring.errors import ConfigError
from mainspring.failpoint import fp
from mainspring.job import DEADLY, Change, Claim, Counts, Job, JobFilter, JobKey, Position, Run, State
from mainspring.store.columns import Form, lists
from mainspring.store.facts import Answer, Claimed, Due, NodeBeat, Pulse
from mainspring.store.rows import Dialect, Values, from_microseconds, read_counts, tell, to_json, to_microseconds
from mainspring.store.sqlite.file import OLDEST_SQLITE
from mainspring.store.sqlite.thread import SqliteThread
from mainspring.store.statements import load_statements, page_statement

_OLDEST, _NEWEST = -(2**62), 2**62
PRUNE_BATCH = 1000


_TO_ID = SchemaValidator(core_schema.uuid_schema())
"""Reads an id in 0.3 us; `UUID` takes 2.3."""
_VALUES = Values(
    to_id=str,
    from_id=_TO_ID.validate_python,
    to_time=to_microseconds,
    from_time=from_microseconds,
    from_json=json.loads,
)
_ROWS = Dialect(_VALUES)
_CLAIMED = Dialect(_VALUES._replace(from_json=None))
_IN_JSON = Dialect(_VALUES._replace(to_id=None))
SQL = load_statements("sqlite", lists({Form.JSON: "json({0})"}, no="0"))


class SqliteStore:
    """See `mainspring.store.protocol.Store`. `path` is a file, or ``None`` for RAM; `clock` tells the store's time."""

    shared = False

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.durable = path is not None
        self._clock = clock
        self._thread = SqliteThread(path)
        self._call = self._thread.call
        self._watchers: list[Callable[[datetime], None]] = []

    async def open(self) -> None:
        """See `Store.open`; the schema is made or brought up to date."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigError(f"SQLite 3.37 or newer is needed, this Python has {sqlite3.sqlite_version}")
        try:
            await self._thread.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        await self._thread.close()

    def watch(self, notice: Callable[[datetime], None]) -> None:
        """See `Store.watch`."""
        self._watchers.append(notice)

    async def now(self) -> datetime:
        """See `Store.now`."""
        return await self._call(lambda _: self._clock.now())

    # --- jobs

    async def add(self, jobs: Sequence[Job], unrun: Sequence[Run] = ()) -> None:
        """See `Store.add`."""
        rows = [_ROWS.job_row(job) for job in jobs]

        def work(db: sqlite3.Connection) -> None:
            db.executemany(SQL["add"], rows)
            _add_unrun(db, unrun)

        fp("add.before_commit")
        await self._call(work)
        fp("add.after_commit")
        tell(self._watchers, jobs)

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""

        def work(db: sqlite3.Connection) -> Job | None:
            if row := db.execute(SQL["get"], {"id": str(job_id)}).fetchone():
                return _ROWS.read_job(row)
            if row := db.execute(SQL["get_done"], {"id": str(job_id)}).fetchone():
                return _ROWS.read_done_job(row)
            return None

        return await self._call(work)

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        begin = after if which.done else which.begin(after)
        parameters = {
            **key._asdict(),
            "states": json.dumps([state.value for state in which.states]),
            "outcomes": None if which.ended is None else json.dumps([outcome.value for outcome in which.ended]),
            "gave_up": which.gave_up,
            "after_due": to_microseconds(begin.due_at) if begin else _OLDEST,
            "after_id": str(begin.id) if begin else "",
            "after_run": after.run if after else _NEWEST,
            "due_from": to_microseconds(which.due_from) if which.due_from else _OLDEST,
            "due_to": to_microseconds(which.due_to) if which.due_to else _NEWEST,
            "limit": limit,
        }
        statement = page_statement(which)
        read = _ROWS.read_done_job if which.done else _ROWS.read_job
        rows = await self._call(lambda db: db.execute(SQL[statement], parameters).fetchall())
        return [read(row) for row in rows]

    async def counts(self) -> dict[JobKey, Counts]:
        """See `Store.counts`."""
        return read_counts(await self._call(lambda db: db.execute(SQL["counts"]).fetchall()))

    async def update(self, job: Job, unrun: Sequence[Run] = (), added: Sequence[Job] = ()) -> bool:
        """See `Store.update`."""
        return await self._update("update", job, added, unrun)

    async def amend(self, job: Job) -> bool:
        """See `Store.amend`."""
        row = _ROWS.job_values(job)
        return bool(await self._call(lambda db: db.execute(SQL["amend"], row).fetchall()))

    async def split_off(self, job: Job, child: Job, unrun: Sequence[Run]) -> bool:
        """See `Store.split_off`."""
        return await self._update("split_off", job, [child], unrun)

    async def _update(self, statement: str, job: Job, added: Sequence[Job], unrun: Sequence[Run]) -> bool:
        row, rows = _ROWS.job_values(job), [_ROWS.job_row(each) for each in added]

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(SQL[statement], row).fetchall())
            if done:
                db.executemany(SQL["add"], rows)
                _add_unrun(db, unrun)
            return done

        done = await self._call(work)
        tell(self._watchers, [job, *added] if done else [])
        return done

    async def revive(self, job: Job, unrun: Sequence[Run] = ()) -> bool:
        """See `Store.revive`."""
        row = _ROWS.job_row(job)
        guard = {"id": str(job.id), "version": job.version - 1}

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(SQL["end_being_done"], guard).fetchall())
            if done:
                db.execute(SQL["add"], row)
                _add_unrun(db, unrun)
            return done

        done = await self._call(work)
        tell(self._watchers, [job] if done else [])
        return done

    async def recurring(self, after: UUID | None, limit: int, *, calendar: str | None = None) -> list[Job]:
        """See `Store.recurring`."""
        parameters = {"after": str(after or ""), "limit": limit, "calendar": calendar}
        rows = await self._call(lambda db: db.execute(SQL["recurring"], parameters).fetchall())
        return [_ROWS.read_job(row) for row in rows]

    async def children(self, parent: UUID) -> list[Job]:
        """See `Store.children`."""
        rows = await self._call(lambda db: db.execute(SQL["children"], {"parent": str(parent)}).fetchall())
        return [_ROWS.read_job(row) for row in rows]

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        statement = SQL["end_being_done" if job.state is State.DONE else "delete"]
        guard = {"id": str(job.id), "version": job.version}

        def work(db: sqlite3.Connection) -> bool:
            gone = bool(db.execute(statement, guard).fetchall())
            if gone and job.state is State.RUNNING:
                _count(db, {(job.key, State.RUNNING, False): -1})
            fp("delete.between")
            if gone and run is not None:
                db.execute(SQL["add_run"], _ROWS.run_values(run))
                db.execute(SQL["ask_to_stop"], {"run": run.number, "node": run.node})
            return gone

        return await self._call(work)

    # --- running them

    async def claim(
        self, node: str, demand: Mapping[JobKey, int], limit: int, ahead: timedelta = timedelta()
    ) -> Claimed:
        """See `Store.claim`."""
        at = self._clock.now()
        now, until = to_microseconds(at), to_microseconds(at + ahead)

        def work(db: sqlite3.Connection) -> tuple[str, datetime | None]:
            if node not in {row[0] for row in db.execute(SQL["nodes"])}:
                return "[]", None
            ids: list[str] = []
            counts: _Counts = Counter()
            for key, slots in demand.items():
                parameters = {**key._asdict(), "until": until, "limit": min(slots, limit - len(ids))}
                for id_, gave_up in db.execute(SQL["due"], parameters).fetchall():
                    ids.append(id_)
                    counts[key, State.SCHEDULED, gave_up] -= 1
                    counts[key, State.RUNNING, False] += 1
            if not ids:
                return "[]", None
            _count(db, counts)
            (last,) = db.execute(SQL["draw"], {"count": len(ids)}).fetchone()
            parameters = {"ids": json.dumps(ids), "first": last - len(ids) + 1, "node": node, "now": now}
            db.execute(SQL["claim"], parameters)
            (claimed,) = db.execute(SQL["claimed"], parameters).fetchone()
            return str(claimed), _next_due(db, demand, until)

        claimed, due = await self._call(work)
        fp("claim.sent")
        rows = from_json(claimed)
        if not rows:
            return Claimed([])
        keys: dict[tuple[str, str], JobKey] = {key: key for key in demand}
        of_rows = (keys[row[-3], row[-2]] for row in rows)
        claims = _CLAIMED.read_claims(rows, of_rows, node, from_microseconds(rows[0][-1]))
        next_due = None if due is None else Due(due, due - at)
        return Claimed(sorted(claims, key=lambda claim: claim.job.due_at), self._clock.now(), next_due)

    async def unclaim(self, jobs: Sequence[Job]) -> None:
        """See `Store.unclaim`."""
        now = to_microseconds(self._clock.now())
        rows = [{"id": str(job.id), "run": job.run, "now": now} for job in jobs]
        await self._call(lambda db: db.executemany(SQL["unclaim"], rows).close())
        tell(self._watchers, (job._replace(state=State.SCHEDULED) for job in jobs))

    async def holding(self, node: str) -> list[Claim]:
        """See `Store.holding`."""
        rows = await self._call(lambda db: db.execute(SQL["holding"], {"node": node}).fetchall())
        jobs = [_ROWS.read_job(row) for row in rows]
        return [Claim(job, job.claimed_at or job.updated_at) for job in jobs]

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """See `Store.next_due`."""
        at = await self._call(lambda db: _next_due(db, keys, _OLDEST))
        return None if at is None else Due(at, at - self._clock.now())

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        ended = [change for change in changes if change.job.state is State.DONE and not change.unrun]
        ends = _Ends(ended)

        def work(db: sqlite3.Connection) -> list[Answer]:
            together = _end(db, ends)
            return [
                Answer.DONE if together and change.job.state is State.DONE and not change.unrun else _finish(db, change)
                for change in changes
            ]

        answers = await self._call(work)
        fp("finish.sent")
        tell(self._watchers, (change.job for change in changes))
        return answers

    async def orphans(self, keys: Collection[JobKey], limit: int) -> list[Job]:
        """See `Store.orphans`."""
        parameters = {"keys": json.dumps(list(keys)), "limit": limit}
        rows = await self._call(lambda db: db.execute(SQL["orphans"], parameters).fetchall())
        return [_ROWS.read_job(row) for row in rows]

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """See `Store.runs`."""
        statement = SQL["runs_of_group" if job_id is None else "runs_of_job"]
        parameters = {
            **key._asdict(),
            "job_id": str(job_id),
            "before": _NEWEST if before is None else before,
            "limit": limit,
        }
        rows = await self._call(lambda db: db.execute(statement, parameters).fetchall())
        return [_ROWS.read_run(row) for row in rows]

    async def prune(self, older_than: timedelta) -> bool:
        """See `Store.prune`."""
        midnight = (self._clock.now() - older_than).replace(hour=0, minute=0, second=0, microsecond=0)
        parameters = {"before": to_microseconds(midnight), "limit": PRUNE_BATCH}
        return await self._call(lambda db: db.execute(SQL["prune"], parameters).rowcount == PRUNE_BATCH)

    # --- notes

    async def notes(self, kind: str) -> dict[str, Any]:
        """See `Store.notes`."""
        rows = await self._call(lambda db: db.execute(SQL["notes"], {"kind": kind}).fetchall())
        return {name: json.loads(value) for name, value in rows}

    async def note(self, kind: str, name: str, value: Any) -> bool:
        """See `Store.note`."""
        text = None if value is None else to_json(value)

        def work(db: sqlite3.Connection) -> bool:
            there = name in {row[0] for row in db.execute(SQL["notes"], {"kind": kind})}
            (version,) = db.execute(SQL["draw"], {"count": 1}).fetchone()
            db.execute(SQL["note"], {"kind": kind, "name": name, "value": text, "version": version})
            return there

        return await self._call(work)

    # --- nodes

    async def join(self, node: NodeBeat) -> None:
        """See `Store.join`."""
        parameters = {"node": node.name, "beat": node.beat, "host": node.host, "patient": node.patient}
        await self._call(lambda db: db.execute(SQL["join"], parameters).close())

    async def beat(self, node: str) -> Pulse:
        """See `Store.beat`."""

        def work(db: sqlite3.Connection) -> Pulse:
            alive = db.execute(SQL["beat"], {"node": node}).fetchone() is not None
            stops = frozenset(run for (run,) in db.execute(SQL["stops"], {"node": node}).fetchall())
            (notes,) = db.execute(SQL["noted"]).fetchone()
            return Pulse(alive, stops, tuple(_nodes(db)), notes)

        return await self._call(work)

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return await self._call(_nodes)

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        await self._call(lambda db: [db.execute(SQL[name], {"node": node}).fetchall() for name in ("leave", "stops")])

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        parameters = {"node": node.name, "beat": node.beat}

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(SQL["bury"], parameters).fetchone() is not None
            if gone:
                db.execute(SQL["stops"], {"node": node.name}).fetchall()
            return gone

        return await self._call(work)


def _next_due(db: sqlite3.Connection, keys: Collection[JobKey], after: int) -> datetime | None:
    """Return when the next job of these groups is due, after a moment."""
    found = (db.execute(SQL["due_next"], {**key._asdict(), "after": after}).fetchone()[0] for key in keys)
    due = [moment for moment in found if moment is not None]
    return from_microseconds(min(due)) if due else None


_Counts = Counter[tuple[JobKey, State, bool]]
"""How many jobs of a group are in a state and did, or did not, give up last time."""


def _count(db: sqlite3.Connection, counts: Mapping[tuple[JobKey, State, bool], int]) -> None:
    """Count jobs that were written where no trigger counts them."""
    rows = [
        {**key._asdict(), "state": state.value, "gave_up": gave_up, "jobs": jobs}
        for (key, state, gave_up), jobs in counts.items()
    ]
    db.executemany(SQL["count"], rows)


def _add_unrun(db: sqlite3.Connection, unrun: Sequence[Run]) -> None:
    """Write rows of history under new numbers."""
    if unrun:
        (last,) = db.execute(SQL["draw"], {"count": len(unrun)}).fetchone()
        numbered = (run._replace(number=number) for number, run in enumerate(unrun, last - len(unrun) + 1))
        db.executemany(SQL["add_run"], [_ROWS.run_values(run) for run in numbered])


class _Ends:
    """What is written of runs that ended their jobs, for many at once."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.values = {"ended": to_json(list(map(_IN_JSON.ended, changes)))}
        self.number = len(changes)
        running = Counter([change.job.key for change in changes])
        kept = Counter([(job.key, run.outcome in DEADLY) for run, job, _ in changes if job.parent is None])
        self.counts: _Counts = Counter({(key, State.RUNNING, False): -jobs for key, jobs in running.items()})
        self.counts.update({(key, State.DONE, gave_up): jobs for (key, gave_up), jobs in kept.items()})
        self.has_parents = kept.total() < self.number


def _finish(db: sqlite3.Connection, change: Change) -> Answer:
    """Write one change, if the job is as was believed."""
    values = _ROWS.kept_values(change) | {"job_id": str(change.run.job_id)}
    if _end(db, _Ends([change])) if change.job.state is State.DONE else _go_on(db, values):
        _add_unrun(db, change.unrun)
        return Answer.DONE
    if db.execute(SQL["settled"], values).fetchone():
        return Answer.DONE
    return Answer.STALE if db.execute(SQL["run_of"], values).fetchone() == (change.run.number,) else Answer.LOST


def _go_on(db: sqlite3.Connection, values: Mapping[str, Any]) -> bool:
    """Write what a job became that goes on, if it is as was believed."""
    if not db.execute(SQL["end_run"], values).rowcount:
        return False
    db.execute(SQL["go_on"], values)
    return True


def _end(db: sqlite3.Connection, ends: _Ends) -> bool:
    """Write that jobs are over, all or none: if all of them are as was believed."""
    if not ends.number:
        return True
    db.execute("savepoint ends")
    there = db.execute(SQL["end_jobs"], ends.values).rowcount == ends.number
    if there:
        _count(db, ends.counts)
        if ends.has_parents:
            db.execute(SQL["tell_parents"], ends.values)
    db.execute(*(SQL["forget_jobs"], ends.values) if there else ("rollback to ends",))
    db.execute("release ends")
    return there


def _nodes(db: sqlite3.Connection) -> list[NodeBeat]:
    return [NodeBeat(name, beat, host, bool(patient)) for name, beat, host, patient in db.execute(SQL["nodes"])]
