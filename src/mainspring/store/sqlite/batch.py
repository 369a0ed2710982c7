"""Many new jobs at once, slice by slice, so that claims and heartbeats come between: still all or none.

A batch is first written aside, then accepted, and then moved to the jobs. What is accepted is moved also after a crash;
what is not is forgotten. A slice holds the connection for about 20 ms.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from typing import Any

from mainspring.errors import ConflictError, KeyTakenError
from mainspring.failpoint import fp
from mainspring.job import Job, Run
from mainspring.store.columns import JOB_COLUMNS
from mainspring.store.facts import KEY_TAKEN
from mainspring.store.rows import to_json
from mainspring.store.sqlite.dialect import ROWS, SQL
from mainspring.store.sqlite.ends import add_rows
from mainspring.store.sqlite.thread import SqliteThread, Work

SLICE = 250
"""How many rows go in at once."""
Slice = tuple[Sequence[Job], Sequence[Run]]
"""New jobs, and rows of history that go in with them."""


class Batches:
    """Writes batches of rows of jobs, and of history."""

    def __init__(self, thread: SqliteThread) -> None:
        self._thread = thread
        self._turn = asyncio.Lock()
        """Slices of several batches at once would be one large slice."""
        self._moving: asyncio.Task[None] | None = None

    async def write(self, slices: AsyncIterator[Slice], keep: Work[None]) -> None:
        """Write new jobs and rows of history, all or none; durable when this returns.

        `keep` is done in the transaction from which on they are to be there.

        Raises `ConflictError` for an id that is there, `KeyTakenError`, and what `slices` raises.
        """
        async with self._turn:
            await self._forget()
            batch, number = "", 0
            async for jobs, unrun in slices:
                batch = batch or str(jobs[0].id)
                await self._put_aside(batch, number, jobs, unrun)
                number += 1
            self._moving = asyncio.create_task(self._accept(batch, keep))
            await asyncio.shield(self._moving)  # a caller that goes away must not leave it half way

    async def _forget(self) -> None:
        """Forget what was put aside and not accepted: its caller went away, or the store failed."""
        await self._thread.call(lambda db: [db.execute(SQL[name]) for name in ("forget_batches", "forget_keys")])

    async def _accept(self, batch: str, keep: Work[None]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute(SQL["accept"], {"batch": batch})
            keep(db)

        await self._thread.call(work)
        fp("batch.accepted")
        await self._move(batch)

    async def _put_aside(self, batch: str, number: int, jobs: Sequence[Job], unrun: Sequence[Run]) -> None:
        rows, history = [ROWS.job_row(job) for job in jobs], [ROWS.run_values(run) for run in unrun]
        ids = json.dumps([row[0] for row in rows])
        values = {"batch": batch, "slice": number, "jobs": to_json(rows), "unrun": to_json(history)}
        keys = [{**job.key._asdict(), "key": job.options.key, "batch": batch} for job in jobs if job.options.key]

        def work(db: sqlite3.Connection) -> None:
            if there := db.execute(SQL["some_of"], {"ids": ids}).fetchone():
                raise ConflictError(f"the job store refused the rows: there is a job {there[0]} already")
            for key in keys:
                if db.execute(SQL["with_keys"], {**key, "keys": json.dumps([key["key"]])}).fetchone():
                    raise KeyTakenError(KEY_TAKEN)
            db.executemany(SQL["take_keys"], keys)
            db.execute(SQL["put_aside"], values)

        await self._thread.call(work)
        fp("batch.put_aside")

    async def _move(self, batch: str) -> None:
        while await self._thread.call(lambda db: self._move_slice(db, batch)):
            pass

    def _move_slice(self, db: sqlite3.Connection, batch: str) -> bool:
        row = db.execute(SQL["take_slice"], {"batch": batch}).fetchone()
        if row is None:
            db.execute(SQL["moved"], {"batch": batch})
            return False
        jobs: list[list[Any]] = json.loads(row[0])
        if keys := [key for job in jobs if (key := _key_of(job)) is not None]:
            db.execute(SQL["give_keys_back"], {"keys": json.dumps(keys), "batch": batch})
        add_rows(db, jobs, json.loads(row[1]))
        return True

    async def recover(self) -> None:
        """Finish batches that a crash left half way, and forget those that were not accepted."""
        await self._forget()
        for (batch,) in await self._thread.call(lambda db: db.execute(SQL["accepted"]).fetchall()):
            await self._move(batch)


def _key_of(row: list[Any]) -> list[str] | None:
    """Return the group and the key of the row of a job, if it has a key."""
    product, job_group, options, parent = (row[place] for place in _PLACES)
    key = None if options is None or parent is not None else json.loads(options).get("key")
    return None if key is None else [product, job_group, key]


_PLACES = [JOB_COLUMNS.index(name) for name in ("product", "job_group", "options", "parent")]
