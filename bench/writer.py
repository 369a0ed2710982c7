"""The limit of T2: the least HTTP service that answers 201 when a job is durable.

A bare ASGI application in one uvicorn process. What arrives while a commit is under way shares the next; nothing is
checked, routed or decided. `python -m bench.writer STORE PORT`, where STORE is a URL as Mainspring takes it.
"""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import uvicorn

from bench.limits import connect_sqlite

Row = tuple[str, str]
Write = Callable[[list[Row]], Awaitable[object]]


class Writer:
    """The application."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._write: Write | None = None

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = json.loads(body or b"{}")
        id_ = str(uuid4())
        if request:
            await self._commit((id_, body.decode()))
        answer = json.dumps({"id": id_, "jobRequest": request}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _commit(self, row: Row) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await written

    async def _write_waiting(self) -> None:
        write = self._write = self._write or await open_store(self._store)
        while self._waiting:
            calls, self._waiting = self._waiting, []
            await write([row for row, _ in calls])
            for _, written in calls:
                written.set_result(None)


async def open_store(store: str) -> Write:
    """Return what writes rows to a store, all in one commit."""
    if store.startswith("postgresql:"):
        connection = await asyncpg.connect(store)
        insert = await connection.prepare("insert into bench.one select * from unnest($1::uuid[], $2::jsonb[])")

        async def write(rows: list[Row]) -> object:
            return await insert.fetch([id_ for id_, _ in rows], [payload for _, payload in rows])

        return write

    db = connect_sqlite(Path(store.removeprefix("sqlite:///")) if store.startswith("sqlite:") else None)
    db.execute("create table many (id text primary key, payload text not null) strict, without rowid")

    async def write_in_thread(rows: list[Row]) -> object:
        return await asyncio.to_thread(_insert, db, rows)

    return write_in_thread


def _insert(db: sqlite3.Connection, rows: list[Row]) -> None:
    db.execute("begin immediate")
    db.executemany("insert into many values (?, ?)", rows)
    db.execute("commit")


def main() -> None:
    """Serve until SIGTERM."""
    store, port = sys.argv[1:]
    uvicorn.run(Writer(store), port=int(port), log_level="error", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
