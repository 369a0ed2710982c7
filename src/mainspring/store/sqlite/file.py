"""The file of a SQLite store: which process has it, and whether its schema fits."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from mainspring.errors import ConfigError, StoreUnavailableError
from mainspring.store.columns import JOB_COLUMNS, check_columns
from mainspring.store.migrations import sqlite_upgrade, sqlite_version, verdict

OLDEST_SQLITE = (3, 37, 0)
"""The first SQLite with strict tables."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Why a file cannot grow, which may pass."""
_PROBE = bytes(1 << 16)
_BESIDE = ("-wal", "-shm", "-journal", ".lock")


def lock_file(path: Path) -> IO[str]:
    """Take the lock beside the file that says which process has it.

    SQLite's own locks would let a second one in between commits. Raises `ConfigError` for a file that is not ours
    alone to write, and `StoreUnavailableError` when the disk is full.
    """
    full = _full(path)
    try:
        _make_folder(full.parent)
        check_room(full)
        os.close(_open(full))
        for suffix in _BESIDE:
            _refuse_strange(Path(f"{full}{suffix}"))
        lock = os.fdopen(_open(Path(f"{full}.lock")), "r+", errors="replace")
    except OSError as error:
        raise _unusable(full, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = lock.read(20).strip() or "unknown"
        lock.close()
        raise ConfigError(
            f"the job store {full} is in use by another process (pid {holder}). "
            "A SQLite file serves one process; nodes on several share a PostgreSQL store."
        ) from error
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    except OSError as error:
        with suppress(OSError):  # it has not been written, and will not be
            lock.close()
        raise _unusable(full, error) from error
    return lock


def check_rights(path: Path) -> None:
    """Raise `ConfigError` if this user could not make the file or write to it, or to those beside it.

    And `StoreUnavailableError` if the disk is full. Nothing is left behind.
    """
    full, effective = _full(path), os.access in os.supports_effective_ids
    files = [Path(f"{full}{suffix}") for suffix in ("", *_BESIDE)]
    try:
        folder = _folder(full)
        files = [file for file in files if os.path.lexists(file)]
        for file in files:
            _refuse_strange(file)
    except OSError as error:
        raise _unusable(full, error) from error
    if not folder.is_dir():
        raise ConfigError(f"the job store {full} cannot be opened: {folder} is no directory")
    for place, right in ((folder, os.W_OK | os.X_OK), *((file, os.R_OK | os.W_OK) for file in files)):
        if not os.access(place, right, effective_ids=effective):
            raise ConfigError(f"the job store {full} cannot be used: this user may not write to {place}{_ELSEWHERE}")
    check_room(full)


def check_room(full: Path) -> None:
    """Write to the folder of a file what nobody sees. Raises `ConfigError` or `StoreUnavailableError` if it cannot."""
    try:
        with tempfile.TemporaryFile(dir=_folder(full)) as probe:
            probe.write(_PROBE)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise _unusable(full, error) from error


_ELSEWHERE = "; choose another place with --store or MAINSPRING_STORE"


def _unusable(full: Path, error: OSError) -> ConfigError | StoreUnavailableError:
    """Return the error for what the system has against a file: a full disk may pass, all else must be changed."""
    if error.errno in _FULL:
        return StoreUnavailableError(
            f"the job store {full} cannot be kept: {error.strerror}. Make room in {full.parent}, or{_ELSEWHERE[1:]}"
        )
    return ConfigError(f"the job store {full} cannot be opened: {error.strerror}{_ELSEWHERE}")


def _full(path: Path) -> Path:
    """Return the full path, but for the file's own name, which may be a link."""
    try:
        return path.parent.resolve() / path.name
    except OSError:  # the working directory was removed
        return path


def _folder(full: Path) -> Path:
    """Return the folder of a file, or that in which it would have to be made."""
    return next(parent for parent in full.parents if parent.exists())


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it for ourselves only, whatever the umask is."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        with suppress(FileExistsError):
            place.mkdir()
            place.chmod(0o700)


def _open(path: Path) -> int:
    """Open a file of ours, or make it, for ourselves only, whatever the umask is."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(FileExistsError):
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(file, 0o600)
        return file
    _refuse_strange(path)
    file = os.open(path, flags | os.O_NONBLOCK)
    try:
        _refuse_facts(path, os.fstat(file))  # it may have been replaced
    except BaseException:
        os.close(file)
        raise
    return file


def _refuse_strange(path: Path) -> None:
    """Raise `ConfigError` for a file that others may write to, or that is no file. There need not be one."""
    with suppress(FileNotFoundError):
        _refuse_facts(path, path.lstat())


def _refuse_facts(path: Path, facts: os.stat_result) -> None:
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFLNK:
        raise ConfigError(f"the job store's {path} is a link, which others may turn; name the file itself")
    if kind != stat.S_IFREG:
        raise ConfigError(f"the job store's {path} is no file{_ELSEWHERE}")
    if facts.st_uid != os.geteuid():
        raise ConfigError(
            f"the job store's {path} belongs to another user (uid {facts.st_uid}) than the one who runs this (uid "
            f"{os.geteuid()}), and could be changed by them; run Mainspring as its owner, or give the file to this user"
        )
    if facts.st_mode & stat.S_IWOTH:
        raise ConfigError(f"the job store's {path} can be written to by everybody; take that away: chmod o-w {path}")


def check_schema(path: Path) -> None:
    """Raise `SchemaError` unless the schema of a file is the one this version needs; nothing is changed.

    Works beside a service that uses the file. Raises `ConfigError` when it is no database.
    """
    verdict(schema_version(path), "mainspring db upgrade")


def schema_version(path: Path) -> str | None:
    """Return the version of the schema of a file, `None` if it has none. Raises `ConfigError` if it is no database."""
    try:
        with closing(sqlite3.connect(f"{_full(path).as_uri()}?mode=ro", uri=True)) as db:
            return sqlite_version(db)
    except sqlite3.DatabaseError as error:
        raise _refused(_full(path), error) from error


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
        raise _refused(path or Path(":memory:"), error) from error
    except ConfigError:
        db.close()
        raise
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file whose schema is up to date for reading, beside the connection that writes."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("pragma query_only = on")
    return db


def _refused(path: Path, error: sqlite3.DatabaseError) -> ConfigError | StoreUnavailableError:
    """Return the error for what SQLite has against a file."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return StoreUnavailableError(f"the job store {path} cannot be kept: {error}; is there room in {path.parent}?")
    return ConfigError(f"the job store {path} is not a usable SQLite database: {error}")
