"""The verbs of the SQLite store: one file (or RAM), one process, one thread that owns the connection.

They are one class, because `Store` is one protocol: each verb is a few lines around its statements. `synchronous=FULL`,
because NORMAL loses acknowledged rows when the power fails.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from mainspring.clock import Clock
from mainspring.errors import ConfigError
from mainspring.failpoint import fp
from mainspring.job import (
    EVENTS_KEPT_FOR,
    FIRST_PRIORITY,
    KEPT_FOR,
    LAST_PRIORITY,
    Candidate,
    Cap,
    Change,
    Claim,
    Counts,
    Edit,
    Entry,
    EventKind,
    Gate,
    Held,
    Job,
    JobFilter,
    JobKey,
    Position,
    Pressure,
    Progress,
    Receipt,
    Run,
    RunFilter,
    Scope,
    State,
    Strain,
    Told,
    in_turn,
    rank,
)
from mainspring.schedule import MICROSECOND
from mainspring.store.entries import by_job, deletion, read_told, returned
from mainspring.store.facts import (
    CANDIDATES,
    MOST_KEYS,
    NUMBERED,
    Answer,
    Capped,
    Claimed,
    Due,
    NodeBeat,
    Pulse,
    Seen,
    Waits,
)
from mainspring.store.rows import (
    from_microseconds,
    near_microseconds,
    read_counts,
    read_groups,
    read_load,
    read_note,
    read_pressure,
    seen,
    soonest,
    tell_watchers,
    to_json,
    to_microseconds,
    wait_to_spend,
    write_pressure,
)
from mainspring.store.sqlite.batch import SLICE, Batches, Slice
from mainspring.store.sqlite.dialect import CLAIMED, FIRST, LAST, ROWS, SQL, page_of, rows_of
from mainspring.store.sqlite.ends import Ends, Tally, add_rows, count, end_all, finish_one, label, wait
from mainspring.store.sqlite.file import OLDEST_SQLITE
from mainspring.store.sqlite.telling import tell, tell_ended
from mainspring.store.sqlite.thread import SqliteThread
from mainspring.store.statements import page_statement

PRUNE_BATCH = 1000


class SqliteStore:
    """See `mainspring.store.protocol.Store`. `path` is a file, or ``None`` for RAM; `clock` tells the store's time."""

    shared = False

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self.durable = path is not None
        self._clock = clock
        self._thread = SqliteThread(path)
        self._call = self._thread.call
        # What people list waits for no claim, and no claim for it. In RAM there is one connection: pages are small.
        self._reader = SqliteThread(path, only_reads=True) if path else self._thread
        self._read = self._reader.call
        # Sums over all jobs take seconds where there are a million.
        self._summer = SqliteThread(path, only_reads=True) if path else self._thread
        self._batches = Batches(self._thread)
        self._watchers: list[Callable[[datetime], None]] = []
        self._looked_at: dict[JobKey, str] = {}
        self._unlabelled = ""
        """Up to which job labels were looked at for jobs that are gone."""

    async def open(self) -> None:
        """See `Store.open`; the schema is made or brought up to date."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigError(f"SQLite 3.37 or newer is needed, this Python has {sqlite3.sqlite_version}")
        try:
            await self._thread.open()
            if self._reader is not self._thread:
                await self._reader.open()
                await self._summer.open()
            await self._batches.recover()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        await self._summer.close()
        await self._reader.close()
        await self._thread.close()

    def watch(self, notice: Callable[[datetime], None]) -> None:
        """See `Store.watch`."""
        self._watchers.append(notice)

    async def now(self) -> datetime:
        """See `Store.now`."""
        return await self._call(lambda _: self._clock.now())

    # --- jobs

    async def add(self, jobs: Sequence[Job], unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> None:
        """See `Store.add`."""
        fp("add.before_commit")
        if len(jobs) > SLICE or len(unrun) > SLICE:
            await self._batches.write(_sliced(jobs, unrun), self._keeping(receipt))
        else:
            rows, history = [ROWS.job_row(job) for job in jobs], [ROWS.run_values(run) for run in unrun]
            keep = self._keeping(receipt)

            def work(db: sqlite3.Connection) -> None:
                keep(db)
                add_rows(db, rows, history)

            await self._call(work)
        fp("add.after_commit")
        tell_watchers(self._watchers, jobs)

    async def add_named(self, job: Job, unrun: Sequence[Run] = ()) -> bool:
        """See `Store.add_named`."""
        row, history, named = ROWS.job_row(job), [ROWS.run_values(run) for run in unrun], {"id": str(job.id)}

        def work(db: sqlite3.Connection) -> bool:
            is_free = not (db.execute(SQL["get"], named).fetchall() or db.execute(SQL["is_done"], named).fetchone()[0])
            if is_free:
                add_rows(db, [row], history)
            return is_free

        written = await self._call(work)
        tell_watchers(self._watchers, [job] if written else [])
        return written

    async def add_slices(
        self, slices: AsyncIterator[Sequence[Edit]], receipt: Callable[[], Receipt] | None = None
    ) -> None:
        """See `Store.add_slices`."""
        first: list[Job] = []

        async def seen() -> AsyncIterator[Slice]:
            nonlocal first
            async for edits in slices:
                jobs = [edit.job for edit in edits]
                first = soonest([*first, *jobs])
                yield jobs, [run for edit in edits for run in edit.unrun]

        def keep(db: sqlite3.Connection) -> None:
            self._keeping(receipt and receipt())(db)  # its answer names all that came

        await self._batches.write(seen(), keep)
        tell_watchers(self._watchers, first)

    def _keeping(self, receipt: Receipt | None) -> Callable[[sqlite3.Connection], None]:
        """Return work that writes a receipt, if there is one."""
        if receipt is None:
            return lambda _: None
        id_, fingerprint, answer = receipt
        now = to_microseconds(self._clock.now())
        values = {"receipt": id_, "fingerprint": fingerprint, "answer": answer, "now": now}
        return lambda db: db.execute(SQL["keep"], values).close()

    async def keep(self, receipt: Receipt) -> None:
        """See `Store.keep`."""
        await self._call(self._keeping(receipt))

    async def receipt(self, id_: bytes) -> Receipt | None:
        """See `Store.receipt`."""
        values = {"receipt": id_, "now": to_microseconds(self._clock.now()), "kept_for": KEPT_FOR // MICROSECOND}

        def work(db: sqlite3.Connection) -> Receipt | None:
            db.execute(SQL["forget_receipt"], values)
            row = db.execute(SQL["receipt"], values).fetchone()
            return None if row is None else Receipt(*row)

        return await self._call(work)

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""

        def work(db: sqlite3.Connection) -> Job | None:
            for row in rows_of(db, "get", {"id": str(job_id)}):
                return ROWS.job(row)
            for row in rows_of(db, "get_done", {"id": str(job_id)}):
                return ROWS.done_job(row)
            return None

        return await self._read(work)

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        statement = page_statement(which)
        read = ROWS.done_job if which.done else ROWS.job
        parameters = page_of(key, which, after, limit)
        rows = await self._read(lambda db: rows_of(db, statement, parameters))
        return [read(row) for row in rows]

    async def ids(self, key: JobKey, which: JobFilter, *, after: Position | None) -> bytes:
        """See `Store.ids`."""
        pages = SQL[page_statement(which)].rstrip(";")
        statement = f"select coalesce(group_concat(id, ''), '') from ({pages})"  # noqa: S608 - of our own statement
        parameters = page_of(key, which, after, -1)
        ((ids,),) = await self._read(lambda db: db.execute(statement, parameters).fetchall())
        return bytes.fromhex(ids.replace("-", ""))

    async def labelled(self, scope: Scope, label: str, most: int) -> int:
        """See `Store.labelled`."""
        parameters = {**scope._asdict(), "ranges": json.dumps([[label, label]]), "most": most}
        ((number,),) = await self._read(lambda db: rows_of(db, "count_labelled", parameters))
        return int(number)

    async def find(
        self, scope: Scope, which: JobFilter, ranges: Sequence[tuple[str, str]], *, after: Position | None, limit: int
    ) -> list[Job]:
        """See `Store.find`."""
        first_id, last_id = map(str, which.ids)
        found = {"ranges": json.dumps(ranges), "first_id": first_id, "last_id": last_id}
        statement, read = ("find_done", ROWS.done_job) if which.done else ("find", ROWS.job)
        parameters = page_of(JobKey(*scope), which, after, limit) | found
        return [read(row) for row in await self._read(lambda db: rows_of(db, statement, parameters))]

    async def on_node(self, scope: Scope, node: str) -> list[Job]:
        """See `Store.on_node`."""
        parameters = {**scope._asdict(), "node": node}
        return [ROWS.job(row) for row in await self._read(lambda db: rows_of(db, "on_node", parameters))]

    async def some(self, ids: Sequence[UUID]) -> list[Job]:
        """See `Store.some`."""
        parameters = {"ids": json.dumps([str(id_) for id_ in ids])}
        return [ROWS.job(row) for row in await self._read(lambda db: rows_of(db, "some", parameters))]

    async def counts(self) -> dict[JobKey, Counts]:
        """See `Store.counts`."""
        return read_counts(await self._read(lambda db: db.execute(SQL["counts"]).fetchall()))

    async def request_bytes(self, scope: Scope) -> int:
        """See `Store.request_bytes`."""
        statement = "bytes_of_group" if scope.job_group else "bytes_of_product"
        ((size,),) = await self._summer.call(lambda db: rows_of(db, statement, scope._asdict()))
        return int(size)

    async def spend(self, product: str, name: str, cost: timedelta, most: timedelta) -> timedelta | None:
        """See `Store.spend`."""
        spend = {"product": product, "name": name, "now": to_microseconds(self._clock.now())}
        spend |= {"cost": cost // MICROSECOND, "most": most // MICROSECOND}

        def work(db: sqlite3.Connection) -> tuple[int | None, int] | None:
            if db.execute(SQL["spend"], spend).fetchall():
                return None
            spent: tuple[int | None, int] = db.execute(SQL["spent"], spend).fetchone()
            return spent

        if (spent := await self._call(work)) is None:
            return None
        at, now = spent
        return wait_to_spend(None if at is None else near_microseconds(at), from_microseconds(now), cost, most)

    async def update(
        self, job: Job, unrun: Sequence[Run] = (), added: Sequence[Job] = (), receipt: Receipt | None = None
    ) -> bool:
        """See `Store.update`."""
        return await self._update("update", job, added, unrun, receipt)

    async def amend(self, job: Job) -> bool:
        """See `Store.amend`."""
        row, at = ROWS.job_values(job), to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(SQL["amend"], row).fetchall())
            if done:
                label(db, row, "label_done")
                tell(db, at, Entry(EventKind.JOB_CHANGED, Scope(*job.key), (job.id,), state=State.DONE))
            return done

        return await self._call(work)

    async def split_off(self, job: Job, child: Job, unrun: Sequence[Run]) -> bool:
        """See `Store.split_off`."""
        return await self._update("split_off", job, [child], unrun)

    async def _update(
        self, statement: str, job: Job, added: Sequence[Job], unrun: Sequence[Run], receipt: Receipt | None = None
    ) -> bool:
        row, rows, keep = ROWS.job_values(job), [ROWS.job_row(each) for each in added], self._keeping(receipt)

        def work(db: sqlite3.Connection) -> bool:
            if statement == "update":
                db.execute(SQL["tell_edited"], row)
            done = bool(db.execute(SQL[statement], row).fetchall())
            if done:
                wait(db, str(job.id), row["waits_for"])
                if statement == "update":
                    label(db, row)
                add_rows(db, rows, [ROWS.run_values(run) for run in unrun])
                keep(db)
            return done

        done = await self._call(work)
        tell_watchers(self._watchers, [job, *added] if done else [])
        return done

    async def revive(self, job: Job, unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> bool:
        """See `Store.revive`."""
        row, keep = ROWS.job_row(job), self._keeping(receipt)
        guard = {"id": str(job.id), "version": job.version - 1}

        def work(db: sqlite3.Connection) -> bool:
            done = bool(db.execute(SQL["end_being_done"], guard).fetchall())
            if done:
                add_rows(db, [row], [ROWS.run_values(run) for run in unrun])
                db.execute(SQL["wait_again"], {"awaited": str(job.id)})
                keep(db)
            return done

        done = await self._call(work)
        tell_watchers(self._watchers, [job] if done else [])
        return done

    async def recurring(self, after: UUID | None, limit: int, *, calendar: str | None = None) -> list[Job]:
        """See `Store.recurring`."""
        parameters = {"after": str(after or ""), "limit": limit, "calendar": calendar}
        rows = await self._read(lambda db: rows_of(db, "recurring", parameters))
        return [ROWS.job(row) for row in rows]

    async def count_recurring(self, calendar: str) -> int:
        """See `Store.count_recurring`."""
        ((number,),) = await self._read(lambda db: rows_of(db, "count_recurring", {"calendar": calendar}))
        return int(number)

    async def children(self, parent: UUID) -> list[Job]:
        """See `Store.children`."""
        rows = await self._read(lambda db: rows_of(db, "children", {"parent": str(parent)}))
        return [ROWS.job(row) for row in rows]

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        statement = SQL["end_being_done" if job.state is State.DONE else "delete"]
        guard, at = {"id": str(job.id), "version": job.version}, to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            gone = bool(db.execute(statement, guard).fetchall())
            if gone:
                db.execute(SQL["children_to_follow"], {"id": str(job.id)})
                db.execute(SQL["unlabel"], {"id": str(job.id), "labels": None})
                tell(db, at, deletion(job))
            if gone and job.state is State.RUNNING:
                count(db, {(job.key, State.RUNNING, False): -1})
            fp("delete.between")
            if gone and run is not None:
                db.execute(SQL["add_run"], ROWS.run_values(run))
                tell_ended(db, [run.number])
                db.execute(SQL["ask_to_stop"], {"run": run.number, "node": run.node})
            return gone

        return await self._call(work)

    async def cancel(self, job: Job) -> bool:
        """See `Store.cancel`."""
        row = ROWS.job_values(job)

        def work(db: sqlite3.Connection) -> bool:
            db.execute(SQL["tell_edited"], row)
            done = bool(db.execute(SQL["update"], row).fetchall())
            fp("cancel.between")
            if done:
                db.execute(SQL["ask_to_stop"], {"run": job.run, "node": job.node})
            return done

        return await self._call(work)

    async def end(self, job: Job, run: Run) -> bool:
        """See `Store.end`."""
        values = ROWS.job_values(job) | ROWS.run_values(run) | {"id": str(job.id)}

        def work(db: sqlite3.Connection) -> bool:
            (number,) = db.execute(SQL["draw"], {"count": 1}).fetchone()
            done = bool(db.execute(SQL["end_unrun"], values | {"number": number}).fetchall())
            if done:
                db.execute(SQL["forget_job"], values)
                tell_ended(db, [number])
                count(db, {(job.key, State.DONE, False): 1})
            return done

        return await self._call(work)

    async def with_keys(self, key: JobKey, keys: Collection[str]) -> list[Job]:
        """See `Store.with_keys`."""
        parameters = {**key._asdict(), "keys": json.dumps(list(keys))}
        return [ROWS.job(row) for row in await self._read(lambda db: rows_of(db, "with_keys", parameters))]

    async def waiting(self, awaited: UUID) -> list[Job]:
        """See `Store.waiting`."""
        rows = await self._call(lambda db: rows_of(db, "waiting", {"awaited": str(awaited)}))
        return [ROWS.job(row) for row in rows]

    async def ended_waits(self, limit: int) -> Waits:
        """See `Store.ended_waits`."""
        ((over, are_any),) = await self._call(lambda db: rows_of(db, "ended_waits", {"limit": limit}))
        return Waits([UUID(id_) for id_ in json.loads(over)], bool(are_any))

    async def know(self, awaited: UUID) -> None:
        """See `Store.know`."""
        await self._call(lambda db: db.execute(SQL["know"], {"awaited": str(awaited)}).close())

    async def resumable(self, limit: int) -> list[Job]:
        """See `Store.resumable`."""
        parameters = {"now": to_microseconds(self._clock.now()), "limit": limit}
        return [ROWS.job(row) for row in await self._call(lambda db: rows_of(db, "resumable", parameters))]

    async def delete_children(self, parent: UUID, why: str, limit: int) -> bool:
        """See `Store.delete_children`."""
        values = {"parent": str(parent), "why": why, "limit": limit, "now": to_microseconds(self._clock.now())}

        def work(db: sqlite3.Connection) -> bool:
            tell_ended(db, [run for (run,) in db.execute(SQL["end_children"], values).fetchall()])
            db.execute(SQL["stop_children"], values)
            gone = db.execute(SQL["delete_children"], values).fetchall()
            running = Counter([JobKey(*key) for *key, state in gone if state == State.RUNNING])
            count(db, {(key, State.RUNNING, False): -jobs for key, jobs in running.items()})
            if len(gone) < limit:
                db.execute(SQL["followed"], values)
            return len(gone) == limit

        return await self._call(work)

    async def deletions(self) -> list[UUID]:
        """See `Store.deletions`."""
        return [UUID(parent) for (parent,) in await self._read(lambda db: rows_of(db, "deletions", {}))]

    # --- running them

    async def claim(
        self,
        node: str,
        demand: Mapping[JobKey, int],
        limit: int,
        ahead: timedelta = timedelta(),
        notes: int | None = None,
    ) -> Claimed:
        """See `Store.claim`."""
        at = self._clock.now()
        now, until = to_microseconds(at), to_microseconds(at + ahead)

        def work(db: sqlite3.Connection) -> tuple[list[str], str | None, datetime | None]:
            ids: list[str] = []
            if node not in {row[0] for row in db.execute(SQL["nodes"])}:
                return ids, None, None
            if notes is not None and notes < db.execute(SQL["paused_at"]).fetchone()[0]:
                return ids, None, None
            current = notes is None or notes >= _noted(db)
            counts: Tally = Counter()
            for key, slots in demand.items():
                parameters = {
                    **key._asdict(),
                    "until": until,
                    "limit": min(slots, limit - len(ids)),
                    "current": current,
                }
                for row in _due(db, parameters, now):
                    ids.append(row.id)
                    _count_begun(counts, key, row)
            if not ids:
                return ids, None, None
            return ids, _claim(db, ids, counts, node, now), _next_due(db, demand, until)

        ids, claimed, due = await self._call(work)
        fp("claim.sent")
        next_due = None if due is None else Due(due, due - at)
        return await self._read_claimed(ids, claimed, demand, node, next_due)

    async def _read_claimed(
        self, ids: Sequence[str], claimed: str | None, of: Iterable[JobKey], node: str, next_due: Due | None = None
    ) -> Claimed:
        if not ids:
            return Claimed([])
        keys: dict[tuple[str, str], JobKey] = {key: key for key in of}
        try:
            rows, reader = from_json(claimed or ""), CLAIMED
        except ValueError:  # one of them holds what is no JSON, or none that can be read
            claimed_ids = {"ids": json.dumps(ids)}
            rows, reader = await self._call(lambda db: rows_of(db, "claimed_rows", claimed_ids)), ROWS
        claims = reader.claims(rows, [keys[row[-3], row[-2]] for row in rows], node, from_microseconds(rows[0][-1]))
        return Claimed(in_turn(claims), self._clock.now(), next_due)

    async def claim_capped(
        self,
        node: str,
        key: JobKey,
        most: int,
        caps: Sequence[Cap],
        ahead: timedelta = timedelta(),
        notes: int | None = None,
    ) -> Capped:
        """See `Store.claim_capped`."""
        at = self._clock.now()
        now, until = to_microseconds(at), to_microseconds(at + ahead)

        def work(db: sqlite3.Connection) -> tuple[Gate, str | None]:
            load = {"product": key.product, "now": now}
            gate = Gate(caps, read_load(*db.execute(SQL["load"], load).fetchone()), at, ahead)
            if node not in {row[0] for row in db.execute(SQL["nodes"])}:
                return gate, None
            if notes is not None and notes < db.execute(SQL["paused_at"]).fetchone()[0]:
                return gate, None
            current = notes is None or notes >= _noted(db)
            given = {**key._asdict(), "until": until, "limit": most, "current": current}
            due = {row.id: row for row in _due(db, given, now)}
            gate.let_through((row.candidate for row in due.values()), most)
            if len(due) == given["limit"] and not gate.is_done(most):
                given["limit"] = most + CANDIDATES
                due = {row.id: row for row in _due(db, given, now)}
                gate.let_through((row.candidate for row in due.values()), most)
            if len(due) == given["limit"] and gate.is_open_to_others(most):
                after = self._looked_at.get(key, "")
                others, self._looked_at[key] = _due_of_keys(db, given, now, after, gate, gate.most_of_key(most))
                due |= {row.id: row for row in others}
                gate.let_through((row.candidate for row in others), most)
            if not gate.ids:
                return gate, None
            rates = [
                {
                    "product": key.product,
                    "name": name,
                    "next_at": to_microseconds(next_at),
                    "forget_at": to_microseconds(last),
                }
                for name, (next_at, last) in gate.rates.items()
            ]
            db.executemany(SQL["put_rate"], rates)
            counts: Tally = Counter()
            for id_ in gate.ids:
                _count_begun(counts, key, due[id_])
            return gate, _claim(db, gate.ids, counts, node, now)

        gate, claimed = await self._call(work)
        fp("claim.sent")
        read = await self._read_claimed(gate.ids, claimed, [key], node)
        begins = {UUID(id_): moment for id_, moment in gate.begins.items()}
        return Capped(read, begins, gate.is_cut, gate.wait)

    async def unclaim(self, jobs: Sequence[Job]) -> None:
        """See `Store.unclaim`."""
        now = to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> None:
            for job in jobs:
                row = {"id": str(job.id), "run": job.run, "now": now}
                for (state,) in db.execute(SQL["unclaim"], row).fetchall():
                    tell(db, now, returned(job, State(state)))

        await self._call(work)
        tell_watchers(self._watchers, (job._replace(state=State.SCHEDULED) for job in jobs))

    async def holding(self, node: str) -> list[Claim]:
        """See `Store.holding`."""
        rows = await self._call(lambda db: rows_of(db, "holding", {"node": node}))
        jobs = [ROWS.job(row) for row in rows]
        return [Claim(job, job.claimed_at or job.updated_at) for job in jobs]

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """See `Store.next_due`."""
        at = await self._call(lambda db: _next_due(db, keys, FIRST))
        return None if at is None else Due(at, at - self._clock.now())

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        ended = [change for change in changes if _only_ends(change)]
        ends = Ends(ended)

        def work(db: sqlite3.Connection) -> list[Answer]:
            together = end_all(db, ends)
            return [Answer.DONE if together and _only_ends(change) else finish_one(db, change) for change in changes]

        answers = await self._call(work)
        fp("finish.sent")
        tell_watchers(
            self._watchers, (job for change in changes for job in (change.job, *(edit.job for edit in change.added)))
        )
        return answers

    async def ahead(self, job: Job, limit: int) -> int:
        """See `Store.ahead`."""
        place = {"due_at": to_microseconds(job.due_at), "id": str(job.id), "priority": job.priority, "limit": limit}
        parameters = {**job.key._asdict(), **place}
        ((number,),) = await self._read(lambda db: rows_of(db, "ahead", parameters))
        return int(number)

    async def running(self) -> list[Held]:
        """See `Store.running`."""
        rows = await self._read(lambda db: rows_of(db, "under_way", {}))
        held = []
        for product, job_group, concurrency_key, job_id, run, node, since in rows:
            with suppress(ValueError):  # a row whose id was tampered with holds its place, but leads nowhere
                moment = near_microseconds(since)
                held.append(Held(JobKey(product, job_group), concurrency_key, UUID(job_id), run, node, moment))
        return held

    async def rates(self, product: str) -> dict[str, datetime]:
        """See `Store.rates`."""
        rows = await self._read(lambda db: rows_of(db, "rates", {"product": product}))
        return {name: near_microseconds(moment) for name, moment in rows}

    async def put_progress(self, progress: Mapping[int, Progress]) -> None:
        """See `Store.put_progress`."""
        rows = [{"run": run, "progress": to_json(each)} for run, each in progress.items()]
        await self._call(lambda db: db.executemany(SQL["put_progress"], rows).close())

    async def orphans(self, keys: Collection[JobKey], limit: int) -> list[Job]:
        """See `Store.orphans`."""
        parameters = {"keys": json.dumps(list(keys)), "limit": limit}
        rows = await self._call(lambda db: rows_of(db, "orphans", parameters))
        return [ROWS.job(row) for row in rows]

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """See `Store.runs`."""
        statement = "runs_of_group" if job_id is None else "runs_of_job"
        parameters = {
            **key._asdict(),
            "job_id": str(job_id),
            "before": LAST if before is None else before,
            "limit": limit,
        }
        rows = await self._read(lambda db: rows_of(db, statement, parameters))
        return [ROWS.run(row) for row in rows]

    async def history(self, key: JobKey, which: RunFilter, *, before: int, limit: int, scan: int) -> Seen:
        """See `Store.history`."""
        parameters = {
            **key._asdict(),
            "outcomes": None if which.outcomes is None else json.dumps([outcome.value for outcome in which.outcomes]),
            "node": which.node,
            "ended_from": FIRST if which.ended_from is None else to_microseconds(which.ended_from),
            "ended_last": LAST if which.ended_to is None else to_microseconds(which.ended_to) - 1,
            "before": before,
            "limit": limit,
            "scan": scan,
        }
        return seen(await self._read(lambda db: rows_of(db, "history", parameters)), limit, scan, ROWS)

    async def run(self, key: JobKey, job_id: UUID, number: int) -> Run | None:
        """See `Store.run`."""
        parameters = {**key._asdict(), "job_id": str(job_id), "number": number}
        for row in await self._read(lambda db: rows_of(db, "run", parameters)):
            return ROWS.run_details(row)
        return None

    async def pressures(self, product: str, keys: Collection[str] | None = None) -> dict[str, Strain]:
        """See `Store.pressures`."""
        parameters = {"product": product, "keys": None if keys is None else json.dumps(list(keys))}
        rows = await self._call(lambda db: rows_of(db, "pressures", parameters))
        return {key: Strain(read_pressure(value), running) for key, value, running in rows}

    async def swap_pressure(self, product: str, key: str, before: Pressure | None, after: Pressure | None) -> bool:
        """See `Store.swap_pressure`."""
        was, becomes = write_pressure(before), write_pressure(after)
        parameters = {"product": product, "key": key, "before": was, "after": becomes}
        statement = "forget_pressure" if after is None else "swap_pressure"
        return bool(await self._call(lambda db: db.execute(SQL[statement], parameters).fetchall()))

    async def prune(self, older_than: timedelta) -> bool:
        """See `Store.prune`."""
        midnight = (self._clock.now() - older_than).replace(hour=0, minute=0, second=0, microsecond=0)
        parameters = {"before": to_microseconds(midnight), "limit": PRUNE_BATCH}
        now = to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            db.execute(SQL["prune_rates"], {"now": now})
            db.execute(SQL["forget_waits"])
            db.execute(SQL["prune_receipts"], {"now": now, "kept_for": KEPT_FOR // MICROSECOND})
            self._unlabel(db)
            return db.execute(SQL["prune"], parameters).rowcount == PRUNE_BATCH

        return await self._call(work)

    async def prune_group(self, key: JobKey, older_than: timedelta) -> bool:
        """See `Store.prune_group`."""
        before = to_microseconds(self._clock.now() - older_than)
        bite = {**key._asdict(), "before": before, "limit": PRUNE_BATCH}
        return await self._call(lambda db: db.execute(SQL["prune_group"], bite).rowcount > 0)

    def _unlabel(self, db: sqlite3.Connection) -> None:
        """Forget labels of jobs that are gone with their history, some at a time."""
        parameters = {"after": self._unlabelled, "limit": PRUNE_BATCH}
        looked = db.execute(SQL["labelled_jobs"], parameters).fetchall()
        gone = [{"id": job_id, "labels": None} for job_id, is_there in looked if not is_there]
        db.executemany(SQL["unlabel"], gone)
        self._unlabelled = looked[-1][0] if len(looked) == PRUNE_BATCH else ""

    # --- notes

    async def notes(self, kind: str) -> dict[str, Any]:
        """See `Store.notes`."""
        rows = await self._read(lambda db: rows_of(db, "notes", {"kind": kind}))
        return {name: read_note(value) for name, value in rows}

    async def note(self, kind: str, name: str, value: Any, entry: Entry | None = None) -> bool:
        """See `Store.note`."""
        text, at = None if value is None else to_json(value), to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            there = name in {row[0] for row in db.execute(SQL["notes"], {"kind": kind})}
            (version,) = db.execute(SQL["draw"], {"count": 1}).fetchone()
            db.execute(SQL["note"], {"kind": kind, "name": name, "value": text, "version": version})
            tell(db, at, entry)
            return there

        return await self._call(work)

    async def swap_note(self, kind: str, name: str, before: Any, value: Any, entry: Entry | None = None) -> bool:
        """See `Store.swap_note`."""
        text, at = None if value is None else to_json(value), to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            (now,) = db.execute(SQL["note_now"], {"kind": kind, "name": name}).fetchone() or (None,)
            if (None if now is None else read_note(now)) != before:
                return False
            (version,) = db.execute(SQL["draw"], {"count": 1}).fetchone()
            db.execute(SQL["note"], {"kind": kind, "name": name, "value": text, "version": version})
            tell(db, at, entry)
            return True

        return await self._call(work)

    async def noted(self) -> int:
        """See `Store.noted`."""
        return await self._call(_noted)

    # --- events

    async def events(self, after: int | None, limit: int, scopes: Collection[Scope] | None = None) -> Told:
        """See `Store.events`."""
        which = {"after": after, "limit": limit, "scopes": None if scopes is None else json.dumps(sorted(scopes))}

        def work(db: sqlite3.Connection) -> tuple[list[Any], int, int]:
            head, forgotten = db.execute(SQL["head"]).fetchone()
            rows = [] if after is None or after >= head else rows_of(db, "events", which)
            return rows, head, forgotten

        rows, head, forgotten = await self._read(work)
        return read_told(
            rows, head=head, forgotten=forgotten, limit=limit, time=near_microseconds, jobs=_ids, runs=_numbers
        )

    async def labels_of(self, ids: Collection[UUID]) -> dict[UUID, set[str]]:
        """See `Store.labels_of`."""
        values = {"ids": json.dumps([str(id_) for id_ in ids])}
        rows = await self._read(lambda db: rows_of(db, "labels_of", values))
        return by_job((UUID(job_id), label) for job_id, label in rows)

    async def prune_events(self) -> bool:
        """See `Store.prune_events`."""
        before = to_microseconds(self._clock.now() - EVENTS_KEPT_FOR)

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(SQL["prune_events"], {"before": before, "limit": NUMBERED}).fetchall()
            if gone:
                db.execute(SQL["forgotten"], {"cursor": max(gone)[0]})
            return len(gone) == NUMBERED

        return await self._call(work)

    # --- nodes

    async def join(self, node: NodeBeat) -> None:
        """See `Store.join`."""
        parameters = {"node": node.name, "beat": node.beat, "host": node.host, "patient": node.patient}
        parameters |= {"groups": to_json(node.groups), "slots": node.slots}
        at = to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> None:
            db.execute(SQL["join"], parameters)
            tell(db, at, Entry(EventKind.NODE_JOINED, node=node.name, detail={"host": node.host}))

        await self._call(work)

    async def beat(self, node: str) -> Pulse:
        """See `Store.beat`."""

        def work(db: sqlite3.Connection) -> Pulse:
            alive = db.execute(SQL["beat"], {"node": node}).fetchone() is not None
            stops = frozenset(run for (run,) in db.execute(SQL["stops"], {"node": node}).fetchall())
            now = self._clock.now()
            (resumes,) = db.execute(SQL["resumes"], {"now": to_microseconds(now)}).fetchone()
            return Pulse(alive, stops, tuple(_nodes(db)), _noted(db), now, bool(resumes))

        return await self._call(work)

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        return await self._call(_nodes)

    async def show_stuck(self, node: str, groups: Sequence[JobKey]) -> None:
        """See `Store.show_stuck`."""
        parameters = {"node": node, "stuck": to_json(groups)}
        await self._call(lambda db: db.execute(SQL["show_stuck"], parameters).close())

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        at = to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> None:
            if db.execute(SQL["leave"], {"node": node}).rowcount:
                tell(db, at, Entry(EventKind.NODE_LEFT, node=node))
            db.execute(SQL["stops"], {"node": node}).fetchall()

        await self._call(work)

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        parameters, at = {"node": node.name, "beat": node.beat}, to_microseconds(self._clock.now())

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(SQL["bury"], parameters).fetchone() is not None
            if gone:
                tell(db, at, Entry(EventKind.NODE_LOST, node=node.name))
                db.execute(SQL["stops"], {"node": node.name}).fetchall()
            return gone

        return await self._call(work)


def _ids(text: str) -> tuple[UUID, ...]:
    return tuple(map(UUID, from_json(text)))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(from_json(text))


def _only_ends(change: Change) -> bool:
    """Tell whether a change ends its job and does nothing besides."""
    return change.job.state is State.DONE and not change.unrun and not change.added


async def _sliced(jobs: Sequence[Job], unrun: Sequence[Run]) -> AsyncIterator[Slice]:
    for first in range(0, max(len(jobs), len(unrun)), SLICE):
        yield jobs[first : first + SLICE], unrun[first : first + SLICE]


class _DueRow(NamedTuple):
    """A job that is due, and whether it gave up last time."""

    id: str
    gave_up: bool
    due_at: int
    priority: int
    concurrency_key: str | None

    @property
    def candidate(self) -> Candidate:
        """The same for a claim by limits."""
        return Candidate(self.id, self.concurrency_key, near_microseconds(self.due_at))


def _due(db: sqlite3.Connection, parameters: Mapping[str, Any], now: int) -> list[_DueRow]:
    """Return which jobs of a group are due, in the order of their ranks, at most `limit`."""
    due = db.execute(SQL["due"], parameters).fetchall()
    if db.execute(SQL["due_others"], parameters).fetchone():
        for priority in range(LAST_PRIORITY, FIRST_PRIORITY + 1):
            due += db.execute(SQL["due_of_priority"], {**parameters, "priority": priority}).fetchall()
        due.sort(key=lambda row: _place(row, now))
    return [_DueRow(*row) for row in due[: parameters["limit"]]]


def _place(row: Sequence[Any], now: int) -> tuple[int, int]:
    _, _, due_at, priority, _ = row
    return -rank(priority, MICROSECOND * (now - due_at)), due_at


def _due_of_keys(
    db: sqlite3.Connection, parameters: Mapping[str, Any], now: int, after: str, gate: Gate, each: int
) -> tuple[list[_DueRow], str]:
    """Return due jobs of other keys than those that are full, from beyond a key on, and the last key looked at."""
    due: list[_DueRow] = []
    key, priority = after, FIRST_PRIORITY
    for _ in range(MOST_KEYS):
        pair = {**parameters, "after": key, "after_priority": priority}
        if (following := db.execute(SQL["next_key"], pair).fetchone()) is None:
            key = ""
            break
        key, priority = following
        if key not in gate.full:
            of_key = {**parameters, "concurrency_key": key, "priority": priority, "limit": each}
            due += (_DueRow(*row) for row in db.execute(SQL["due_of_key"], of_key))
    due.sort(key=lambda row: _place(row, now))
    return due, key


def _count_begun(counts: Tally, key: JobKey, row: _DueRow) -> None:
    counts[key, State.SCHEDULED, row.gave_up] -= 1
    counts[key, State.RUNNING, False] += 1


def _claim(db: sqlite3.Connection, ids: Sequence[str], counts: Tally, node: str, now: int) -> str | None:
    """Claim jobs, and return them as JSON, or `None` if one of them holds what is no JSON."""
    count(db, counts)
    (last,) = db.execute(SQL["draw"], {"count": len(ids)}).fetchone()
    values = {"ids": json.dumps(ids), "first": last - len(ids) + 1, "node": node, "now": now}
    db.execute(SQL["claim"], values)
    db.execute(SQL["tell_begun"], values)
    return _claimed(db, values)


def _claimed(db: sqlite3.Connection, values: Mapping[str, Any]) -> str | None:
    """Return the jobs that were claimed as JSON, or `None` if one of them holds what is no JSON."""
    try:
        (claimed,) = db.execute(SQL["claimed"], values).fetchone()
    except sqlite3.OperationalError:
        return None
    return str(claimed)


def _next_due(db: sqlite3.Connection, keys: Collection[JobKey], after: int) -> datetime | None:
    """Return when the next job of these groups is due, after a moment."""
    found = (db.execute(SQL["due_next"], {**key._asdict(), "after": after}).fetchone()[0] for key in keys)
    due = [moment for moment in found if moment is not None]
    return near_microseconds(min(due)) if due else None


def _noted(db: sqlite3.Connection) -> int:
    (number,) = db.execute(SQL["noted"]).fetchone()
    return int(number)


def _nodes(db: sqlite3.Connection) -> list[NodeBeat]:
    return [
        NodeBeat(name, beat, host, bool(patient), groups=read_groups(groups), slots=slots, stuck=read_groups(stuck))
        for name, beat, host, patient, groups, slots, stuck in db.execute(SQL["nodes"])
    ]
