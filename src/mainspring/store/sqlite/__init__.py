"""The SQLite store: one file (or RAM), one process."""

from mainspring.store.sqlite.store import (
    SqliteStore,
    check_schema,
)

__all__ = ["SqliteStore", "check_schema"]
