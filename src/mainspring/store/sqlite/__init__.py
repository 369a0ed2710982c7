"""The SQLite store: one file (or RAM), one process."""

from mainspring.store.sqlite.file import OLDEST
from mainspring.store.sqlite.store import SqliteStore

__all__ = ["OLDEST", "SqliteStore"]
