"""The SQLite store: one file (or RAM), one process."""

from mainspring.store.sqlite.store import (
    OLDEST_SQLITE,
    SqliteStore,
    check_schema,
)

__all__ = ["OLDEST_SQLITE", "SqliteStore", "check_schema"]
