"""What can be done with a SQLite file, or with RAM, without a node. See `mainspring.store.backends.Backend`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mainspring.clock import SystemClock
from mainspring.store.migrations import upgraded
from mainspring.store.sqlite.file import check_rights, check_schema, schema_version
from mainspring.store.sqlite.store import SqliteStore


def _path(url: str) -> Path | None:
    """Return the file that a URL names; `None` for RAM."""
    path = url.removeprefix("sqlite:///")
    return Path(path) if path != url and path else None


def make(url: str) -> SqliteStore:
    """See `Backend.make`."""
    return SqliteStore(_path(url), SystemClock())


def check(url: str) -> str:
    """See `Backend.check`."""
    path = _path(url)
    if path is None:
        return "Jobs live in memory; their schema is made at each start."
    check_rights(path)
    if not path.exists():
        return f"There is no {path.absolute()} yet; the service makes it when it starts."
    check_schema(path)
    return "The job store can be used: its schema and the rights on its files fit."


def upgrade(url: str, *, force: bool = False) -> str:  # noqa: ARG001 - a file that is in use is refused
    """See `Backend.upgrade`: opening the store does it."""

    async def open_and_close() -> None:
        store = make(url)
        await store.open()
        await store.close()

    path = _path(url)
    if path is not None:
        check_rights(path)
    before = schema_version(path) if path is not None and path.exists() else None
    asyncio.run(open_and_close())
    return upgraded(before)


def rebuild(url: str) -> None:
    """See `Backend.rebuild`."""
    if (path := _path(url)) is not None:
        upgrade(url)  # refuses while a service uses it
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        upgrade(url)


def may_have_jobs(url: str) -> bool:
    """See `Backend.may_have_jobs`."""
    path = _path(url)
    return path is not None and path.exists()
