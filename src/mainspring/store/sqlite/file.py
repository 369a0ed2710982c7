"""The file of a SQLite store: which process has it, and whether its schema fits."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO

from mainspring.errors import ConfigError
from mainspring.store.columns import JOB_COLUMNS, check_columns
from mainspring.store.migrations import sqlite_upgrade, sqlite_version, verdict

OLDEST_SQLITE = (3, 37, 0)
"""The first SQLite with strict tables."""


def lock_file(path: Path) -> IO[str]:
    """Take the lock beside the file that says which process has it.

    SQLite's own locks would let a second one in between commits.
    """
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        lock = os.fdopen(os.open(beside, os.O_CREAT | os.O_RDWR, 0o600), "r+")
    except OSError as error:
        raise ConfigError(f"the job store {path.resolve()} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise ConfigError(
            f"the job store {path.resolve()} is in use by another process (pid {holder}). "
            "A SQLite file serves one process; nodes on several share a PostgreSQL store."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def check_rights(path: Path) -> None:
    """Raise `ConfigError` if this user could not make the file or write to it, or to those beside it."""
    full, effective = path.resolve(), os.access in os.supports_effective_ids
    try:
        folder = next(parent for parent in full.parents if parent.exists())
        files = [file for suffix in ("", "-wal", "-shm", ".lock") if (file := Path(f"{full}{suffix}")).exists()]
    except OSError as error:
        raise ConfigError(f"the job store {full} cannot be opened: {error.strerror}") from error
    if not folder.is_dir():
        raise ConfigError(f"the job store {full} cannot be opened: {folder} is no directory")
    for place, right in ((folder, os.W_OK | os.X_OK), *((file, os.R_OK | os.W_OK) for file in files)):
        if not os.access(place, right, effective_ids=effective):
            raise ConfigError(f"the job store {full} cannot be used: this user may not write to {place}")


def check_schema(path: Path) -> None:
    """Raise `SchemaError` unless the schema of a file is the one this version needs; nothing is changed.

    Works beside a service that uses the file. Raises `ConfigError` when it is no database.
    """
    verdict(schema_version(path), "mainspring db upgrade")


def schema_version(path: Path) -> str | None:
    """Return the version of the schema of a file, `None` if it has none. Raises `ConfigError` if it is no database."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return sqlite_version(db)
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"the job store {path.resolve()} is not a usable SQLite database: {error}") from error


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a file, or RAM, and make its schema or bring it up to date. Raises `ConfigError`."""
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        sqlite_upgrade(db)
        check_columns("jobs", [row[1] for row in db.execute("pragma table_info(jobs)")], JOB_COLUMNS)
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigError(f"the job store {path} is not a usable SQLite database: {error}") from error
    except ConfigError:
        db.close()
        raise
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file whose schema is up to date for reading, beside the connection that writes."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("pragma query_only = on")
    return db
