"""The schema of each store, as numbered files of plain SQL that alembic runs and keeps count of.

alembic and SQLAlchemy are imported only when there is something to run: checking the version is one query.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.errors import SchemaError

if TYPE_CHECKING:
    from sqlalchemy import Engine

HERE = Path(__file__).parent
HEAD = max(path.stem for path in HERE.glob("versions/[0-9]*.py"))
"""The version of the schema that this version of Mainspring needs."""


def statements(dialect: str, version: str) -> list[str]:
    """Return the SQL of a version, statement by statement; what is between ``$$``, or ``begin`` and ``end``, is one."""
    text = (HERE / dialect / f"{version}.sql").read_text(encoding="utf-8")
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    parts = re.findall(r"(?:\$\$.*?\$\$|\bbegin\b.*?\bend\b|[^;])+", code, re.DOTALL)
    return [statement.strip() for statement in parts if statement.strip()]


def verdict(found: str | None, upgrade: str) -> None:
    """Raise `SchemaError` unless `found` is the version needed; `upgrade` is the command that helps."""
    if found == HEAD:
        return
    if found is None:
        raise SchemaError(f"the job store has no schema yet; make it with: {upgrade}")
    if found < HEAD:
        raise SchemaError(
            f"the job store's schema is version {found}, this Mainspring needs {HEAD}; upgrade it with: {upgrade}"
        )
    raise SchemaError(
        f"the job store's schema is version {found}, newer than this Mainspring knows ({HEAD}); upgrade Mainspring"
    )


def upgraded(before: str | None) -> str:
    """Say what became of a schema that had that version before it was upgraded."""
    if before == HEAD:
        return f"The job store's schema was version {HEAD} already; there was nothing to do."
    if before is None:
        return f"The job store's schema was made; it is version {HEAD}."
    return f"The job store's schema was upgraded from version {before} to {HEAD}."


def needs_upgrade(found: str | None) -> bool:
    """Tell whether a schema is missing or older than the version needed. A newer one is left alone."""
    return found is None or found < HEAD


def sqlite_version(db: sqlite3.Connection) -> str | None:
    """Return the schema version of a SQLite database, `None` when it has none."""
    if not db.execute("select 1 from sqlite_master where name = 'alembic_version'").fetchone():
        return None
    row = db.execute("select version_num from alembic_version").fetchone()
    return None if row is None else str(row[0])


def sqlite_upgrade(db: sqlite3.Connection) -> None:
    """Make the schema of a SQLite database, or bring it up to date.

    Raises `SchemaError` when it is newer than this version.
    """
    if needs_upgrade(sqlite_version(db)):
        sqlalchemy = import_module("sqlalchemy")
        _run(sqlalchemy.create_engine("sqlite://", creator=lambda: db, poolclass=sqlalchemy.StaticPool))
    verdict(sqlite_version(db), "mainspring db upgrade")


def postgres_upgrade(connect: Callable[[], Any]) -> None:
    """Make the schema of a PostgreSQL database, or bring it up to date; several at once wait for each other.

    `connect` returns a connection of psycopg.
    """
    sqlalchemy = import_module("sqlalchemy")
    _run(sqlalchemy.create_engine("postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool))


def _run(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415 - see the top of the file
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(HERE))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise SchemaError(f"the job store's schema cannot be made or brought up to date: {error.orig}") from error
