"""A thread that owns a connection to SQLite, and commits together what waits.

Calls are queued to it. It takes all that wait and does them in one transaction: concurrent writers share one fsync, and
a lone one does not wait for company.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from mainspring.errors import ConflictError, KeyTakenError, ReceiptTakenError, StoreUnavailableError
from mainspring.store.facts import KEY_TAKEN, RECEIPT_TAKEN
from mainspring.store.sqlite.file import connect, connect_to_read, lock_file

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class Call:
    """Work for the thread, and who waits for it."""

    work: Work[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class SqliteThread:
    """Does work on one database, a file or RAM, in a thread of its own; `only_reads` beside the one that writes."""

    def __init__(self, path: Path | None, *, only_reads: bool = False) -> None:
        self._path = path
        self._only_reads = only_reads
        self._thread: threading.Thread | None = None
        self._lock_file: IO[str] | None = None
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()

    async def open(self) -> None:
        """Take the file, and return once the database is open. Raises `ConfigError`."""
        if self._path is not None and not self._only_reads:
            self._lock_file = lock_file(self._path)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._serve, args=(opened,), name="sqlite-reads" if self._only_reads else "sqlite", daemon=True
        )
        self._thread.start()
        await opened

    async def close(self) -> None:
        """Do what waits, and end. Closing twice is harmless."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._calls.put(None)
            await asyncio.to_thread(thread.join)
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    async def call(self, work: Work[T]) -> T:
        """Have work done; it is committed when this returns. Raises what it raises, or `StoreUnavailableError`."""
        if self._thread is None:
            raise StoreUnavailableError("the job store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put(Call(work, future))
        return await future

    def _serve(self, opened: asyncio.Future[None]) -> None:
        loop = opened.get_loop()
        try:
            db = connect_to_read(self._path) if self._only_reads and self._path else connect(self._path)
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
                commit_together(db, work, "begin" if self._only_reads else "begin immediate")
                for waiting in {call.future.get_loop() for call in work}:  # nodes beat on a loop of their own
                    theirs = [call for call in work if call.future.get_loop() is waiting]
                    with suppress(RuntimeError):  # it is closed: nobody waits any more
                        waiting.call_soon_threadsafe(_deliver, theirs)
        db.close()


def commit_together(db: sqlite3.Connection, calls: Sequence[Call], begin: str = "begin immediate") -> None:
    """Do all the work in one transaction; work that fails is undone alone, a commit that fails undoes it all."""
    try:
        db.execute(begin)
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
        if "_key" in str(error):  # jobs_key, or that of the batches
            return KeyTakenError(KEY_TAKEN)
        if "receipts" in str(error):
            return ReceiptTakenError(RECEIPT_TAKEN)
        return ConflictError(f"the job store refused the rows: {error}")
    if isinstance(error, sqlite3.Error):
        return StoreUnavailableError(f"the job store failed: {error}")
    return error


def _deliver(calls: Iterable[Call]) -> None:
    for call in calls:
        if call.future.done():
            continue
        if call.error is not None:
            call.future.set_exception(call.error)
        else:
            call.future.set_result(call.result)
