"""The verbs of the PostgreSQL store: many nodes, one database.

They are one class, because `Store` is one protocol: each verb is a few lines around its statements.

Single-statement compare-and-set under READ COMMITTED; claims skip what others hold. A call whose answer was lost is
neither done nor undone: what it was about is read again, then decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import from_json

from mainspring.clock import Clock
from mainspring.errors import ConflictError, KeyTakenError, StoreUnavailableError
from mainspring.failpoint import fp
from mainspring.job import (
    EVENTS_KEPT_FOR,
    KEPT_FOR,
    Candidate,
    Cap,
    Change,
    Claim,
    Counts,
    Edit,
    Entry,
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
)
from mainspring.schedule import MICROSECOND
from mainspring.store.columns import JOB_COLUMNS
from mainspring.store.entries import by_job, deletion, entry_values, read_told
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
from mainspring.store.postgres.connections import (
    ANSWER_SECONDS,
    BATCH_SECONDS,
    JOBS_POOL,
    RUNS_POOL,
    Database,
    Session,
    query,
)
from mainspring.store.postgres.moments import from_2000, near_2000
from mainspring.store.postgres.schema import check_schema
from mainspring.store.rows import (
    NEWEST,
    OLDEST,
    Dialect,
    Values,
    from_microseconds,
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
    write_unrun,
)
from mainspring.store.sharing import Sharing
from mainspring.store.statements import page_statement

_SHARED_ROWS = 10
"""How many rows a call may have to share a commit with others; larger batches take long and would hold them up."""
_HINT_WITHIN = timedelta(minutes=1)
"""What is due later than that is found by the polling of other nodes in time."""
PRUNE_BATCH = 1000
"""How many jobs are looked at for labels that may go, and how much history of a group is forgotten, at once."""
_NIL = UUID(int=0)
_ALONE = nullcontext()
"""In place of a transaction for one statement, which is one by itself."""
_LAST_RUN = 2**63 - 1
_DONE = State.DONE
"""Looking it up at its class for each of many jobs takes 0.1 us."""


_ROWS = Dialect(
    Values(to_id=None, from_id=None, to_time=None, from_time=from_2000, from_json=from_json, near_time=near_2000)
)

_LOOKS = 2
"""How often a job is looked for: one that is brought back in between is first not here, and then not there."""


class PostgresStore:
    """See `mainspring.store.protocol.Store`.

    `clock` is for tests that move time; without it the database's own clock judges.
    """

    durable = True
    shared = True

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock
        self._jobs = Database(url, JOBS_POOL)
        self._runs = Database(url, RUNS_POOL)
        self._session = Session(url, self._heard)
        self._watchers: list[Callable[[datetime], None]] = []
        self._sharing = Sharing(self._insert, self._which, ANSWER_SECONDS)
        self._alone = True
        self._looked_at: dict[JobKey, str] = {}
        self._unlabelled = _NIL
        """Up to which job labels were looked at for jobs that are gone."""
        self._hint: datetime | None = None
        self._hinting: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See `Store.open`; a schema that is missing or old is refused with the command that helps."""
        await asyncio.to_thread(check_schema, self._url)
        self._loop = asyncio.get_running_loop()
        await self._jobs.open()
        await self._runs.open()
        self._session.open()

    async def close(self) -> None:
        """See `Store.close`."""
        self._session.close()
        await self._jobs.close()
        await self._runs.close()

    def watch(self, notice: Callable[[datetime], None]) -> None:
        """See `Store.watch`."""
        self._watchers.append(notice)

    async def now(self) -> datetime:
        """See `Store.now`."""
        ((now,),) = await self._fetch_run("time", {})
        return from_2000(now)

    # --- jobs

    async def add(self, jobs: Sequence[Job], unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> None:
        """See `Store.add`."""
        if len(jobs) > _SHARED_ROWS or unrun or any(job.waits_for for job in jobs):
            async with self._jobs.patient_connection() as connection:
                await _copy(connection, jobs, unrun)
                await self._keep(connection, receipt)
        else:
            await self._sharing.write([job.id for job in jobs], [_ROWS.job_row(job) for job in jobs], receipt)
        self._tell(jobs)

    async def add_named(self, job: Job, unrun: Sequence[Run] = ()) -> bool:
        """See `Store.add_named`."""
        try:
            async with self._jobs.connection() as connection, connection.transaction():
                await _copy(connection, [job], unrun)
                # By a statement of its own, which sees what ended while the row went in.
                if (await query(connection, "is_done", {"id": job.id}))[0][0]:
                    raise _RefusedError  # noqa: TRY301
        except _RefusedError:
            return False
        except ConflictError as error:
            if isinstance(error, KeyTakenError):
                raise
            return False
        self._tell([job])
        return True

    async def add_slices(
        self, slices: AsyncIterator[Sequence[Edit]], receipt: Callable[[], Receipt] | None = None
    ) -> None:
        """See `Store.add_slices`."""
        first: list[Job] = []
        async with self._jobs.patient_connection(BATCH_SECONDS) as connection:
            async for edits in slices:
                jobs = [edit.job for edit in edits]
                await _copy(connection, jobs, [run for edit in edits for run in edit.unrun])
                first = soonest([*first, *jobs])
            await self._keep(connection, receipt and receipt())
        self._tell(first)

    async def _insert(self, rows: list[tuple[Any, ...]], receipts: list[Receipt]) -> None:
        fp("add.before_commit")
        if receipts:
            ids, fingerprints, answers = zip(*receipts, strict=True)
            kept = {"receipts": ids, "fingerprints": fingerprints, "answers": answers}
            await self._fetch("add_with_receipts", {"jobs": rows, **kept})
        else:
            await self._fetch("add", {"jobs": rows})
        fp("add.after_commit")

    async def keep(self, receipt: Receipt) -> None:
        """See `Store.keep`."""
        async with self._jobs.connection() as connection:
            await self._keep(connection, receipt)

    async def receipt(self, id_: bytes) -> Receipt | None:
        """See `Store.receipt`."""
        await self._fetch("forget_receipt", {"receipt": id_, "kept_for": KEPT_FOR})
        return next((Receipt(*row) for row in await self._fetch("receipt", {"receipt": id_})), None)

    async def _keep(self, connection: Any, receipt: Receipt | None) -> None:
        """Write a receipt, if there is one, within a transaction."""
        if receipt is not None:
            id_, fingerprint, answer = receipt
            kept = {"receipt": id_, "fingerprint": fingerprint, "answer": answer}
            await query(connection, "keep", {**kept, "now": self._test_time()})

    async def _which(self, ids: list[UUID]) -> set[UUID]:
        return {id_ for (id_,) in await self._fetch("which", {"ids": ids})}

    async def get(self, job_id: UUID) -> Job | None:
        """See `Store.get`."""
        async with self._jobs.connection() as connection:
            for _ in range(_LOOKS):
                for row in await query(connection, "get", {"id": job_id}):
                    return _ROWS.job(row)
                for row in await query(connection, "get_done", {"id": job_id}):
                    return _ROWS.done_job(tuple(row))
        return None

    async def page(self, key: JobKey, which: JobFilter, *, after: Position | None, limit: int) -> list[Job]:
        """See `Store.page`."""
        read = _ROWS.done_job if which.done else _ROWS.job
        rows = await self._fetch(page_statement(which), _page_of(key, which, after, limit))
        return [read(tuple(row)) for row in rows]

    async def ids(self, key: JobKey, which: JobFilter, *, after: Position | None) -> bytes:
        """See `Store.ids`."""
        async with self._jobs.patient_connection() as connection:
            ((ids,),) = await query(connection, f"ids_of_{page_statement(which)}", _page_of(key, which, after, None))
        return bytes(ids or b"")

    async def labelled(self, scope: Scope, label: str, most: int) -> int:
        """See `Store.labelled`."""
        ((number,),) = await self._fetch(
            "count_labelled", {**scope._asdict(), "lows": [label], "highs": [label], "most": most}
        )
        return int(number)

    async def find(
        self, scope: Scope, which: JobFilter, ranges: Sequence[tuple[str, str]], *, after: Position | None, limit: int
    ) -> list[Job]:
        """See `Store.find`."""
        first_id, last_id = which.ids
        found = {
            "lows": [low for low, _ in ranges],
            "highs": [high for _, high in ranges],
            "first_id": first_id,
            "last_id": last_id,
        }
        async with self._jobs.patient_connection() as connection:
            statement = "find_done" if which.done else "find"
            rows = await query(connection, statement, _page_of(JobKey(*scope), which, after, limit) | found)
        read = _ROWS.done_job if which.done else _ROWS.job
        return [read(tuple(row)) for row in rows]

    async def on_node(self, scope: Scope, node: str) -> list[Job]:
        """See `Store.on_node`."""
        rows = await self._fetch("on_node", {**scope._asdict(), "node": node})
        return [_ROWS.job(row) for row in rows]

    async def some(self, ids: Sequence[UUID]) -> list[Job]:
        """See `Store.some`."""
        return [_ROWS.job(row) for row in await self._fetch("some", {"ids": list(ids)})]

    async def counts(self) -> dict[JobKey, Counts]:
        """See `Store.counts`."""
        return read_counts(await self._fetch("counts", {}))

    async def request_bytes(self, scope: Scope) -> int:
        """See `Store.request_bytes`."""
        statement = "bytes_of_group" if scope.job_group else "bytes_of_product"
        async with self._jobs.patient_connection() as connection:
            ((size,),) = await query(connection, statement, scope._asdict())
        return int(size)

    async def spend(self, product: str, name: str, cost: timedelta, most: timedelta) -> timedelta | None:
        """See `Store.spend`."""
        spend = {"product": product, "name": name, "cost": cost, "most": most}
        if await self._fetch("spend", spend):
            return None
        ((at, now),) = await self._fetch("spent", spend)
        return wait_to_spend(None if at is None else near_2000(at), from_2000(now), cost, most)

    async def update(
        self, job: Job, unrun: Sequence[Run] = (), added: Sequence[Job] = (), receipt: Receipt | None = None
    ) -> bool:
        """See `Store.update`."""
        return await self._update("update", job, added, unrun, receipt)

    async def amend(self, job: Job) -> bool:
        """See `Store.amend`."""
        return bool(await self._fetch("amend", _ROWS.job_values(job)))

    async def split_off(self, job: Job, child: Job, unrun: Sequence[Run]) -> bool:
        """See `Store.split_off`."""
        return await self._update("split_off", job, [child], unrun)

    async def _update(
        self, statement: str, job: Job, added: Sequence[Job], unrun: Sequence[Run], receipt: Receipt | None = None
    ) -> bool:
        is_more = bool(added or unrun or job.waits_for or receipt)
        async with self._jobs.connection() as connection, connection.transaction() if is_more else _ALONE:
            done = bool(await query(connection, statement, _ROWS.job_values(job)))
            if done and job.waits_for:
                await _wait(connection, [job])
            if done and added:
                await query(connection, "add", {"jobs": [_ROWS.job_row(each) for each in added]})
            if done and unrun:
                await query(connection, "add_unrun", {"passed": write_unrun(unrun)})
            await self._keep(connection, receipt if done else None)
        self._tell([job, *added] if done else [])
        return done

    async def revive(self, job: Job, unrun: Sequence[Run] = (), receipt: Receipt | None = None) -> bool:
        """See `Store.revive`."""
        async with self._jobs.connection() as connection, connection.transaction():
            done = bool(await query(connection, "end_being_done", {"id": job.id, "version": job.version - 1}))
            if done:
                await query(connection, "add", {"jobs": [_ROWS.job_row(job)]})
                await _wait(connection, [job])
                await query(connection, "wait_again", {"awaited": job.id})
            if done and unrun:
                await query(connection, "add_unrun", {"passed": write_unrun(unrun)})
            await self._keep(connection, receipt if done else None)
        self._tell([job] if done else [])
        return done

    async def recurring(self, after: UUID | None, limit: int, *, calendar: str | None = None) -> list[Job]:
        """See `Store.recurring`."""
        async with self._jobs.patient_connection() as connection:
            parameters = {"after": after or _NIL, "limit": limit, "calendar": calendar}
            return [_ROWS.job(row) for row in await query(connection, "recurring", parameters)]

    async def count_recurring(self, calendar: str) -> int:
        """See `Store.count_recurring`."""
        async with self._jobs.patient_connection() as connection:
            ((number,),) = await query(connection, "count_recurring", {"calendar": calendar})
        return int(number)

    async def children(self, parent: UUID) -> list[Job]:
        """See `Store.children`."""
        return [_ROWS.job(row) for row in await self._fetch("children", {"parent": parent})]

    async def delete(self, job: Job, run: Run | None) -> bool:
        """See `Store.delete`."""
        guard = {"id": job.id, "version": job.version}
        async with self._jobs.connection() as connection, connection.transaction():
            gone = bool(await query(connection, "end_being_done" if job.state is State.DONE else "delete", guard))
            if gone:
                await query(connection, "children_to_follow", {"id": job.id})
                await query(connection, "unlabel", {"ids": [job.id]})
                await self._write(connection, deletion(job))
            fp("delete.between")
            if gone and run is not None:
                await query(connection, "add_run", _ROWS.run_values(run))
                await query(connection, "ask_to_stop", {"run": run.number, "node": run.node})
        return gone

    async def cancel(self, job: Job) -> bool:
        """See `Store.cancel`."""
        async with self._jobs.connection() as connection, connection.transaction():
            done = bool(await query(connection, "update", _ROWS.job_values(job)))
            fp("cancel.between")
            if done:
                await query(connection, "ask_to_stop", {"run": job.run, "node": job.node})
        return done

    async def end(self, job: Job, run: Run) -> bool:
        """See `Store.end`."""
        return bool(await self._fetch("end_unrun", _ROWS.job_values(job) | _ROWS.run_values(run) | {"id": job.id}))

    async def with_keys(self, key: JobKey, keys: Collection[str]) -> list[Job]:
        """See `Store.with_keys`."""
        rows = await self._fetch("with_keys", {**key._asdict(), "keys": list(keys)})
        return [_ROWS.job(row) for row in rows]

    async def waiting(self, awaited: UUID) -> list[Job]:
        """See `Store.waiting`."""
        return [_ROWS.job(row) for row in await self._fetch_run("waiting", {"awaited": awaited})]

    async def ended_waits(self, limit: int) -> Waits:
        """See `Store.ended_waits`."""
        ((over, are_any),) = await self._fetch_run("ended_waits", {"limit": limit})
        return Waits(list(over), are_any)

    async def know(self, awaited: UUID) -> None:
        """See `Store.know`."""
        await self._fetch_run("know", {"awaited": awaited})

    async def resumable(self, limit: int) -> list[Job]:
        """See `Store.resumable`."""
        return [_ROWS.job(row) for row in await self._fetch_run("resumable", {"limit": limit})]

    async def delete_children(self, parent: UUID, why: str, limit: int) -> bool:
        """See `Store.delete_children`."""
        ((gone,),) = await self._fetch("delete_children", {"parent": parent, "why": why, "limit": limit})
        if gone < limit:
            await self._fetch("followed", {"parent": parent})
        return bool(gone == limit)

    async def deletions(self) -> list[UUID]:
        """See `Store.deletions`."""
        return [parent for (parent,) in await self._fetch("deletions", {})]

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
        demands = {**_columns(demand), "demands": list(demand.values())}
        rows = await self._fetch_run("claim", {**demands, "node": node, "limit": limit, "ahead": ahead, "notes": notes})
        fp("claim.sent")
        if not rows:
            return Claimed([])
        *_, now, next_due, as_of = rows[-1]
        keys, at = list(demand), from_2000(now)
        claims = _ROWS.claims(rows, [keys[row[-4] - 1] for row in rows], node, at)
        return Claimed(in_turn(claims), from_2000(as_of), _due(next_due, at))

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
        given = {**key._asdict(), "node": node, "ahead": ahead, "notes": notes, "now": self._test_time()}
        async with self._runs.connection() as connection:
            try:
                async with connection.transaction():
                    await query(connection, "take_turn", given)
                    ((*load, now),) = await query(connection, "load", given)
                    gate = Gate(caps, read_load(*load), from_2000(now), ahead)
                    claim = self._claim_counted if gate.only_counts else self._claim_through
                    rows, now = await claim(connection, gate, key, most, given)
            except asyncpg.LockNotAvailableError:
                return Capped(Claimed([]), is_cut=True)  # others are at it
        fp("claim.sent")
        if not rows:
            return Capped(Claimed([]), is_cut=gate.is_cut, again=gate.wait)
        claims = _ROWS.claims(rows, [key] * len(rows), node, from_2000(now))
        return Capped(Claimed(in_turn(claims), from_2000(rows[0][-1])), gate.begins, gate.is_cut, gate.wait)

    async def _claim_counted(
        self, connection: Any, gate: Gate, key: JobKey, most: int, given: Mapping[str, Any]
    ) -> tuple[list[Any], int]:
        """Claim, in a turn that nobody else has, what a gate that only counts has room for."""
        room = gate.room(most)
        if room <= 0:
            return [], 0
        rows = await query(connection, "claim", {**given, **_columns([key]), "demands": [room], "limit": room})
        gate.ids += [row[0] for row in rows]
        return rows, rows[0][-3] if rows else 0

    async def _claim_through(
        self, connection: Any, gate: Gate, key: JobKey, most: int, given: Mapping[str, Any]
    ) -> tuple[list[Any], int]:
        """Claim what a gate lets through, in a turn that nobody else has."""
        window = most  # where none is held back, to read more would take an eighth of a claim
        found = await query(connection, "candidates", {**given, "window": window})
        gate.let_through(_candidates(found), most)
        if len(found) == window and not gate.is_done(most):
            window += CANDIDATES
            found = await query(connection, "candidates", {**given, "window": window})
            gate.let_through(_candidates(found), most)
        if len(found) == window and gate.is_open_to_others(most):
            others = {"after": self._looked_at.get(key, ""), "full": [*gate.full], "most_keys": MOST_KEYS}
            bounds = {"window": window, "each": gate.most_of_key(most)}
            found = await query(connection, "candidates_of_keys", {**given, **others, **bounds})
            self._looked_at[key] = (found[0][3] if found else None) or ""
            gate.let_through(_candidates(found), most)
        if not gate.ids:
            return [], 0
        if gate.rates:
            next_at, forget_at = zip(*gate.rates.values(), strict=True)
            put = {"product": key.product, "names": [*gate.rates], "next_at": next_at, "forget_at": forget_at}
            await query(connection, "put_rates", put)
        rows = await query(connection, "claim_these", {**given, "ids": gate.ids})
        return rows, rows[0][-2] if rows else 0

    async def unclaim(self, jobs: Sequence[Job]) -> None:
        """See `Store.unclaim`."""
        await self._fetch_run("unclaim", {"ids": [job.id for job in jobs], "runs": [job.run for job in jobs]})
        self._tell(job._replace(state=State.SCHEDULED) for job in jobs)

    async def holding(self, node: str) -> list[Claim]:
        """See `Store.holding`."""
        jobs = [_ROWS.job(row) for row in await self._fetch_run("holding", {"node": node})]
        return [Claim(job, job.claimed_at or job.updated_at) for job in jobs]

    async def next_due(self, keys: Collection[JobKey]) -> Due | None:
        """See `Store.next_due`."""
        ((at, now),) = await self._fetch_run("next_due", _columns(keys))
        return _due(at, from_2000(now))

    async def finish(self, changes: Sequence[Change]) -> list[Answer]:
        """See `Store.finish`."""
        adding = [change for change in changes if change.added]
        if not adding:
            return await self._finish(changes)
        answers = dict(zip(map(id, adding), await self._finish_adding(adding), strict=True))
        if plain := [change for change in changes if not change.added]:
            answers |= zip(map(id, plain), await self._finish(plain), strict=True)
        return [answers[id(change)] for change in changes]

    async def _finish_adding(self, changes: Sequence[Change]) -> list[Answer]:
        """Write changes with the jobs that they add: all in one commit, or if one of them is refused each by itself."""
        added = [edit for change in changes for edit in change.added]
        async with self._runs.connection() as connection:
            with suppress(_RefusedError):
                async with connection.transaction():
                    ((written,),) = await query(connection, "finish", _ended(changes))
                    if written < len(changes):
                        raise _RefusedError
                    await query(connection, "follow", {"jobs": [_ROWS.job_row(edit.job) for edit in added]})
                    if unrun := [run for edit in added for run in edit.unrun]:
                        await query(connection, "add_unrun", {"passed": write_unrun(unrun)})
                fp("finish.sent")
                self._tell([*(change.job for change in changes), *(edit.job for edit in added)])
                return [Answer.DONE] * len(changes)
        if len(changes) == 1:
            return await self._answers(changes)
        return [answer for change in changes for answer in await self._finish_adding([change])]

    async def _finish(self, changes: Sequence[Change]) -> list[Answer]:
        ((written,),) = await self._fetch_run("finish", _ended(changes))
        fp("finish.sent")
        self._tell(change.job for change in changes if change.job.state is not _DONE)
        return [Answer.DONE] * written if written == len(changes) else await self._answers(changes)

    async def _answers(self, changes: Sequence[Change]) -> list[Answer]:
        """Find out what became of changes of which not all were written."""
        ids = [change.job.id for change in changes]
        parameters = {
            "ids": [change.run.job_id for change in changes],
            "numbers": [change.run.number for change in changes],
            "finished": [change.run.finished_at for change in changes],
            "outcomes": [change.run.outcome.value for change in changes],
        }
        settled = {number for (number,) in await self._fetch_run("settled", parameters)}
        held = dict(await self._fetch_run("runs_of", {"ids": ids}))
        return [_answer(change, settled, held) for change in changes]

    async def ahead(self, job: Job, limit: int) -> int:
        """See `Store.ahead`."""
        place = {"due_at": job.due_at, "id": job.id, "priority": job.priority, "limit": limit}
        ((number,),) = await self._fetch("ahead", {**job.key._asdict(), **place})
        return int(number)

    async def running(self) -> list[Held]:
        """See `Store.running`."""
        rows = await self._fetch("under_way", {})
        return [Held(JobKey(*row[:2]), row[2], row[3], row[4], row[5], near_2000(row[6])) for row in rows]

    async def rates(self, product: str) -> dict[str, datetime]:
        """See `Store.rates`."""
        return {name: near_2000(moment) for name, moment in await self._fetch("rates", {"product": product})}

    async def put_progress(self, progress: Mapping[int, Progress]) -> None:
        """See `Store.put_progress`."""
        values = [to_json(each) for each in progress.values()]
        await self._fetch_run("put_progress", {"runs": [*progress], "progress": values})

    async def orphans(self, keys: Collection[JobKey], limit: int) -> list[Job]:
        """See `Store.orphans`."""
        rows = await self._fetch_run("orphans", {**_columns(keys), "limit": limit})
        return [_ROWS.job(row) for row in rows]

    async def runs(self, key: JobKey, job_id: UUID | None, *, before: int | None, limit: int) -> list[Run]:
        """See `Store.runs`."""
        parameters = {
            **key._asdict(),
            "job_id": job_id,
            "before": _LAST_RUN if before is None else before,
            "limit": limit,
        }
        rows = await self._fetch("runs_of_group" if job_id is None else "runs_of_job", parameters)
        return [_ROWS.run(row) for row in rows]

    async def history(self, key: JobKey, which: RunFilter, *, before: int, limit: int, scan: int) -> Seen:
        """See `Store.history`."""
        parameters = {
            **key._asdict(),
            "outcomes": None if which.outcomes is None else [outcome.value for outcome in which.outcomes],
            "node": which.node,
            "ended_from": which.ended_from or OLDEST,
            "ended_last": which.ended_to - MICROSECOND if which.ended_to else NEWEST,
            "before": before,
            "limit": limit,
            "scan": scan,
        }
        return seen(await self._fetch("history", parameters), limit, scan, _ROWS)

    async def run(self, key: JobKey, job_id: UUID, number: int) -> Run | None:
        """See `Store.run`."""
        parameters = {**key._asdict(), "job_id": job_id, "number": number}
        for row in await self._fetch("run", parameters):
            return _ROWS.run_details(row)
        return None

    async def pressures(self, product: str, keys: Collection[str] | None = None) -> dict[str, Strain]:
        """See `Store.pressures`."""
        parameters = {"product": product, "keys": None if keys is None else list(keys)}
        rows = await self._fetch_run("pressures", parameters)
        return {key: Strain(read_pressure(value), running) for key, value, running in rows}

    async def swap_pressure(self, product: str, key: str, before: Pressure | None, after: Pressure | None) -> bool:
        """See `Store.swap_pressure`."""
        was, becomes = write_pressure(before), write_pressure(after)
        parameters = {"product": product, "key": key, "before": was, "after": becomes}
        ((done,),) = await self._fetch_run("swap_pressure", parameters)
        return bool(done)

    async def prune(self, older_than: timedelta) -> bool:
        """See `Store.prune`; whole days are dropped."""
        async with self._jobs.patient_connection() as connection:
            await query(connection, "prune", {"now": self._test_time(), "older_than": older_than})
            await query(connection, "prune_rates", {"now": self._test_time()})
            await query(connection, "prune_receipts", {"now": self._test_time(), "kept_for": KEPT_FOR})
            await query(connection, "forget_waits", {})
        await self._unlabel()  # by itself: to look into all days of history takes long where there are thousands
        return False

    async def prune_group(self, key: JobKey, older_than: timedelta) -> bool:
        """See `Store.prune_group`."""
        bite = {**key._asdict(), "now": self._test_time(), "older_than": older_than, "limit": PRUNE_BATCH}
        async with self._jobs.patient_connection() as connection:
            ((gone,),) = await query(connection, "prune_group", bite)
        return bool(gone)

    async def _unlabel(self) -> None:
        """Forget labels of jobs that are gone with their history, some at a time."""
        looked = await self._fetch("labelled_jobs", {"after": self._unlabelled, "limit": PRUNE_BATCH})
        if gone := [job_id for job_id, is_there in looked if not is_there]:
            await self._fetch("unlabel", {"ids": gone})
        self._unlabelled = looked[-1][0] if len(looked) == PRUNE_BATCH else _NIL

    # --- notes

    async def notes(self, kind: str) -> dict[str, Any]:
        """See `Store.notes`."""
        return {name: read_note(value) for name, value in await self._fetch("notes", {"kind": kind})}

    async def note(self, kind: str, name: str, value: Any, entry: Entry | None = None) -> bool:
        """See `Store.note`."""
        text = None if value is None else to_json(value)
        async with self._jobs.connection() as connection, connection.transaction() if entry else _ALONE:
            ((there,),) = await query(connection, "note", {"kind": kind, "name": name, "value": text})
            await self._write(connection, entry)
        return bool(there)

    async def swap_note(self, kind: str, name: str, before: Any, value: Any, entry: Entry | None = None) -> bool:
        """See `Store.swap_note`."""
        was, becomes = (None if each is None else to_json(each) for each in (before, value))
        parameters = {"kind": kind, "name": name, "before": was, "value": becomes}
        async with self._jobs.connection() as connection, connection.transaction() if entry else _ALONE:
            done = bool(await query(connection, "swap_note", parameters))
            await self._write(connection, entry if done else None)
        return done

    async def noted(self) -> int:
        """See `Store.noted`."""
        ((number,),) = await self._fetch_run("noted", {})
        return int(number)

    # --- events

    async def events(self, after: int | None, limit: int, scopes: Collection[Scope] | None = None) -> Told:
        """See `Store.events`."""
        ((head, forgotten, more),) = await self._fetch("number_events", {"limit": NUMBERED})
        while more and after is None:
            ((head, forgotten, more),) = await self._fetch("number_events", {"limit": NUMBERED})
        if after is None or after >= head:
            return Told([], head, forgotten)
        which = {"products": None, "job_groups": None} if scopes is None else _columns(scopes)
        rows = await self._fetch("events", {"after": after, "head": head, "limit": limit, **which})
        *_, forgotten = rows[0]
        events = [tuple(event) for *event, _ in rows if event[0] is not None]
        return read_told(events, head=head, forgotten=forgotten, limit=limit, time=near_2000)

    async def labels_of(self, ids: Collection[UUID]) -> dict[UUID, set[str]]:
        """See `Store.labels_of`."""
        return by_job(await self._fetch("labels_of", {"ids": list(ids)}))

    async def prune_events(self) -> bool:
        """See `Store.prune_events`."""
        await self.events(None, 0)
        ((gone,),) = await self._fetch("prune_events", {"limit": NUMBERED, "kept_for": EVENTS_KEPT_FOR})
        return bool(gone == NUMBERED)

    async def _write(self, connection: Any, entry: Entry | None) -> None:
        """Write what happened, if anything did, within a transaction."""
        if entry is not None:
            await query(connection, "tell", {**entry_values(entry), "now": self._test_time()})

    # --- nodes

    async def join(self, node: NodeBeat) -> None:
        """See `Store.join`."""
        parameters = {"node": node.name, "beat": node.beat, "host": node.host, "patient": node.patient}
        await self._fetch_run("join", {**parameters, "groups": to_json(node.groups), "slots": node.slots})

    async def beat(self, node: str) -> Pulse:
        """See `Store.beat`."""
        rows = await self._session.run(node, "beat", {"node": node, "now": self._test_time()})
        alive, stops, notes, now, resumes = rows[0][:5]
        nodes = tuple(NodeBeat(*row[5:]) for row in rows if row[5] is not None)
        self._alone = len(nodes) <= 1
        return Pulse(alive, frozenset(stops), nodes, notes, now, resumes)

    async def nodes(self) -> list[NodeBeat]:
        """See `Store.nodes`."""
        rows = await self._fetch_run("nodes", {})
        return [
            NodeBeat(name, beat, host, patient, connected, read_groups(groups), slots, read_groups(stuck))
            for name, beat, host, patient, connected, groups, slots, stuck in rows
        ]

    async def show_stuck(self, node: str, groups: Sequence[JobKey]) -> None:
        """See `Store.show_stuck`."""
        await self._fetch_run("show_stuck", {"node": node, "stuck": to_json(groups)})

    async def leave(self, node: str) -> None:
        """See `Store.leave`."""
        await self._fetch_run("leave", {"node": node})

    async def bury(self, node: NodeBeat) -> bool:
        """See `Store.bury`."""
        return bool(await self._fetch_run("bury", {"node": node.name, "beat": node.beat}))

    # --- hints

    def _tell(self, written: Iterable[Job]) -> None:
        """Tell this process, and others if there are any, what is due first of what was written."""
        due = tell_watchers(self._watchers, written)
        if due is None or self._alone:
            return
        self._hint = due if self._hint is None else min(due, self._hint)
        if self._hinting is None or self._hinting.done():
            self._hinting = asyncio.create_task(self._send_hints())

    async def _send_hints(self) -> None:
        """Notify other processes, outside the writing transactions: NOTIFY makes commits wait for one another.

        What comes in while one hint is on its way goes with the next.
        """
        try:
            while (due := self._hint) is not None:
                self._hint = None
                if due - await self.now() < _HINT_WITHIN:
                    await self._fetch("hint", {"due": to_microseconds(due)})
        except StoreUnavailableError:
            self._hint = None  # polling will find it

    def _heard(self, payload: str) -> None:
        """Pass a hint on to the loop of the watchers; this is called on the loop of the session."""
        due = from_microseconds(int(payload))
        for notice in self._watchers:
            self._loop.call_soon_threadsafe(notice, due)

    # --- talking to the database

    def _test_time(self) -> datetime | None:
        return None if self._clock is None else self._clock.now()

    async def _fetch(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        async with self._jobs.connection() as connection:
            return await query(connection, statement, {"now": self._test_time(), **parameters})

    async def _fetch_run(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Do the same for nodes, which need not wait for what people ask."""
        async with self._runs.connection() as connection:
            return await query(connection, statement, {"now": self._test_time(), **parameters})


class _RefusedError(Exception):
    """Rolls a transaction back of which a part was refused."""


def _ended(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the parameters of changes."""
    kept = [change for change in changes if change.job.state is not _DONE]
    ended = changes if not kept else [change for change in changes if change.job.state is _DONE]
    return {"ended": list(map(_ROWS.ended, ended)), "kept": list(map(_ROWS.kept, kept))}


def _candidates(rows: Iterable[Any]) -> Iterator[Candidate]:
    return (Candidate(id_, key, near_2000(due_at)) for id_, key, due_at, *_ in rows)


async def _copy(connection: Any, jobs: Sequence[Job], unrun: Sequence[Run]) -> None:
    """Have many rows written; the next ones are made while the database takes the last."""
    rows = (_ROWS.job_row(job) for job in jobs)
    await connection.copy_records_to_table(
        "jobs", schema_name="mainspring", records=rows, columns=JOB_COLUMNS, timeout=None
    )
    await _wait(connection, jobs)
    if unrun:
        await query(connection, "add_unrun", {"passed": write_unrun(unrun)})


async def _wait(connection: Any, jobs: Iterable[Job]) -> None:
    """Note for what jobs wait, if any do."""
    if waits := [(awaited, job.id) for job in jobs for awaited in job.waits_for]:
        awaited, waiting = zip(*waits, strict=True)
        await query(connection, "wait", {"awaited": awaited, "waiting": waiting})


def _page_of(key: JobKey, which: JobFilter, after: Position | None, limit: int | None) -> dict[str, Any]:
    """Return the parameters of a page of jobs."""
    begin = after if which.done else which.begin(after)
    return {
        **key._asdict(),
        "states": [state.value for state in which.states],
        "outcomes": None if which.ended is None else [outcome.value for outcome in which.ended],
        "gave_up": which.gave_up,
        "after_due": begin.due_at if begin else OLDEST,
        "after_id": begin.id if begin else _NIL,
        "after_run": after.run if after else _LAST_RUN,
        "labels": sorted(which.labels) or None,
        "node": which.node,
        "due_from": which.due_from or OLDEST,
        "due_last": which.due_last or NEWEST,
        "created_from": which.created_from or OLDEST,
        "created_last": which.created_last or NEWEST,
        "by_created": which.by_created,
        "limit": limit,
    }


def _due(at: int | None, now: datetime) -> Due | None:
    due = None if at is None else near_2000(at)
    return None if due is None else Due(due, due - now)


def _answer(change: Change, settled: Collection[int], held: Mapping[UUID, int]) -> Answer:
    if change.run.number in settled:
        return Answer.DONE
    return Answer.STALE if held.get(change.job.id) == change.run.number else Answer.LOST


def _columns(keys: Collection[JobKey] | Collection[Scope]) -> dict[str, list[str]]:
    return {"products": [key.product for key in keys], "job_groups": [key.job_group for key in keys]}
