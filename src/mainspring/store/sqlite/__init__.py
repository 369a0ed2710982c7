"""The SQLite store: one file (or RAM), one process."""

from mainspring.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
